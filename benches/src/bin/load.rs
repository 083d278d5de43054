//! How long does loading a model take beside reading its file?
//!
//! Reads the file plainly and loads it through the registry, in turn; the file is in the page cache for both. Without
//! arguments the model is a Qwen3 of about 750 MB that is written with pseudo-random bf16 weights.
//!
//!     cargo run --release -p inferkit-benches --bin load -- [FAMILY FILE]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use inferkit::Hub;
use inferkit::LoadOptions;
use inferkit::ModelPolicy;
use inferkit::ModelRegistry;
use inferkit::OperationState;
use inferkit::Source;
use inferkit::UnloadOptions;
use inferkit::catalog;
use inferkit::catalog::ModelSpec;
use inferkit::catalog::Services;
use inferkit_benches::Figures;

const RUNS: usize = 5;
const HIDDEN: usize = 1024;
const INNER: usize = 3072;
const LAYERS: usize = 24;
const WIDTH: usize = 128;
const HEADS: usize = 16;
const KV_HEADS: usize = 8;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => {
            let folder = tempfile::tempdir()?;
            write_model(folder.path())?;
            let model = folder.path().to_owned();
            measure("qwen", &model, &model.join("model.safetensors")).await
        }
        [family, file] => measure(family, Path::new(file), Path::new(file)).await,
        _ => {
            eprintln!("usage: load [FAMILY FILE]");
            std::process::exit(2);
        }
    }
}

/// Reads `file` and loads `model`, which consists of little else, in turn.
async fn measure(family: &str, model: &Path, file: &Path) -> Outcome<()> {
    let services = Services::new(Hub::builder("models").offline(true).build()?);
    let wrapper = catalog::wrapper(&ModelSpec::new(family, Source::path(model)), &services)?;
    let registry = ModelRegistry::builder().build()?;
    let handle = registry.register("model", wrapper, ModelPolicy::default()).await?;
    let (mut reading, mut loading) = (Vec::new(), Vec::new());
    for _ in 0..=RUNS {
        reading.push(read(file)?);
        let begin = Instant::now();
        let operation = handle.wait(&handle.load(LoadOptions::default())?.id).await?;
        loading.push(begin.elapsed().as_secs_f64());
        if operation.state != OperationState::Succeeded {
            return Err(format!("loading failed: {:?}", operation.error).into());
        }
        handle.wait(&handle.unload(UnloadOptions::default())?.id).await?;
    }
    // The first of each warms the page cache.
    let (reading, loading) = (Figures::new(reading.split_off(1)), Figures::new(loading.split_off(1)));
    println!(
        "{family}, file of {:.0} MB: plain reading {:.3} s, loading {:.3} s, ratio {:.2} (medians of {RUNS})",
        std::fs::metadata(file)?.len() as f64 / 1e6,
        reading.median(),
        loading.median(),
        loading.median() / reading.median(),
    );
    Ok(())
}

/// Seconds to read a file into memory.
fn read(path: &Path) -> Outcome<f64> {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let elapsed = begin.elapsed().as_secs_f64();
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    Ok(elapsed)
}

fn shapes() -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    shapes.insert("model.embed_tokens.weight".to_owned(), vec![384, HIDDEN]);
    shapes.insert("model.norm.weight".to_owned(), vec![HIDDEN]);
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape.to_vec());
        };
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HEADS * WIDTH, HIDDEN]);
        add("self_attn.k_proj", &[KV_HEADS * WIDTH, HIDDEN]);
        add("self_attn.v_proj", &[KV_HEADS * WIDTH, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HEADS * WIDTH]);
        add("self_attn.q_norm", &[WIDTH]);
        add("self_attn.k_norm", &[WIDTH]);
        add("mlp.gate_proj", &[INNER, HIDDEN]);
        add("mlp.up_proj", &[INNER, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INNER]);
    }
    shapes
}

/// Writes tokenizer, configuration and weights.
fn write_model(folder: &Path) -> Outcome<()> {
    let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/llm/models/qwen3-tied");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tokenizer.join(file), folder.join(file))?;
    }
    let config = format!(
        r#"{{"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3","hidden_size":{HIDDEN},
        "intermediate_size":{INNER},"num_hidden_layers":{LAYERS},"num_attention_heads":{HEADS},
        "num_key_value_heads":{KV_HEADS},"head_dim":{WIDTH},"vocab_size":384,"rms_norm_eps":1e-6,
        "rope_theta":1000000.0,"max_position_embeddings":2048,"tie_word_embeddings":true,"hidden_act":"silu"}}"#
    );
    std::fs::write(folder.join("config.json"), config)?;
    let mut header = String::from("{");
    let mut offset = 0;
    for (name, shape) in shapes() {
        let end = offset + 2 * shape.iter().product::<usize>();
        let comma = if offset == 0 { "" } else { "," };
        write!(
            header,
            r#"{comma}"{name}":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{offset},{end}]}}"#
        )?;
        offset = end;
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors"))?);
    file.write_all(&u64::try_from(header.len())?.to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1_u32;
    for _ in 0..offset / 2 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Numbers between 0.0078 and 0.031 of either sign, as bf16.
        let bits = u16::try_from(state >> 16)? & 0x80ff | 0x3c00;
        file.write_all(&bits.to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}
