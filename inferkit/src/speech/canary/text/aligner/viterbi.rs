//! The most probable way through the states of a text.

use super::Alignment;
use super::labels::Labels;

/// What a CTC model makes of a recording.
#[derive(Debug, Clone, Copy)]
pub(in super::super::super) struct LogProbabilities<'a> {
    /// `[t, v]`, row-major; padded frames are left out.
    pub(in super::super::super) values: &'a [f32],
    /// Classes a frame, blank included: `v`.
    pub(in super::super::super) classes: usize,
}

impl LogProbabilities<'_> {
    /// Frames: `t`.
    pub(in super::super::super) fn frames(&self) -> usize {
        self.values.len() / self.classes.max(1)
    }

    /// Which state of `labels` each frame belongs to, so that the sum of log-probabilities is largest.
    ///
    /// From one frame to the next the state stays, or moves on by one, or by two over a blank between different tokens.
    /// Of equal sums the smaller step wins, at the end the lower state. Takes one byte for each frame and state.
    pub(in super::super::super) fn align(&self, labels: &Labels) -> Alignment {
        let y = labels.classes();
        let mut rows = self.values.chunks_exact(self.classes.max(1));
        let Some(first) = rows.next() else {
            return Alignment { states: Vec::new() };
        };
        let emission = |row: &[f32], state: usize| {
            let class = y.get(state).and_then(|class| usize::try_from(*class).ok());
            class
                .and_then(|class| row.get(class))
                .copied()
                .unwrap_or(f32::NEG_INFINITY)
        };
        let mut scores: Vec<f32> = (0..y.len())
            .map(|state| {
                if state < 2 {
                    emission(first, state)
                } else {
                    f32::NEG_INFINITY
                }
            })
            .collect();
        let mut steps: Vec<Vec<u8>> = Vec::with_capacity(self.frames());
        for row in rows {
            let candidates = |state: usize| best_step(&scores, y, state, emission(row, state));
            let (next, taken): (Vec<f32>, Vec<u8>) = (0..y.len()).map(candidates).unzip();
            scores = next;
            steps.push(taken);
        }
        Alignment {
            states: backtrack(&scores, &steps),
        }
    }
}

/// The best score at `state` in the next frame, and the step that leads there.
fn best_step(scores: &[f32], y: &[u32], state: usize, emission: f32) -> (f32, u8) {
    let from = |step: usize| state.checked_sub(step).and_then(|before| scores.get(before)).copied();
    let mut best = (from(0).unwrap_or(f32::NEG_INFINITY) + emission, 0);
    for step in 1..=2_u8 {
        let skips_alike = step == 2 && state >= 2 && y.get(state) == y.get(state - 2);
        let Some(score) = from(usize::from(step)).filter(|_| !skips_alike) else {
            continue;
        };
        if score + emission > best.0 {
            best = (score + emission, step);
        }
    }
    best
}

fn backtrack(scores: &[f32], steps: &[Vec<u8>]) -> Vec<usize> {
    let last = scores.len().saturating_sub(1);
    let before = last.saturating_sub(1);
    let mut state = if scores.get(before) >= scores.get(last) {
        before
    } else {
        last
    };
    let mut states = vec![state];
    for taken in steps.iter().rev() {
        let step = taken.get(state).copied().unwrap_or(0);
        state = state.saturating_sub(usize::from(step));
        states.push(state);
    }
    states.reverse();
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANK: u32 = 2;

    fn labels(tokens: &[u32]) -> Labels {
        let mut y = vec![BLANK];
        for token in tokens {
            y.extend([*token, BLANK]);
        }
        Labels {
            y,
            pieces: Vec::new(),
            words: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn align(values: &[[f32; 3]], tokens: &[u32]) -> Vec<usize> {
        let values = values.concat();
        LogProbabilities {
            values: &values,
            classes: 3,
        }
        .align(&labels(tokens))
        .states
    }

    const A: [f32; 3] = [-0.1, -5.0, -5.0];
    const B: [f32; 3] = [-5.0, -0.1, -5.0];
    const NONE: [f32; 3] = [-5.0, -5.0, -0.1];
    const EQUAL: [f32; 3] = [-1.0, -1.0, -1.0];

    #[test]
    fn the_path_follows_what_is_most_probable() {
        assert_eq!(align(&[NONE, A, A, B, NONE], &[0, 1]), [0, 1, 1, 3, 4]);
        assert_eq!(
            align(&[A, B], &[0, 1]),
            [1, 3],
            "the blank between different tokens may be left out"
        );
    }

    #[test]
    fn equal_tokens_have_a_blank_between_them() {
        assert_eq!(align(&[A, A, A], &[0, 0]), [1, 2, 3]);
    }

    #[test]
    fn of_equal_sums_the_smaller_step_and_the_lower_end_win() {
        assert_eq!(align(&[EQUAL; 4], &[0]), [1, 1, 1, 1]);
        assert_eq!(align(&[EQUAL; 3], &[0, 1]), [1, 3, 3]);
    }

    #[test]
    fn without_tokens_every_frame_is_blank_and_without_frames_there_is_no_path() {
        assert_eq!(align(&[A, B], &[]), [0, 0]);
        assert!(align(&[], &[0]).is_empty());
    }

    #[test]
    fn no_other_path_has_a_larger_sum() {
        // All paths of five frames through the states of two tokens, counted out.
        let tokens = [0, 1];
        let y = labels(&tokens).y;
        for seed in 0..50_u32 {
            let values: Vec<[f32; 3]> = (0..5_u32)
                .map(|frame| {
                    [0, 1, 2].map(|class| -(((seed * 7 + frame * 13 + class * 29) % 17) as f32) - 0.25 * class as f32)
                })
                .collect();
            let sum = |path: &[usize]| -> f32 {
                path.iter()
                    .zip(&values)
                    .map(|(state, row)| row[y[*state] as usize])
                    .sum()
            };
            let mut paths: Vec<Vec<usize>> = vec![vec![0], vec![1]];
            for _ in 1..5 {
                let longer = |path: &Vec<usize>| {
                    let last = path[path.len() - 1];
                    let may = |next: &usize| *next < y.len() && (*next < last + 2 || y[*next] != y[last]);
                    let next: Vec<usize> = (last..=last + 2).filter(may).collect();
                    next.into_iter()
                        .map(|next| [path.clone(), vec![next]].concat())
                        .collect::<Vec<_>>()
                };
                paths = paths.iter().flat_map(longer).collect();
            }
            let complete = paths.into_iter().filter(|path| path[4] >= y.len() - 2);
            let best = complete.map(|path| sum(&path)).fold(f32::MIN, f32::max);
            let found = sum(&align(&values, &tokens));
            assert!((found - best).abs() < 1e-4, "{found} where {best} can be had");
        }
    }
}
