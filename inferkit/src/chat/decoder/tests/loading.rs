//! Loading: progress, cancellation, memory, and what a decoder says of itself.

use std::path::Path;
use std::path::PathBuf;

use super::harness::goldens;
use super::harness::load;
use super::harness::options;
use crate::chat::decoder::CacheSize;
use crate::chat::decoder::Decoder;
use crate::chat::decoder::DecoderOptions;
use crate::chat::decoder::DecoderSource;
use crate::chat::files::ModelFiles;
use crate::chat::runner::Runner;
use crate::nn::CacheDtypePreference;
use crate::nn::DtypePreference;
use crate::testing::skip;
use crate::wrapper::Job;

fn source(path: &Path) -> DecoderSource {
    DecoderSource::open(&ModelFiles::find(path).unwrap()).unwrap()
}

fn gguf(name: &str) -> PathBuf {
    goldens().join("gguf").join(format!("{name}.gguf"))
}

#[test]
fn the_estimate_before_loading_is_the_memory_after_it() {
    let folder = goldens().join("models/qwen3-moe");
    let kinds = [
        (folder, DtypePreference::Auto),
        (gguf("llama-Q8_0"), DtypePreference::Auto),
    ];
    for (path, dtype) in kinds
        .into_iter()
        .chain([(gguf("qwen3moe-Q4_K_mix"), DtypePreference::F32)])
    {
        let source = source(&path);
        let options = options(dtype);
        let estimate = source.memory(&options.device, dtype, options.cache_dtype).unwrap();
        let decoder = Decoder::load(&source, &options, &Job::new()).unwrap();
        // The scaling of a GGUF's angles is no weight, and is the only tensor that is not.
        let spare = if path.to_string_lossy().contains("llama") {
            8 * 4
        } else {
            0
        };
        assert_eq!(
            estimate.weights_bytes - spare,
            decoder.memory().weights_bytes,
            "{}",
            path.display()
        );
        let tokens = (options.cache.blocks * options.cache.block_size) as u64;
        assert_eq!(decoder.memory().cache_bytes, tokens * estimate.cache_bytes_per_token);
    }
}

#[test]
fn keys_and_values_of_8_bits_are_counted_with_their_scales() {
    let options = with_8_bits();
    if options.device.kernels().is_none() {
        return skip("keys and values of 8 bits are for the processor");
    }
    for name in ["models/llama-tied", "models/qwen3-yarn"] {
        let source = source(&goldens().join(name));
        let config = source.config();
        let per_token = (config.layers.len() * 2 * config.kv_heads * (config.head_dim + 4)) as u64;
        let estimate = source.memory(&options.device, options.dtype, options.cache_dtype);
        assert_eq!(estimate.unwrap().cache_bytes_per_token, per_token, "{name}");
        let tokens = (options.cache.blocks * options.cache.block_size) as u64;
        let decoder = Decoder::load(&source, &options, &Job::new()).unwrap();
        assert_eq!(decoder.memory().cache_bytes, tokens * per_token, "{name}");
    }
}

#[test]
fn keys_and_values_of_8_bits_are_refused_for_heads_that_kernels_do_not_take() {
    let options = with_8_bits();
    if options.device.kernels().is_none() {
        return skip("keys and values of 8 bits are for the processor");
    }
    let source = source(&goldens().join("models/qwen3-moe"));
    let estimate = source.memory(&options.device, options.dtype, options.cache_dtype);
    let loaded = Decoder::load(&source, &options, &Job::new());
    for error in [estimate.unwrap_err(), loaded.unwrap_err()] {
        assert_eq!(
            (error.code(), error.param()),
            ("unsupported_value", Some("cache_dtype"))
        );
        assert!(error.to_string().contains("heads hold 24 numbers"), "{error}");
    }
}

fn with_8_bits() -> DecoderOptions {
    DecoderOptions {
        cache_dtype: CacheDtypePreference::Int8,
        ..options(DtypePreference::Auto)
    }
}

#[test]
fn progress_reaches_the_bytes_of_all_weights() {
    let source = source(&goldens().join("models/qwen3-untied-bf16-sharded"));
    let job = Job::new();
    Decoder::load(&source, &options(DtypePreference::Auto), &job).unwrap();
    let progress = job.progress().borrow().clone();
    assert_eq!(
        (progress.phase, Some(progress.done_bytes)),
        ("reading weights", progress.total_bytes)
    );
}

#[test]
fn a_cancelled_job_ends_the_load() {
    let source = source(&goldens().join("models/llama-tied"));
    let job = Job::new();
    job.cancel();
    let error = Decoder::load(&source, &options(DtypePreference::Auto), &job).unwrap_err();
    assert_eq!(error.code(), "cancelled");
    assert!(job.progress().borrow().done_bytes < source_bytes(&source));
}

fn source_bytes(source: &DecoderSource) -> u64 {
    source
        .memory(
            &options(DtypePreference::Auto).device,
            DtypePreference::Auto,
            CacheDtypePreference::Auto,
        )
        .unwrap()
        .weights_bytes
}

#[test]
fn a_cache_that_cannot_be_addressed_is_refused() {
    let source = source(&goldens().join("models/llama-tied"));
    for (blocks, block_size) in [(0, 32), (1, 32), (usize::MAX, 2), (1 << 28, 32), (4, 0)] {
        let cache = CacheSize { blocks, block_size };
        let options = DecoderOptions {
            cache,
            ..options(DtypePreference::Auto)
        };
        let error = Decoder::load(&source, &options, &Job::new()).unwrap_err();
        assert_eq!(error.param(), Some("cache"), "{blocks} blocks of {block_size}");
    }
}

#[test]
fn a_decoder_says_what_it_can_take_and_what_its_weights_are() {
    let source = source(&goldens().join("models/qwen3-yarn"));
    let device = options(DtypePreference::Auto).device;
    let (cache, on_processor) = (CacheSize::for_tokens(100, &device), device.kernels().is_some());
    let options = DecoderOptions {
        device,
        cache,
        max_model_len: Some(200),
        ..options(DtypePreference::Auto)
    };
    let decoder = Decoder::load(&source, &options, &Job::new()).unwrap();
    let capabilities = decoder.capabilities();
    assert_eq!(
        (capabilities.block_size, capabilities.blocks),
        if on_processor { (32, 5) } else { (64, 3) },
        "100 tokens in four blocks, or in two, and block 0"
    );
    assert_eq!((capabilities.max_model_len, capabilities.vocabulary), (200, 384));
    assert_eq!(decoder.weight_type(), "f32");
    assert_eq!(
        load(&gguf("llama-Q4_1"), DtypePreference::Auto).unwrap().weight_type(),
        "q4_1"
    );
    assert_eq!(
        load(&gguf("llama-Q4_1"), DtypePreference::F16).unwrap().weight_type(),
        "f16"
    );
}

#[test]
fn configuration_and_keys_of_the_same_kind_of_model_read_alike() {
    let folder = source(&goldens().join("models/qwen3-yarn"));
    let file = source(&gguf("qwen3-yarn-F32"));
    let (folder, file) = (folder.config(), file.config());
    assert_eq!((folder.head_dim, folder.head_norms), (file.head_dim, file.head_norms));
    assert_eq!(folder.rope.scaling, file.rope.scaling);
    assert!(folder.tied_output && file.tied_output && !folder.interleaved && !file.interleaved);
}
