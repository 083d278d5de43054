//! The real small model, where it is on this machine.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::harness::Sequence;
use super::harness::goldens;
use super::harness::greedy;
use super::harness::ids;
use super::harness::load;
use super::harness::run;
use crate::nn::DtypePreference;

/// The model's file, or nothing, said aloud.
fn file() -> Option<PathBuf> {
    let told = std::env::var_os("INFERKIT_SMOLLM2").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo/qwen/SmolLM2-135M-Instruct.Q4_1.gguf");
    let found = told.into_iter().chain([usual]).find(|path| path.is_file());
    if found.is_none() {
        crate::testing::skip("SmolLM2 is not here; `make demo` fetches it, or set INFERKIT_SMOLLM2 to its path");
    }
    found
}

fn runs() -> Vec<Value> {
    let text = std::fs::read(goldens().join("smollm2/expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&text).unwrap();
    expected["runs"].as_array().unwrap().clone()
}

fn logprobs(logits: &[f32]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f32::MIN, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    logits
        .iter()
        .map(|logit| f64::from(logit - highest) - sum.ln())
        .collect()
}

/// Checks the most probable tokens after each prompt, and the greedy text up to the first step whose margin is
/// below `decided`.
fn agrees(dtype: DtypePreference, tolerance: f64, decided: f64, most_steps: usize) {
    let Some(path) = file() else { return };
    let mut decoder = load(&path, dtype).unwrap();
    for run_of in runs() {
        let mut sequence = Sequence::alone();
        let logits = run(&mut decoder, &mut sequence, &ids(&run_of["ids"]), usize::MAX);
        let last = &logits[logits.len() - 1];
        let found = logprobs(last);
        let wanted = run_of["top20_next"]["logprobs"].as_array().unwrap();
        let difference = ids(&run_of["top20_next"]["ids"])
            .iter()
            .zip(wanted)
            .fold(0.0_f64, |most, (id, wanted)| {
                let difference = (found[*id as usize] - wanted.as_f64().unwrap()).abs();
                if difference <= most { most } else { difference }
            });
        eprintln!("{}: top 20 differ by at most {difference:.3}", run_of["name"]);
        assert!(
            difference <= tolerance,
            "{}: top 20 differ by {difference}",
            run_of["name"]
        );
        let margins = run_of["greedy"]["margins"].as_array().unwrap();
        let sure = margins
            .iter()
            .take_while(|margin| margin.as_f64().unwrap() >= decided)
            .count()
            .min(most_steps);
        if sure > 0 {
            let tokens = greedy(&mut decoder, &mut sequence, last, sure);
            assert_eq!(tokens, ids(&run_of["greedy"]["ids"])[..sure], "{}", run_of["name"]);
        }
    }
}

#[test]
fn smollm2_as_stored_gives_the_reference_s_most_probable_tokens() {
    agrees(DtypePreference::Auto, 0.75, 1.5, 40);
}

#[test]
fn smollm2_widened_gives_the_reference_s_probabilities_and_text() {
    agrees(DtypePreference::F32, 0.02, 0.02, 8);
}
