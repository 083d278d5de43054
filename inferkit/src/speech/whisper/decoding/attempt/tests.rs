//! Searches over logits that are written by hand.

use super::*;
use crate::speech::whisper::config::WhisperConfig;
use crate::speech::whisper::config::tests::published;
use crate::speech::whisper::tokens::tests::SMALL_VOCABULARY;
use crate::speech::whisper::tokens::tests::small;

const TIME: u32 = 20;
const ENDS: Ends = Ends {
    end_of_text: 10,
    no_speech: 18,
};

fn rules() -> LogitRules {
    let mut model = published();
    model["vocab_size"] = SMALL_VOCABULARY.into();
    let config = WhisperConfig::from_json(model.to_string().as_bytes(), None, None).unwrap();
    LogitRules::new(&config, small().special())
}

/// A row in which `likely` tokens have these logits and all others −20.
fn row(likely: &[(u32, f32)]) -> Vec<f32> {
    let mut row = vec![-20.0; SMALL_VOCABULARY];
    for (token, logit) in likely {
        row[*token as usize] = *logit;
    }
    row
}

fn attempt(search: Search, positions: usize) -> Attempt {
    let prompt = Prompt {
        tokens: vec![17, 5, 11],
        start: 2,
    };
    Attempt::new(search, prompt, (4, &[7, 8, 9]), positions)
}

/// Runs an attempt on the rows of each step.
fn run(attempt: &mut Attempt, steps: &[Vec<Vec<f32>>]) -> Vec<LaneCopy> {
    let mut copies = Vec::new();
    for rows in steps {
        assert_eq!(attempt.rows(), rows.len(), "rows of the step");
        let mut logits = rows.concat();
        copies = attempt.advance(&mut logits, &rules(), ENDS, &mut Random::new(1));
    }
    copies
}

#[test]
fn the_prompt_is_read_at_once_and_then_one_token_at_a_time() {
    let mut attempt = attempt(Search::Greedy, 448);
    let mut step = DecoderStep::default();
    attempt.plan(&mut step);
    assert_eq!(
        (step.tokens.as_slice(), step.logit_rows.as_slice()),
        (&[17, 5, 11][..], &[2, 2][..])
    );

    run(&mut attempt, &[vec![row(&[]), row(&[(TIME, 5.0)])]]);
    let mut step = DecoderStep::default();
    attempt.plan(&mut step);
    let lane = step.lanes[0];
    assert_eq!(
        (step.tokens.as_slice(), lane.lane, lane.slot, lane.cached),
        (&[TIME][..], 7, 4, 3)
    );
}

#[test]
fn the_most_probable_tokens_are_written_until_the_end() {
    let mut attempt = attempt(Search::Greedy, 448);
    let no_speech = row(&[(18, 10.0), (5, 10.0)]);
    run(
        &mut attempt,
        &[
            vec![no_speech, row(&[(TIME, 9.0)])],
            vec![row(&[(5, 9.0)])],
            vec![row(&[(10, 9.0)])],
        ],
    );
    assert!(attempt.is_done());
    let decoded = attempt.decoded();
    assert_eq!(decoded.tokens, [TIME, 5]);
    assert!((decoded.no_speech_probability - 0.5).abs() < 1e-3, "{decoded:?}");
    assert!(decoded.average_logprob > -1e-6, "{decoded:?}");
}

#[test]
fn each_token_has_its_own_probability_and_the_average_counts_the_end_too() {
    for search in [Search::Greedy, Search::Beam { width: 1 }] {
        let mut attempt = attempt(search, 448);
        // Half of it goes to another token: ln 1/2 for the text, and the end is as good as sure.
        let steps = [
            vec![row(&[]), row(&[(TIME, 9.0)])],
            vec![row(&[(5, 9.0), (6, 9.0)])],
            vec![row(&[(10, 9.0)])],
        ];
        run(&mut attempt, &steps);
        let decoded = attempt.decoded();
        assert_eq!(decoded.tokens, [TIME, 5]);
        let [time, text] = decoded.logprobs.as_slice() else {
            panic!("two of them: {decoded:?}")
        };
        assert!(time.abs() < 1e-5 && (text - 0.5_f32.ln()).abs() < 1e-5, "{decoded:?}");
        assert!(
            (decoded.average_logprob - (time + text) / 3.0).abs() < 1e-5,
            "{decoded:?}"
        );
    }
}

#[test]
fn a_text_ends_at_half_of_the_positions() {
    let mut attempt = attempt(Search::Greedy, 6);
    let first = vec![row(&[]), row(&[(TIME, 9.0)])];
    run(&mut attempt, &[first, vec![row(&[(5, 9.0)])], vec![row(&[(5, 9.0)])]]);
    assert!(attempt.is_done());
    assert_eq!(attempt.decoded().tokens, [TIME, 5, 5]);
}

#[test]
fn the_likeliest_of_several_samples_wins() {
    let mut attempt = attempt(
        Search::Samples {
            temperature: 0.5,
            count: 2,
        },
        448,
    );
    run(
        &mut attempt,
        &[
            vec![row(&[]), row(&[(TIME, 30.0)]), row(&[(TIME, 30.0)])],
            // The first lane is sure, the second one of two tokens.
            vec![row(&[(5, 30.0)]), row(&[(6, 30.0), (7, 30.0)])],
            vec![row(&[(10, 30.0)]), row(&[(10, 30.0)])],
        ],
    );
    let decoded = attempt.decoded();
    assert_eq!((decoded.tokens.as_slice(), attempt.is_done()), (&[TIME, 5][..], true));
    assert!((decoded.temperature - 0.5).abs() < f32::EPSILON);
}

#[test]
fn a_hot_draw_follows_the_probabilities() {
    let mut random = Random::new(3);
    let logits = [0.0, 3_f32.ln(), f32::NEG_INFINITY];
    let ones = (0..4000).filter(|_| draw(&logits, 1.0, &mut random) == 1).count();
    assert!((2900..3100).contains(&ones), "three of four: {ones}");
    let mut cold = (0..100).map(|_| draw(&[0.0, 5.0], 0.1, &mut random));
    assert!(cold.all(|token| token == 1));
}

#[test]
fn a_beam_keeps_the_likeliest_texts_and_copies_what_splits() {
    let mut attempt = attempt(Search::Beam { width: 2 }, 448);
    let first = row(&[(TIME, 9.0), (TIME + 1, 8.0)]);
    let copies = run(&mut attempt, &[vec![row(&[]), first.clone(), first]]);
    // Both go on from the first lane; the second takes what the first has read.
    assert_eq!(
        copies,
        [LaneCopy {
            from: 7,
            to: 8,
            tokens: 3
        }]
    );
    // What follows the first text is less likely than two ways to follow the second.
    let weak = row(&[(5, 9.0), (6, 9.0), (7, 9.0), (8, 9.0), (9, 9.0), (0, 9.0), (4, 9.0)]);
    let copies = run(&mut attempt, &[vec![weak, row(&[(5, 9.0), (6, 8.9)])]]);
    assert_eq!(
        copies,
        [LaneCopy {
            from: 8,
            to: 7,
            tokens: 4
        }]
    );
    run(&mut attempt, &[vec![row(&[(10, 20.0)]), row(&[(10, 20.0)])]]);
    assert!(attempt.is_done());
    assert_eq!(attempt.decoded().tokens, [TIME + 1, 5]);
}
