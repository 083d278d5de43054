use super::*;
use crate::diarization::embedding::embedder::Embedder;
use crate::diarization::embedding::embedder::EmbedderBuffers;
use crate::diarization::embedding::embedder::MaskedWindow;
use crate::diarization::golden::Golden;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::layers::golden_layers;
use crate::nn::Device;

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// `[h, l, c]` as the original has it: `[c, h, l]`.
fn channels_first(x: &Tensor) -> Vec<f32> {
    numbers(&x.squeeze(0).unwrap().permute((2, 0, 1)).unwrap())
}

// 1e-4 of the largest value: sums of another order, norms folded into weights.
fn check(stage: &str, model: &str, device: &Device) {
    let golden = Golden::open(stage);
    let network = ResNet::new(&golden_layers(model, device).at("resnet")).unwrap();
    let shape = golden.shape("fbank");
    let features = Tensor::from_vec(golden.f32("fbank"), (shape[1], shape[2]), device.candle());
    let features = features.unwrap().t().unwrap().contiguous().unwrap();
    let frames = network
        .trunk(&features.reshape((1, shape[2], shape[1], 1)).unwrap())
        .unwrap();
    assert_close_f32(&channels_first(&frames), &golden.f32("frames"), 1e-4, "frames");

    let masks = golden.f32("masks");
    let masks: Vec<&[f32]> = masks.chunks(golden.shape("masks")[1]).collect();
    let (_, height, time, channels) = frames.dims4().unwrap();
    let trunk = TrunkFrames {
        values: &numbers(&frames),
        height,
        frames: time,
        channels,
    };
    let statistics: Vec<f32> = masks.iter().flat_map(|mask| trunk.weighted(mask)).collect();
    assert_close_f32(&statistics, &golden.f32("stats"), 1e-4, "stats");
    let vectors = network.vectors(
        (trunk.values, [1, height, time, channels]),
        std::slice::from_ref(&masks),
        frames.device(),
    );
    let vectors = vectors.unwrap();
    assert_close_f32(&vectors.concat().concat(), &golden.f32("embedding"), 1e-4, "embedding");
    let plain = network
        .embed(trunk.plain(), 2 * channels * height, frames.device())
        .unwrap();
    assert_close_f32(
        &plain.concat(),
        &golden.f32("embedding_no_mask"),
        1e-4,
        "embedding_no_mask",
    );

    let embedder = Embedder::wespeaker(&golden_layers(model, device), shape[2]).unwrap();
    let window = MaskedWindow {
        features: embedder.fbank().compute(&golden.f32("waveform")).unwrap(),
        masks: masks.iter().map(|mask| mask.to_vec()).collect(),
    };
    let mut buffers = EmbedderBuffers::default();
    let vectors = embedder.embed(vec![window.clone()], &mut buffers).unwrap();
    assert_close_f32(
        &vectors.concat().concat(),
        &golden.f32("embedding"),
        1e-4,
        "from samples",
    );
    let again = embedder.embed(vec![window.clone(), window], &mut buffers).unwrap();
    let twice = [vectors.concat(), vectors.concat()].concat().concat();
    assert_close_f32(
        &again.concat().concat(),
        &twice,
        device.noise().into(),
        "left over values show",
    );
}

#[test]
fn trunk_statistics_and_vectors_are_those_of_the_original() {
    let device = Device::under_test();
    check(
        "stages/embedding.31.safetensors",
        "pyannote/wespeaker-voxceleb-resnet34-LM",
        &device,
    );
    check(
        "stages/embedding.multilabel.safetensors",
        "tiny/multilabel/embedding",
        &device,
    );
}

#[test]
fn the_tensor_library_alone_gives_the_same_vectors() {
    check(
        "stages/embedding.multilabel.safetensors",
        "tiny/multilabel/embedding",
        &Device::without_kernels(),
    );
}

#[test]
fn positions_are_the_nearest_as_in_the_original() {
    let golden = Golden::open("stages/embedding.31.safetensors");
    let expected: Vec<usize> = golden
        .i32("nearest")
        .iter()
        .map(|index| usize::try_from(*index).unwrap())
        .collect();
    let masks = golden.shape("masks")[1];
    let found = crate::diarization::embedding::mask::nearest(masks, expected.len());
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
