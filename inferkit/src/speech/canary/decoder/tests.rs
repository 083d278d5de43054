use candle_core::Tensor;

use super::super::testing::Golden;
use super::super::testing::MODELS;
use super::super::testing::clip;
use super::super::testing::difference;
use super::super::testing::load;
use super::*;

/// Rounding in f32 over the layers (canary.md, section 13).
const STATES: f32 = 3e-4;
const LOGITS: f32 = 2e-3;

fn ids(golden: &Golden) -> Vec<u32> {
    let ids = golden.tensors["dec.input_ids"]
        .flatten_all()
        .unwrap()
        .to_vec1::<i64>()
        .unwrap();
    ids.iter().map(|id| u32::try_from(*id).unwrap()).collect()
}

fn room(tokens: usize) -> Room {
    Room { hypotheses: 1, tokens }
}

fn states(golden: &mut Golden) -> States {
    let features = golden.networks.front_end.whole(&clip("b_en")).unwrap();
    golden.networks.encode(&[features], &mut || true).unwrap()
}

#[test]
fn every_stage_of_the_decoder_is_the_original_s() {
    for name in MODELS {
        let mut golden = load(name);
        let states = states(&mut golden);
        let (decoder, tokens) = (&golden.networks.decoder, ids(&golden));
        let count = tokens.len();
        let mut session = decoder.begin(&states, &[room(count)]).unwrap();
        let plan = session.plan(&[StepRow { slot: 0, tokens }]).unwrap();
        let check = |found: &Tensor, stage: &str, most: f32| {
            let found = difference(found, &golden.tensors[stage]);
            assert!(found < most, "{name}: {stage} differs by {found}");
        };
        let mut x = decoder.embed(&plan).unwrap();
        check(&x, "dec.embedding", STATES);
        for (index, layer) in decoder.layers.iter().enumerate() {
            x = layer.forward(index, &x, &mut session, &plan).unwrap();
            check(&x, &format!("dec.layer.{index}"), STATES);
        }
        if let Some(norm) = &decoder.final_norm {
            x = norm.forward(&x).unwrap();
        }
        check(&x, "dec.final", STATES);
        check(
            &decoder.logits(&x.narrow(0, 0, 10).unwrap()).unwrap(),
            "dec.logits",
            LOGITS,
        );
        let last = decoder.logits(&x.narrow(0, count - 1, 1).unwrap()).unwrap();
        let last = candle_nn::ops::log_softmax(&last, candle_core::D::Minus1).unwrap();
        check(&last, "dec.log_probs_last", LOGITS);
    }
}

#[test]
fn token_by_token_gives_what_all_at_once_gives() {
    let mut golden = load("canary-180m-flash");
    let states = states(&mut golden);
    let (decoder, tokens) = (&golden.networks.decoder, ids(&golden));
    let mut whole = decoder.begin(&states, &[room(tokens.len())]).unwrap();
    let at_once = decoder
        .step(
            &mut whole,
            &[StepRow {
                slot: 0,
                tokens: tokens.clone(),
            }],
        )
        .unwrap();
    let mut session = decoder.begin(&states, &[room(tokens.len())]).unwrap();
    let mut last = Vec::new();
    for token in tokens {
        last = decoder
            .step(
                &mut session,
                &[StepRow {
                    slot: 0,
                    tokens: vec![token],
                }],
            )
            .unwrap();
    }
    for (found, expected) in last.iter().zip(&at_once) {
        assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
    }
}

#[test]
fn a_copy_of_a_hypothesis_goes_on_as_the_first_would() {
    let mut golden = load("canary-180m-flash");
    let states = states(&mut golden);
    let (decoder, tokens) = (&golden.networks.decoder, ids(&golden));
    let two = Room {
        hypotheses: 2,
        tokens: tokens.len(),
    };
    let mut session = decoder.begin(&states, &[two]).unwrap();
    let row = |slot: usize, tokens: &[u32]| StepRow {
        slot,
        tokens: tokens.to_vec(),
    };
    decoder.step(&mut session, &[row(0, &tokens[..9])]).unwrap();
    assert_eq!(session.descend(&[0, 1], &[0, 0]).unwrap(), [0, 1]);
    let both = decoder
        .step(&mut session, &[row(0, &tokens[9..10]), row(1, &tokens[9..10])])
        .unwrap();
    let (first, second) = both.split_at(both.len() / 2);
    assert_eq!(first, second);
}

#[test]
fn a_step_without_room_or_tokens_is_an_error() {
    let mut golden = load("canary-180m-flash");
    let states = states(&mut golden);
    let decoder = &golden.networks.decoder;
    let mut session = decoder.begin(&states, &[room(4)]).unwrap();
    for row in [
        StepRow {
            slot: 0,
            tokens: Vec::new(),
        },
        StepRow {
            slot: 7,
            tokens: vec![1],
        },
        StepRow {
            slot: 0,
            tokens: vec![1; 400],
        },
    ] {
        assert_eq!(decoder.step(&mut session, &[row]).unwrap_err().code(), "internal_error");
    }
    assert!(decoder.begin(&states, &[]).is_err());
}
