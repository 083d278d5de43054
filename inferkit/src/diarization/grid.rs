//! Times of things that repeat at equal steps: windows of a recording, frames of a window.

/// Stretches of equal length that begin at equal steps, the first at 0 s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// From the begin of one to the begin of the next.
    pub(crate) step_seconds: f64,
    /// Length of each.
    pub(crate) duration_seconds: f64,
}

impl Grid {
    /// Where number `index` begins, in seconds.
    pub(crate) fn start(&self, index: usize) -> f64 {
        index as f64 * self.step_seconds
    }

    /// The middle of number `index`, in seconds.
    ///
    /// The order of the operations is that of pyannote.core (`Segment.middle` of a window's item), so that the last
    /// bit agrees.
    pub(crate) fn middle(&self, index: usize) -> f64 {
        let start = self.start(index);
        0.5 * (start + (start + self.duration_seconds))
    }

    /// The number whose middle lies nearest to `seconds`; 0 for times before the first.
    ///
    /// Halves go to the even number, as `numpy.rint` does.
    pub(crate) fn closest(&self, seconds: f64) -> usize {
        let index = ((seconds - 0.5 * self.duration_seconds) / self.step_seconds).round_ties_even();
        // A float turns into the nearest integer of the type; negative ones into 0.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        {
            index as usize
        }
    }

    /// Where window `window` of `windows` begins on this grid of frames, in frames.
    pub(crate) fn first_frame(&self, windows: Self, window: usize) -> usize {
        self.closest(windows.start(window) + 0.5 * self.duration_seconds)
    }

    /// Frames of this grid that `count` windows of the grid `windows` touch.
    pub(crate) fn frames_in_all(&self, windows: Self, count: usize) -> usize {
        let end = windows.duration_seconds + (count.saturating_sub(1)) as f64 * windows.step_seconds;
        self.closest(end + 0.5 * self.duration_seconds) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: Grid = Grid {
        step_seconds: 270.0 / 16000.0,
        duration_seconds: 991.0 / 16000.0,
    };
    const WINDOWS: Grid = Grid {
        step_seconds: 1.0,
        duration_seconds: 10.0,
    };

    #[test]
    fn a_window_begins_at_the_nearest_frame() {
        // 1 s / 0.016875 s = 59.26; 2 s = 118.5185.
        assert_eq!(
            [0, 1, 2].map(|window| FRAMES.first_frame(WINDOWS, window)),
            [0, 59, 119]
        );
    }

    #[test]
    fn twenty_one_windows_touch_1779_frames() {
        assert_eq!(FRAMES.frames_in_all(WINDOWS, 21), 1779);
        assert_eq!(FRAMES.frames_in_all(WINDOWS, 1), 594);
    }

    #[test]
    fn the_first_frame_has_its_middle_at_half_its_length() {
        assert!((FRAMES.middle(0) - 0.030_968_75).abs() < 1e-12);
        assert!((FRAMES.middle(2) - 0.064_718_75).abs() < 1e-12);
    }

    #[test]
    fn a_time_before_the_grid_belongs_to_its_first_item() {
        assert_eq!(FRAMES.closest(-3.0), 0);
    }
}
