use super::*;
use crate::diarization::golden::Golden;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::layers::golden_layers;
use crate::nn::Device;

const POWERSET: PyanNetOptions = PyanNetOptions {
    sinc_stride: 10,
    scores: ScoreKind::LogProbabilities,
};
const MULTILABEL: PyanNetOptions = PyanNetOptions {
    sinc_stride: 10,
    scores: ScoreKind::Probabilities,
};

// 1e-4 of the largest value: sums of another order, and exponentials of another library.
#[test]
fn states_and_scores_are_those_of_the_original() {
    for (stage, model, options) in [
        (
            "stages/front.powerset.safetensors",
            "pyannote/segmentation-3.0",
            POWERSET,
        ),
        (
            "stages/front.multilabel.safetensors",
            "tiny/multilabel/segmentation",
            MULTILABEL,
        ),
    ] {
        let golden = Golden::open(stage);
        let device = Device::under_test();
        let network = PyanNet::new(&golden_layers(model, &device), options).unwrap();
        let samples = golden.f32("waveform");
        let windows = SoundWindows {
            samples: &samples,
            starts: &[0],
            window: samples.len(),
        };
        let states = network
            .lstm
            .forward(&network.sincnet.forward(windows).unwrap())
            .unwrap();
        let found: Vec<f32> = states.flatten_all().unwrap().to_vec1().unwrap();
        assert_close_f32(&found, &golden.f32("lstm"), 1e-4, "lstm");
        let scores = network.scores(windows).unwrap();
        assert_eq!(scores.shape().to_vec(), golden.shape("output"));
        assert_close_f32(scores.values(), &golden.f32("output"), 1e-4, "output");
    }
}

#[test]
fn the_tensor_library_alone_gives_the_same_scores() {
    let golden = Golden::open("stages/front.powerset.safetensors");
    let network = PyanNet::new(
        &golden_layers("pyannote/segmentation-3.0", &Device::without_kernels()),
        POWERSET,
    )
    .unwrap();
    let windows = SoundWindows {
        samples: &golden.f32("waveform"),
        starts: &[0],
        window: 8_000,
    };
    let scores = network.scores(windows).unwrap();
    assert_close_f32(scores.values(), &golden.f32("output"), 1e-4, "output");
}

#[test]
fn a_checkpoint_of_another_network_is_refused() {
    let device = Device::without_kernels();
    let resnet = golden_layers("pyannote/wespeaker-voxceleb-resnet34-LM", &device);
    let error = PyanNet::new(&resnet, POWERSET).unwrap_err();
    assert!(error.to_string().contains("sincnet"), "{error}");
}
