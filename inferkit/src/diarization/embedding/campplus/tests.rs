use super::*;
use crate::diarization::golden::Golden;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::layers::golden_layers;
use crate::nn::Device;

/// `[1, t, c]` as the original has it: `[c, t]`.
fn channels_first(x: &Tensor) -> Vec<f32> {
    x.squeeze(0)
        .unwrap()
        .t()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

// 1e-4 of the largest value: sums of another order, norms folded into weights.
fn check(device: &Device) {
    let golden = Golden::open("stages/campplus.safetensors");
    let network = CamPlusPlus::new(&golden_layers("tiny/campplus.pt", device)).unwrap();
    let shape = golden.shape("fbank");
    let features = Tensor::from_vec(golden.f32("fbank"), (1, shape[0], shape[1]), device.candle()).unwrap();
    let head = network.head.forward(&features).unwrap();
    assert_close_f32(&channels_first(&head), &golden.f32("head"), 1e-4, "head");
    let mut x = network.tdnn.forward_sequences(&head, Activation::Relu).unwrap();
    assert_close_f32(&channels_first(&x), &golden.f32("tdnn"), 1e-4, "tdnn");
    for (number, block) in network.blocks.iter().enumerate() {
        x = block.forward(&x).unwrap();
        let name = format!("transit{}", number + 1);
        assert_close_f32(&channels_first(&x), &golden.f32(&name), 1e-4, &name);
    }
    let found = network.vector(&features).unwrap();
    assert_close_f32(&found, &golden.f32("embedding"), 1e-4, "embedding");
    let found = network.vector(&features.narrow(1, 0, 40).unwrap()).unwrap();
    assert_close_f32(
        &found,
        &golden.f32("embedding_first_40_frames"),
        1e-4,
        "embedding_first_40_frames",
    );
}

#[test]
fn every_part_is_that_of_the_original() {
    check(&Device::under_test());
}

#[test]
fn the_tensor_library_alone_gives_the_same() {
    check(&Device::without_kernels());
}

#[test]
fn segments_cover_every_frame() {
    assert_eq!(segments(250).collect::<Vec<_>>(), [(0, 100), (100, 100), (200, 50)]);
    assert_eq!(segments(100).collect::<Vec<_>>(), [(0, 100)]);
}
