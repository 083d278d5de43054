use super::*;
use crate::diarization::golden::Golden;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::layers::golden_layers;
use crate::nn::Device;

/// `[c, t]` of a golden as `[t, c]`.
fn by_frame(golden: &Golden, name: &str) -> Vec<f32> {
    let (shape, values) = (golden.shape(name), golden.f32(name));
    let (channels, frames) = (shape[1], shape[2]);
    (0..frames * channels)
        .map(|i| values[i % channels * frames + i / channels])
        .collect()
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

// Filters 1.2e-6: the original's sines are of f32, and the division by short times enlarges their last bit. Blocks 1e-4 of
// the largest value: sums of another order.
fn check(stage: &str, model: &str) {
    let golden = Golden::open(stage);
    let device = Device::under_test();
    let layers = golden_layers(model, &device).at("sincnet");
    let found = filters(&layers.at("conv1d.0.filterbank")).unwrap();
    assert_close_f32(&found, &golden.f32("filters"), 1.2e-6, "filters");

    let network = SincNet::new(&layers, 10).unwrap();
    let samples = golden.f32("waveform");
    let [scale, shift] = network.wave_norm(&samples);
    let norm: Vec<f32> = samples.iter().map(|x| x * scale + shift).collect();
    assert_close_f32(&norm, &golden.f32("wav_norm"), 1e-4, "wav_norm");
    let windows = SoundWindows {
        samples: &samples,
        starts: &[0],
        window: samples.len(),
    };
    let mut x = network.first_block(windows).unwrap();
    assert_close_f32(&numbers(&x), &by_frame(&golden, "block0"), 1e-4, "block0");
    for number in 1..=2 {
        x = network.block(&x, number).unwrap();
        let name = format!("block{number}");
        assert_close_f32(&numbers(&x), &by_frame(&golden, &name), 1e-4, &name);
    }
    assert_eq!(network.geometry().frames(samples.len()), x.dim(1).unwrap());
}

#[test]
fn every_block_is_that_of_the_original() {
    check("stages/front.powerset.safetensors", "pyannote/segmentation-3.0");
    check("stages/front.multilabel.safetensors", "tiny/multilabel/segmentation");
}

#[test]
fn frames_are_counted_and_placed_as_in_the_original() {
    let geometry = FrameGeometry { stride: 10 };
    assert_eq!(
        [160_000, 80_000, 8_000, 990].map(|samples| geometry.frames(samples)),
        [589, 293, 26, 0]
    );
    assert_eq!((geometry.hop_samples(), geometry.field_samples()), (270, 991));
}

#[test]
fn windows_give_together_what_each_gives_alone_whether_they_share_filters_or_not() {
    let device = Device::under_test();
    let network = SincNet::new(&golden_layers("pyannote/segmentation-3.0", &device).at("sincnet"), 10).unwrap();
    let samples: Vec<f32> = (0..9_000).map(|i| ((i * i % 977) as f32 / 977.0) - 0.4).collect();
    let forward = |starts: &[usize]| {
        let windows = SoundWindows {
            samples: &samples,
            starts,
            window: 4_000,
        };
        numbers(&network.forward(windows).unwrap())
    };
    for starts in [[0, 1_600, 3_200], [0, 1_603, 3_207]] {
        let alone = starts.map(|start| forward(&[start])).concat();
        assert_close_f32(&forward(&starts), &alone, 1e-5, "windows");
    }
}

#[test]
fn a_window_beyond_the_recording_is_an_error() {
    let device = Device::under_test();
    let network = SincNet::new(&golden_layers("pyannote/segmentation-3.0", &device).at("sincnet"), 10).unwrap();
    let windows = SoundWindows {
        samples: &vec![0.0; 5_000],
        starts: &[1_001],
        window: 4_000,
    };
    assert!(network.forward(windows).is_err());
}
