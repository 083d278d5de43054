use std::num::NonZeroUsize;

use super::*;

const ENDS: Ends = Ends { end: 1, pad: 0 };

fn config(beam: Option<usize>, length_penalty: f64) -> SearchConfig {
    SearchConfig {
        beam: beam.and_then(NonZeroUsize::new),
        length_penalty,
        max_generation_delta: None,
    }
}

/// Runs a search over a chain whose next token depends on the last alone.
fn run(config: &SearchConfig, longest: usize, next: impl Fn(u32) -> [f32; 4]) -> Found {
    let mut search = Search::new(config, &[3], longest, ENDS).unwrap();
    let mut last = vec![3];
    loop {
        let rows: Vec<[f32; 4]> = last.iter().map(|token| next(*token).map(f32::ln)).collect();
        let rows: Vec<&[f32]> = rows.iter().map(<[f32; 4]>::as_slice).collect();
        match search.advance(&rows) {
            Some(children) => {
                let unfinished = children.iter().filter(|child| !child.finished);
                last = unfinished.map(|child| child.token).collect();
            }
            None => return search.into_found(),
        }
    }
}

#[test]
fn greedy_takes_the_likeliest_token_each_time() {
    let found = run(&config(None, 0.0), 10, |last| match last {
        2 => [0.0, 0.55, 0.45, 0.0],
        _ => [0.0, 0.4, 0.6, 0.0],
    });
    assert_eq!(found.tokens, [2]);
    assert!((found.score - (0.6_f32 * 0.55).ln()).abs() < 1e-6, "{}", found.score);
}

#[test]
fn the_average_counts_the_end_of_a_text_that_has_one() {
    let found = run(&config(None, 0.0), 10, |last| match last {
        2 => [0.0, 0.55, 0.45, 0.0],
        _ => [0.0, 0.4, 0.6, 0.0],
    });
    assert!((found.average_logprob - found.score / 2.0).abs() < 1e-6);
    let cut = run(&config(None, 0.0), 4, |_| [0.0, 0.1, 0.9, 0.0]);
    assert_eq!(cut.tokens.len(), 3, "there is no room for an end");
    assert!((cut.average_logprob - 0.9_f32.ln()).abs() < 1e-6);
    assert!(Found::default().average_logprob.abs() < f32::EPSILON);
}

#[test]
fn each_token_of_the_text_has_its_own_probability() {
    for (beam, length_penalty) in [(None, 0.0), (Some(1), 1.0), (Some(2), 0.0), (Some(2), 1.0)] {
        let found = run(&config(beam, length_penalty), 10, |last| match last {
            2 => [0.0, 0.75, 0.0, 0.25],
            _ => [0.0, 0.1, 0.9, 0.0],
        });
        assert_eq!(
            (found.tokens.len(), found.logprobs.len()),
            (1, 1),
            "the end has none: {found:?}"
        );
        assert!((found.logprobs[0] - 0.9_f32.ln()).abs() < 1e-6, "{found:?}");
        let average = f32::midpoint(0.9_f32.ln(), 0.75_f32.ln());
        assert!(
            (found.average_logprob - average).abs() < 1e-6,
            "the end counts: {found:?}"
        );
    }
}

#[test]
fn a_text_ends_at_the_limit_one_token_later_with_a_beam() {
    let endless = |_| [0.0, 0.0, 1.0, 0.0];
    assert_eq!(run(&config(None, 0.0), 4, endless).tokens, [2, 2, 2]);
    assert_eq!(run(&config(Some(1), 0.0), 4, endless).tokens, [2, 2, 2, 2]);
    assert!(Search::new(&config(None, 0.0), &[3, 3], 2, ENDS).is_none());
}

/// After the prompt (3) token 2 is likelier than another 3, and leads to less likely texts.
fn tempting(last: u32) -> [f32; 4] {
    match last {
        2 => [0.0, 0.5, 0.5, 0.0],
        _ => [0.0, 0.0, 0.6, 0.4],
    }
}

#[test]
fn a_beam_keeps_as_many_hypotheses_best_first() {
    let found = run(&config(Some(2), 0.0), 6, tempting);
    assert_eq!(found.hypotheses.len(), 2);
    assert!(found.hypotheses[0].score >= found.hypotheses[1].score);
    assert_eq!(
        found.tokens.len(),
        found.hypotheses[0].tokens[1..]
            .iter()
            .filter(|token| **token > 1)
            .count()
    );
}

#[test]
fn a_finished_hypothesis_is_filled_with_padding_and_keeps_its_score() {
    let found = run(&config(Some(2), 0.0), 6, |last| match last {
        3 => [0.0, 0.1, 0.9, 0.0],
        _ => [0.0, 0.6, 0.4, 0.0],
    });
    let finished = &found.hypotheses[0];
    assert_eq!(finished.tokens[..3], [3, 2, 1]);
    assert!(finished.tokens[3..].iter().all(|token| *token == 0));
    assert!((finished.score - 0.54_f32.ln()).abs() < 1e-5, "{}", finished.score);
}

#[test]
fn a_length_penalty_favours_longer_texts() {
    // Ending at once has 0.5, ending after one letter 0.49.
    let next = |last| match last {
        3 => [0.0, 0.0, 1.0, 0.0],
        _ => [0.0, 0.51, 0.49, 0.0],
    };
    let short = run(&config(Some(2), 0.0), 5, next);
    let long = run(&config(Some(2), 8.0), 5, next);
    assert!(long.tokens.len() > short.tokens.len(), "{long:?} {short:?}");
}

#[test]
fn the_token_that_begins_a_hypothesis_of_a_beam_does_not_end_it() {
    let mut search = Search::new(&config(Some(1), 0.0), &[3], 9, ENDS).unwrap();
    let children = search.advance(&[&[0.0, 9.0, 0.0, 0.0]]).unwrap();
    assert_eq!((children[0].token, children[0].finished), (1, false));
    let mut search = Search::new(&config(None, 0.0), &[3], 9, ENDS).unwrap();
    assert_eq!(search.advance(&[&[0.0, 9.0, 0.0, 0.0]]), None);
    assert_eq!(search.into_found().tokens, [0_u32; 0]);
}
