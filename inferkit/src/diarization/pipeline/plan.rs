//! Where windows lie in a recording.

use crate::diarization::aggregate::Layout;
use crate::diarization::grid::Grid;
use crate::diarization::segmentation::FrameGeometry;

/// Samples of a second.
pub(super) const SAMPLE_RATE: f64 = 16_000.0;

/// The windows of a recording; the last may reach beyond its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WindowPlan {
    /// Samples of a window.
    pub(super) window: usize,
    /// Samples from one window to the next.
    step: usize,
    /// Number of windows.
    pub(super) count: usize,
    grid: Grid,
}

impl WindowPlan {
    /// The windows of a recording of `samples` samples: all that fit, and one more for what they leave over.
    ///
    /// Source: pyannote.audio 4.0.7, `core/inference.py`, `slide`.
    pub(super) fn new(samples: usize, duration_seconds: f64, step_ratio: f64) -> Self {
        let step_seconds = step_ratio * duration_seconds;
        let [window, step] = [duration_seconds, step_seconds].map(|seconds| samples_of(seconds).max(1));
        let full = samples.checked_sub(window).map_or(0, |rest| rest / step + 1);
        let has_rest = samples < window || !(samples - window).is_multiple_of(step);
        Self {
            window,
            step,
            count: full + usize::from(has_rest),
            grid: Grid {
                step_seconds,
                duration_seconds,
            },
        }
    }

    /// First sample of window `number` for the segmentation.
    pub(super) const fn start(&self, number: usize) -> usize {
        number * self.step
    }

    /// First sample of window `number` for the embeddings: the same wherever a step is a whole number of samples.
    pub(super) fn embedding_start(&self, number: usize) -> usize {
        samples_of(self.grid.start(number))
    }

    /// Seconds of a recording that the first `count` windows have taken in.
    pub(super) fn seconds_done(&self, count: usize, samples: usize) -> f64 {
        let seconds = samples as f64 / SAMPLE_RATE;
        if count >= self.count {
            return seconds;
        }
        self.grid.start(count).min(seconds)
    }

    /// Where windows and their frames lie.
    pub(super) fn layout(&self, geometry: FrameGeometry) -> Layout {
        Layout {
            windows: self.grid,
            frames: Grid {
                step_seconds: geometry.hop_samples() as f64 / SAMPLE_RATE,
                duration_seconds: geometry.field_samples() as f64 / SAMPLE_RATE,
            },
        }
    }
}

/// Halves go to the even number, as in the original's language.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "durations of models are small and positive"
)]
fn samples_of(seconds: f64) -> usize {
    (seconds * SAMPLE_RATE).round_ties_even() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(samples: usize) -> usize {
        WindowPlan::new(samples, 10.0, 0.1).count
    }

    #[test]
    fn what_the_full_windows_leave_over_gets_one_more() {
        for (samples, windows) in [
            (1, 1),
            (159_999, 1),
            (160_000, 1),
            (160_001, 2),
            (176_000, 2),
            (176_001, 3),
            (480_000, 21),
        ] {
            assert_eq!(count(samples), windows, "{samples} samples");
        }
    }

    #[test]
    fn windows_begin_a_step_apart() {
        let plan = WindowPlan::new(480_000, 5.0, 0.1);
        assert_eq!(
            (plan.window, plan.start(3), plan.embedding_start(3)),
            (80_000, 24_000, 24_000)
        );
        assert!((plan.seconds_done(2, 480_000) - 1.0).abs() < 1e-12);
        assert!((plan.seconds_done(plan.count, 480_000) - 30.0).abs() < 1e-12);
    }

    #[test]
    fn frames_are_270_samples_apart() {
        let layout = WindowPlan::new(480_000, 10.0, 0.1).layout(FrameGeometry { stride: 10 });
        assert!((layout.frames.step_seconds - 0.016_875).abs() < 1e-12);
        assert!((layout.frames.duration_seconds - 0.061_937_5).abs() < 1e-12);
        assert_eq!(layout.frames_in_all(21), 1779);
    }
}
