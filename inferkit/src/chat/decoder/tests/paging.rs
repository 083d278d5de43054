//! The same tokens give the same logits however they are cut into steps, batched and laid out in blocks.

use super::harness::Expected;
use super::harness::ExpectedPrompt;
use super::harness::Sequence;
use super::harness::goldens;
use super::harness::greedy;
use super::harness::largest_difference;
use super::harness::load;
use super::harness::push;
use super::harness::run;
use super::harness::step;
use crate::chat::decoder::Decoder;
use crate::chat::runner::StepBatch;
use crate::nn::DtypePreference;

/// Asked for in the goldens' README.
const TOLERANCE: f32 = 1e-3;

/// One of each kind of attention and feed-forward block.
const FOLDERS: [&str; 4] = ["llama-tied", "qwen2-sliding", "qwen3-yarn", "qwen3-moe"];

fn model(folder: &str) -> (Decoder, Vec<ExpectedPrompt>) {
    let path = goldens().join("models").join(folder);
    let expected = Expected::read(&path);
    (
        load(&path, DtypePreference::Auto).unwrap(),
        expected.prompts(&expected.value),
    )
}

fn shuffled() -> Sequence {
    Sequence::new([31, 4, 17, 8, 25, 2, 39, 11, 6, 20])
}

#[test]
fn chunks_of_any_size_in_shuffled_blocks_give_the_single_run() {
    for folder in FOLDERS {
        let (mut decoder, prompts) = model(folder);
        for prompt in &prompts {
            for chunk in [1, 7, 16] {
                let mut sequence = shuffled();
                let logits = run(&mut decoder, &mut sequence, &prompt.ids, chunk);
                let difference = largest_difference(&logits[prompt.first_position..], &prompt.logits);
                assert!(
                    difference < TOLERANCE,
                    "{folder}, {}, chunks of {chunk}: {difference}",
                    prompt.name
                );
                let tokens = greedy(&mut decoder, &mut sequence, &logits[logits.len() - 1], 12);
                assert_eq!(
                    tokens,
                    prompt.greedy_ignoring_eos[..12],
                    "{folder}, {}, chunks of {chunk}",
                    prompt.name
                );
            }
        }
    }
}

#[test]
fn sequences_of_different_lengths_in_one_batch_give_their_single_runs() {
    for folder in FOLDERS {
        let (mut decoder, prompts) = model(folder);
        // Blocks handed out one by one, as to sequences that grow side by side.
        let stride = u32::try_from(prompts.len()).unwrap();
        let mut sequences: Vec<_> = (1..=stride)
            .map(|first| Sequence::new((first..40).step_by(prompts.len())))
            .collect();
        let mut batch = StepBatch::default();
        for (prompt, sequence) in prompts.iter().zip(&mut sequences) {
            push(&mut batch, sequence, &prompt.ids);
        }
        let mut logits = step(&mut decoder, &batch);
        let mut last = Vec::new();
        for prompt in &prompts {
            let rest = logits.split_off(prompt.ids.len());
            let difference = largest_difference(&logits[prompt.first_position..], &prompt.logits);
            assert!(difference < TOLERANCE, "{folder}, {}: {difference}", prompt.name);
            last.push(super::harness::best(&logits[logits.len() - 1]));
            logits = rest;
        }
        let mut found: Vec<Vec<u32>> = last.iter().map(|token| vec![*token]).collect();
        for _ in 1..12 {
            let mut batch = StepBatch::default();
            for (token, sequence) in last.iter().zip(&mut sequences) {
                push(&mut batch, sequence, &[*token]);
            }
            last = step(&mut decoder, &batch)
                .iter()
                .map(|logits| super::harness::best(logits))
                .collect();
            found
                .iter_mut()
                .zip(&last)
                .for_each(|(found, token)| found.push(*token));
        }
        for (prompt, found) in prompts.iter().zip(&found) {
            assert_eq!(found[..], prompt.greedy_ignoring_eos[..12], "{folder}, {}", prompt.name);
        }
    }
}

#[test]
fn a_prompt_chunk_beside_a_growing_sequence_changes_neither() {
    let (mut decoder, prompts) = model("qwen3-tied");
    let (growing, arriving) = (&prompts[1], &prompts[3]);
    let (mut first, mut second) = (Sequence::new([3, 9, 1]), shuffled());
    let logits = run(&mut decoder, &mut first, &growing.ids, usize::MAX);
    let mut tokens = vec![super::harness::best(&logits[logits.len() - 1])];
    let mut arrived = Vec::new();
    for chunk in arriving.ids.chunks(16) {
        let mut batch = StepBatch::default();
        push(&mut batch, &mut first, &tokens[tokens.len() - 1..]);
        push(&mut batch, &mut second, chunk);
        let logits = step(&mut decoder, &batch);
        tokens.push(super::harness::best(&logits[0]));
        arrived.extend(logits[1..].to_vec());
    }
    assert_eq!(tokens[..], growing.greedy_ignoring_eos[..tokens.len()]);
    assert!(largest_difference(&arrived[arriving.first_position..], &arriving.logits) < TOLERANCE);
}

#[test]
fn only_the_rows_asked_for_have_logits() {
    let (mut decoder, prompts) = model("llama-tied");
    let prompt = &prompts[1];
    let mut batch = StepBatch::default();
    push(&mut batch, &mut shuffled(), &prompt.ids);
    let all = step(&mut decoder, &batch);
    batch.logit_rows = vec![2, 6];
    let some = step(&mut decoder, &batch);
    assert!(largest_difference(&some, &[all[2].clone(), all[6].clone()]) < 1e-5);
    batch.logit_rows = Vec::new();
    assert!(step(&mut decoder, &batch).is_empty());
    assert!(
        step(&mut decoder, &StepBatch::default()).is_empty(),
        "a step without tokens"
    );
}
