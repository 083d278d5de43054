use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::chat::sampler::logprobs;

fn sampler(request: &Sampling, vocabulary: usize) -> Sampler {
    let context = SamplerContext {
        defaults: &Sampling::default(),
        choice: 0,
        vocabulary,
        prompt: &[],
    };
    Sampler::new(request, context)
}

fn golden(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/llm")).join(path)
}

#[test]
fn greedy_takes_the_largest_and_the_lowest_id_of_equals() {
    assert_eq!(
        sampler(&Sampling::greedy(), 4)
            .sample(&mut [1.0, 3.0, 3.0, 2.0], &[])
            .unwrap(),
        1
    );
}

#[test]
fn one_candidate_is_greedy_at_any_temperature() {
    let request = Sampling {
        top_k: Some(1),
        temperature: Some(2.0),
        ..Sampling::default()
    };
    let sampler = sampler(&request, 3);
    assert!(sampler.drawing.is_none());
    assert_eq!(sampler.sample(&mut [1.0, 1.0, 0.0], &[]).unwrap(), 0);
}

#[test]
fn bias_forbidden_tokens_and_penalties_come_before_the_choice() {
    let request = Sampling {
        logit_bias: vec![(0, -100.0), (9, 5.0)],
        ..Sampling::greedy()
    };
    let mut sampler = sampler(&request, 4);
    assert_eq!(sampler.sample(&mut [9.0, 8.0, 7.0, 6.0], &[]).unwrap(), 1);
    assert_eq!(sampler.sample(&mut [9.0, 8.0, 7.0, 6.0], &[1]).unwrap(), 2);
    sampler = self::sampler(
        &Sampling {
            presence_penalty: Some(2.0),
            ..Sampling::greedy()
        },
        4,
    );
    sampler.accept(0);
    assert_eq!(sampler.sample(&mut [9.0, 8.0, 7.0, 6.0], &[]).unwrap(), 1);
}

#[test]
fn padding_behind_the_vocabulary_is_never_chosen() {
    assert_eq!(
        sampler(&Sampling::greedy(), 2)
            .sample(&mut [1.0, 2.0, 9.0, f32::NAN], &[])
            .unwrap(),
        1
    );
}

#[test]
fn a_row_that_holds_no_number_or_allows_no_token_is_a_failed_generation() {
    let rows = [[0.0, f32::NAN], [0.0, f32::INFINITY], [f32::NEG_INFINITY; 2]];
    for request in [Sampling::greedy(), Sampling::default()] {
        for row in rows {
            let error = sampler(&request, 2).sample(&mut row.clone(), &[]).unwrap_err();
            assert_eq!(error.code(), "generation_failed", "{row:?}: {error}");
        }
        assert!(sampler(&request, 2).sample(&mut [], &[]).is_err());
    }
}

#[test]
fn a_request_beats_the_models_defaults_and_those_beat_the_neutral_values() {
    let defaults = Sampling {
        temperature: Some(0.0),
        top_k: Some(20),
        ..Sampling::default()
    };
    let context = SamplerContext {
        defaults: &defaults,
        choice: 0,
        vocabulary: 2,
        prompt: &[],
    };
    assert!(Sampler::new(&Sampling::default(), context).drawing.is_none());
    let drawing = Sampler::new(&Sampling::default().with_temperature(0.5), context)
        .drawing
        .unwrap();
    assert_eq!(
        (drawing.temperature, drawing.limits),
        (
            0.5,
            Limits {
                top_k: 20,
                top_p: 1.0,
                min_p: 0.0
            }
        )
    );
}

/// 300 tokens drawn from a fixed row.
fn drawn(seed: u64, choice: usize) -> Vec<u32> {
    let context = SamplerContext {
        defaults: &Sampling::default(),
        choice,
        vocabulary: 8,
        prompt: &[],
    };
    let mut sampler = Sampler::new(&Sampling::default().with_seed(seed), context);
    let row = [0.1_f32, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
    (0..300)
        .map(|_| {
            let token = sampler.sample(&mut row.clone(), &[]).unwrap();
            assert_eq!(
                sampler.sample(&mut row.clone(), &[]).unwrap(),
                token,
                "asking twice draws the same"
            );
            sampler.accept(token);
            token
        })
        .collect()
}

#[test]
fn seed_and_choice_decide_the_draws() {
    assert_eq!(drawn(1, 0), drawn(1, 0));
    assert_ne!(drawn(1, 0), drawn(2, 0));
    assert_ne!(drawn(1, 0), drawn(1, 1));
}

#[test]
fn without_a_seed_two_answers_differ() {
    let seed = || sampler(&Sampling::default(), 2).drawing.unwrap().seed;
    assert_ne!(seed(), seed());
}

/// Whether 20,000 draws fit the probabilities `expected`, at a level of one in a thousand.
fn check_frequencies(request: Sampling, logits: &[f32], expected: &[f64]) {
    let draws = 20_000_u32;
    let mut sampler = sampler(&request.with_seed(11), logits.len());
    let mut counts = vec![0_u32; logits.len()];
    for _ in 0..draws {
        let token = sampler.sample(&mut logits.to_vec(), &[]).unwrap();
        counts[token as usize] += 1;
        sampler.position += 1;
    }
    let mut chi_square = 0.0;
    for (&count, &probability) in counts.iter().zip(expected) {
        if probability == 0.0 {
            assert_eq!(count, 0, "a token of no probability was drawn: {counts:?}");
        } else {
            let mean = probability * f64::from(draws);
            chi_square += (f64::from(count) - mean).powi(2) / mean;
        }
    }
    // The 0.999 quantile with 5 degrees of freedom is 20.5; the draws are fixed by the seed.
    assert!(
        chi_square < 20.5,
        "chi-square {chi_square}, counts {counts:?}, expected {expected:?}"
    );
}

#[test]
fn draws_follow_the_exact_distribution() {
    let probabilities = [0.4, 0.25, 0.15, 0.1, 0.07, 0.03];
    let logits = probabilities.map(|probability: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is meant")]
        let logit = probability.ln() as f32;
        logit
    });
    check_frequencies(Sampling::default(), &logits, &probabilities);

    let squares: f64 = probabilities.iter().map(|probability| probability * probability).sum();
    let sharper = probabilities.map(|probability| probability * probability / squares);
    check_frequencies(Sampling::default().with_temperature(0.5), &logits, &sharper);

    let top_k = Sampling {
        top_k: Some(3),
        ..Sampling::default()
    };
    check_frequencies(top_k, &logits, &[0.5, 0.3125, 0.1875, 0.0, 0.0, 0.0]);

    let top_p = Sampling {
        top_p: Some(0.7),
        ..Sampling::default()
    };
    check_frequencies(top_p, &logits, &[0.5, 0.3125, 0.1875, 0.0, 0.0, 0.0]);

    let min_p = Sampling {
        min_p: Some(0.6),
        ..Sampling::default()
    };
    check_frequencies(min_p, &logits, &[0.4 / 0.65, 0.25 / 0.65, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn log_probabilities_are_the_references() {
    let model = "models/qwen3-tied";
    let expected: Value = serde_json::from_slice(&std::fs::read(golden(model).join("expected.json")).unwrap()).unwrap();
    let file = std::fs::read(golden(model).join("expected.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let vocabulary = usize::try_from(expected["tokenizer_size"].as_u64().unwrap()).unwrap();
    for prompt in expected["prompts"].as_array().unwrap() {
        let tensor = tensors.tensor(prompt["logits"]["tensor"].as_str().unwrap()).unwrap();
        let first = usize::try_from(prompt["logits"]["first_position"].as_u64().unwrap()).unwrap();
        let width = tensor.shape()[1];
        let values: Vec<f32> = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let last = prompt["ids"].as_array().unwrap().len() - 1 - first;
        let row = &values[last * width..(last + 1) * width];
        let ids: Vec<u32> = serde_json::from_value(prompt["top20_next"]["ids"].clone()).unwrap();
        let logprobs_expected: Vec<f32> = serde_json::from_value(prompt["top20_next"]["logprobs"].clone()).unwrap();
        let found = logprobs(row, ids[0], 20, vocabulary);
        assert_eq!(
            found.top.iter().map(|&(id, _)| id).collect::<Vec<_>>(),
            ids,
            "{}",
            prompt["name"]
        );
        // The golden has six decimals; the rows are the reference's own.
        for (&(id, logprob), expected) in found.top.iter().zip(logprobs_expected) {
            assert!(
                (logprob - expected).abs() < 2e-5,
                "{} token {id}: {logprob} and {expected}",
                prompt["name"]
            );
        }
        assert_eq!(
            sampler(&Sampling::greedy(), vocabulary)
                .sample(&mut row.to_vec(), &[])
                .unwrap(),
            ids[0]
        );
    }
}
