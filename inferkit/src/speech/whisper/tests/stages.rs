//! Features, states and logits of the small model, as transformers computes them.

use super::golden::difference;
use super::golden::expected;
use super::golden::network;
use super::golden::signal;
use crate::nn::Device;
use crate::speech::whisper::config::WINDOW_FRAMES;
use crate::speech::whisper::mel::WhisperMel;
use crate::speech::whisper::network::DecoderStep;

fn indices(value: &serde_json::Value) -> Vec<usize> {
    let numbers = value.as_array().unwrap().iter();
    numbers
        .map(|number| usize::try_from(number.as_u64().unwrap()).unwrap())
        .collect()
}

/// Three seconds and silence up to thirty, as transformers pads short recordings.
fn features() -> Vec<f32> {
    let mel = WhisperMel::new(80).unwrap();
    let samples = signal(3.0);
    let loudest = mel.loudest(&samples).unwrap();
    mel.features(&samples, (0, WINDOW_FRAMES), loudest).unwrap()
}

#[test]
fn features_are_those_of_the_original() {
    let golden = &expected()["stages"];
    let features = features();
    for (index, frame) in indices(&golden["mel_frames"]).into_iter().enumerate() {
        let found = &features[frame * 80..(frame + 1) * 80];
        // Both are f32: bins near the floor differ by the rounding of the transform, a few millionths of the scale.
        let difference = difference(found, &golden["mel"][index]);
        assert!(difference < 2e-4, "frame {frame}: {difference}");
    }
}

#[test]
fn states_and_logits_are_those_of_the_original() {
    let golden = &expected()["stages"];
    let mut network = network();
    let states = network.encode(&[(1, features())]).unwrap().remove(0);
    let states = states.to_vec2::<f32>().unwrap();
    for (index, row) in indices(&golden["state_rows"]).into_iter().enumerate() {
        // States are of the order of one; two layers in f32 in another order of sums.
        let difference = difference(&states[row], &golden["states"][index]);
        assert!(difference < 1e-3, "row {row}: {difference}");
    }
    let tokens: Vec<u32> = indices(&golden["tokens"])
        .into_iter()
        .map(|id| u32::try_from(id).unwrap())
        .collect();
    let mut step = DecoderStep::default();
    step.add(&tokens, (3, 1, 0), &indices(&golden["logit_rows"]));
    let logits = network.step(&step).unwrap();
    let vocabulary = logits.len() / 2;
    for (index, row) in logits.chunks(vocabulary).enumerate() {
        let difference = difference(row, &golden["logits"][index]);
        assert!(difference < 2e-3, "row {index}: {difference}");
    }
}

#[test]
fn a_text_read_token_by_token_beside_others_has_the_logits_of_one_that_is_read_at_once() {
    let mut network = network();
    network.encode(&[(0, features()), (1, features())]).unwrap();
    let tokens = [321, 323, 327, 332, 40, 41, 42];
    let mut step = DecoderStep::default();
    step.add(&tokens, (0, 0, 0), &[6]);
    let at_once = network.step(&step).unwrap();
    let mut last = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let mut step = DecoderStep::default();
        step.add(&[tokens[(index + 1) % 7]], (4, 1, index), &[0]);
        step.add(&[*token], (2, 1, index), &[0]);
        let logits = network.step(&step).unwrap();
        last = logits[logits.len() / 2..].to_vec();
    }
    let found = last
        .iter()
        .zip(&at_once)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        found <= Device::under_test().noise(),
        "by {found}: the kernels give a row whatever else is in the batch"
    );
}
