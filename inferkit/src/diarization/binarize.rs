//! Scores to on and off, with hysteresis.

use crate::diarization::array::Windows;

/// Turns scores into states: above `onset` on, below `offset` off, between the two and on the thresholds as before.
///
/// `initial` is the state before the first score; NaN counts as 0. Source: pyannote.audio `utils/signal.py`, `binarize`.
pub(crate) fn hysteresis(
    scores: impl IntoIterator<Item = f64>,
    onset: f64,
    offset: f64,
    initial: bool,
) -> impl Iterator<Item = bool> {
    let mut state = initial;
    scores.into_iter().map(move |score| {
        let score = if score.is_nan() { 0.0 } else { score };
        if score > onset {
            state = true;
        } else if score < offset {
            state = false;
        }
        state
    })
}

/// Who is active in scores `[c, f, s]` of a model without powerset, by one threshold for both ways. Windows begin silent.
pub(crate) fn binarize(scores: &Windows<f32>, threshold: f64) -> Windows<bool> {
    let mut active = scores.map(|_| false);
    let [windows, frames, speakers] = scores.shape();
    for window in 0..windows {
        let values = scores.window(window);
        for speaker in 0..speakers {
            let track = (0..frames).map(|frame| f64::from(values[frame * speakers + speaker]));
            for (frame, state) in hysteresis(track, threshold, threshold, false).enumerate() {
                active.row_mut(window, frame)[speaker] = state;
            }
        }
    }
    active
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::json;

    #[test]
    fn a_score_between_the_thresholds_keeps_the_state() {
        let states: Vec<bool> = hysteresis([0.5, 0.7, 0.5, 0.3, 0.5], 0.6, 0.4, false).collect();
        assert_eq!(states, [false, true, true, false, false]);
    }

    #[test]
    fn a_score_equal_to_the_threshold_and_a_nan_are_no_reason_to_begin() {
        let scores = Windows::new([1, 4, 1], vec![0.5, f32::NAN, 0.8, 0.5]).unwrap();
        assert_eq!(binarize(&scores, 0.5).values(), [false, false, true, true]);
    }

    #[test]
    fn states_are_those_of_the_original() {
        let golden = Golden::open("stages/signal.safetensors");
        let cases = json("stages/signal.json");
        for (number, case) in cases["binarize"].as_array().unwrap().iter().enumerate() {
            let scores = golden.f64(&format!("binarize.{number}.in"));
            let expected = golden.u8(&format!("binarize.{number}.out"));
            let onset = case["onset"].as_f64().unwrap();
            let offset = case["offset"].as_f64().unwrap_or(onset);
            for (window, speaker) in (0..2).flat_map(|window| (0..3).map(move |speaker| (window, speaker))) {
                let at = |frame: usize| (window * 60 + frame) * 3 + speaker;
                // Where the original is told nothing, it begins as the first score says.
                let initial = case["initial_state"]
                    .as_bool()
                    .unwrap_or_else(|| scores[at(0)] >= 0.5 * (onset + offset));
                let found = hysteresis((0..60).map(|frame| scores[at(frame)]), onset, offset, initial);
                for (frame, state) in found.enumerate() {
                    assert_eq!(
                        state,
                        expected[at(frame)] == 1,
                        "case {number}, {window}, {frame}, {speaker}"
                    );
                }
            }
        }
    }
}
