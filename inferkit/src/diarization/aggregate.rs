//! Overlapping windows to one track: each frame of the recording gets the mean of the windows that cover it.

use crate::diarization::array::Matrix;
use crate::diarization::grid::Grid;

/// Where windows lie in a recording, and frames in both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    /// The windows.
    pub(crate) windows: Grid,
    /// The frames; the first of a window is the one nearest to its begin.
    pub(crate) frames: Grid,
}

impl Layout {
    /// The first frame of window `window`.
    pub(crate) fn first_frame(&self, window: usize) -> usize {
        self.frames.first_frame(self.windows, window)
    }

    /// Frames of a recording of `windows` windows.
    pub(crate) fn frames_in_all(&self, windows: usize) -> usize {
        self.frames.frames_in_all(self.windows, windows)
    }
}

/// Below this, weights count as none (pyannote.audio `core/inference.py`, `epsilon`).
const LEAST_WEIGHT: f32 = 1e-12;

/// Adds windows up, one after another, in f32 as the original does.
#[derive(Debug)]
pub(crate) struct Aggregation {
    layout: Layout,
    /// Weight of each frame of a window; all 1 when empty.
    weights: Vec<f64>,
    sum: Matrix<f32>,
    weight: Matrix<f32>,
    covered: Matrix<bool>,
}

impl Aggregation {
    /// Room for `windows` windows of `columns` values a frame.
    pub(crate) fn new(layout: Layout, windows: usize, columns: usize) -> Self {
        let frames = layout.frames_in_all(windows);
        Self {
            layout,
            weights: Vec::new(),
            sum: Matrix::filled(frames, columns, 0.0),
            weight: Matrix::filled(frames, columns, 0.0),
            covered: Matrix::filled(frames, columns, false),
        }
    }

    /// With a weight for each frame of a window instead of 1.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_weights(self, weights: Vec<f64>) -> Self {
        Self { weights, ..self }
    }

    /// Adds window `window`; its `rows` are frames of one value a column. NaN is no value.
    ///
    /// Frames beyond the end of the recording are left out.
    pub(crate) fn push<'a>(&mut self, window: usize, rows: impl IntoIterator<Item = &'a [f32]>) {
        let first = self.layout.first_frame(window);
        for (frame, row) in rows.into_iter().enumerate().take(self.sum.rows().saturating_sub(first)) {
            let weight = self.weights.get(frame).copied().unwrap_or(1.0);
            for (column, value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                let sum = &mut self.sum.row_mut(first + frame)[column];
                *sum = add(*sum, f64::from(*value) * weight);
                let total = &mut self.weight.row_mut(first + frame)[column];
                *total = add(*total, weight);
                self.covered.row_mut(first + frame)[column] = true;
            }
        }
    }

    /// The weighted mean of what was pushed, `[t, columns]`; `missing` where nothing was.
    pub(crate) fn mean(mut self, missing: f32) -> Matrix<f32> {
        for (sum, weight) in self.sum.values_mut().iter_mut().zip(self.weight.values()) {
            *sum /= weight.max(LEAST_WEIGHT);
        }
        self.sum(missing)
    }

    /// The weighted sum of what was pushed, `[t, columns]`; `missing` where nothing was.
    pub(crate) fn sum(mut self, missing: f32) -> Matrix<f32> {
        for (sum, covered) in self.sum.values_mut().iter_mut().zip(self.covered.values()) {
            if !covered {
                *sum = missing;
            }
        }
        self.sum
    }
}

/// The sum in f64, rounded to f32: what numpy does when it adds to an f32 array in place.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
fn add(sum: f32, value: f64) -> f32 {
    (f64::from(sum) + value) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::array::Windows;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::assert_close_f32;
    use crate::diarization::golden::json;

    /// `numpy.hamming`, with the frames of the warm-up as good as silent.
    fn weights(frames: usize, hamming: bool, warm_up: [f64; 2], duration: f64) -> Vec<f64> {
        let edge = warm_up.map(|seconds| (seconds / duration * frames as f64).round_ties_even() as usize);
        (0..frames)
            .map(|frame| {
                let angle = 2.0 * std::f64::consts::PI * frame as f64 / (frames - 1) as f64;
                let window = if hamming { 0.54 - 0.46 * angle.cos() } else { 1.0 };
                let inside = frame >= edge[0] && frame < frames - edge[1];
                window * if inside { 1.0 } else { 1e-12 }
            })
            .collect()
    }

    #[test]
    fn tracks_are_those_of_the_original() {
        let golden = Golden::open("stages/signal.safetensors");
        let cases = json("stages/signal.json");
        for (number, case) in cases["aggregate"].as_array().unwrap().iter().enumerate() {
            let flag = |name: &str| case[name].as_bool().unwrap_or(false);
            let layout = Layout {
                windows: Grid {
                    step_seconds: case["step"].as_f64().unwrap(),
                    duration_seconds: 5.0,
                },
                frames: Grid {
                    step_seconds: 270.0 / 16000.0,
                    duration_seconds: 991.0 / 16000.0,
                },
            };
            let input = Windows::new([6, 293, 2], golden.f32(&format!("aggregate.{number}.in"))).unwrap();
            let warm_up = [0, 1].map(|side| case["warm_up"][side].as_f64().unwrap_or(0.0));
            let mut aggregation =
                Aggregation::new(layout, 6, 2).with_weights(weights(293, flag("hamming"), warm_up, 5.0));
            for window in 0..6 {
                aggregation.push(window, input.rows(window));
            }
            let missing = case["missing"].as_f64().map_or(f32::NAN, |missing| missing as f32);
            let found = if flag("skip_average") {
                aggregation.sum(missing)
            } else {
                aggregation.mean(missing)
            };
            let expected = golden.f32(&format!("aggregate.{number}.out"));
            assert_close_f32(found.values(), &expected, 1e-6, &format!("case {number}"));
        }
    }

    #[test]
    fn a_window_that_runs_past_the_recording_is_cut() {
        let grid = Grid {
            step_seconds: 1.0,
            duration_seconds: 1.0,
        };
        let layout = Layout {
            windows: grid,
            frames: grid,
        };
        let mut aggregation = Aggregation::new(layout, 1, 1);
        let frames = aggregation.sum.rows();
        aggregation.push(0, std::iter::repeat_n([1.0_f32].as_slice(), frames + 5));
        assert_eq!(aggregation.mean(0.0).values(), vec![1.0; frames]);
    }
}
