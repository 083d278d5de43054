//! Which windows a recording is decoded in.
//!
//! Recordings up to 40 s are one window. Longer ones are cut as the original cuts them: into chunks that overlap by a
//! second where the model has an aligner, into chunks of 40 s without overlap otherwise, of 10 s where the decoder is to
//! write times between the words.

use std::ops::Range;

use super::features::FrontEnd;
use super::text::FIXED_CHUNK_COLUMNS;
use super::text::FIXED_CHUNK_COLUMNS_WITH_TIMES;
use super::text::fixed_chunks;
use super::text::hours;
use super::text::overlapping_chunks;
use crate::audio::Spread;

/// How word times are found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    /// They are not.
    None,
    /// The decoder writes them between the words.
    Tokens,
    /// An aligner looks for the words in the sound.
    Aligner,
}

/// How a recording is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Not at all.
    Whole,
    /// Into chunks that follow one another.
    Fixed,
    /// Into chunks that share a second with their neighbours.
    Overlapping,
}

/// The windows of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// How it is cut.
    pub(super) cut: Cut,
    /// The parts, in order.
    pub(super) windows: Vec<Window>,
}

/// A part of a recording that is decoded at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// The samples that its features are computed from.
    pub(super) samples: Range<usize>,
    /// Its frames, counted from the first of these samples.
    pub(super) frames: Range<usize>,
    /// How its features are normalised.
    pub(super) spread: Spread,
    /// Feature frames that the limit of its text is counted by: the original pads a recording by one.
    pub(super) limit_frames: usize,
    /// Which hour it belongs to. Hours are merged by themselves.
    pub(super) hour: usize,
    /// What it covers of the recording, in samples.
    pub(super) covers: Range<usize>,
}

impl Plan {
    /// The windows of a recording of `samples`.
    ///
    /// * `has_aligner`: whether the model has one, be it asked for times or not
    pub(super) fn new(front_end: &FrontEnd, samples: usize, has_aligner: bool, timing: Timing) -> Self {
        let columns = front_end.frames(samples);
        if has_aligner {
            let parts = hours(samples).into_iter().enumerate();
            let windows: Vec<Window> = parts
                .flat_map(|(hour, part)| {
                    let chunks = overlapping_chunks(part.len()).into_iter();
                    chunks.map(move |chunk| (hour, part.start + chunk.start..part.start + chunk.end))
                })
                .map(|(hour, chunk)| Window::whole(front_end, chunk, hour))
                .collect();
            let cut = if windows.len() == 1 {
                Cut::Whole
            } else {
                Cut::Overlapping
            };
            return Self { cut, windows };
        }
        if columns <= FIXED_CHUNK_COLUMNS {
            return Self {
                cut: Cut::Whole,
                windows: vec![Window::whole(front_end, 0..samples, 0)],
            };
        }
        let length = if timing == Timing::Tokens {
            FIXED_CHUNK_COLUMNS_WITH_TIMES
        } else {
            FIXED_CHUNK_COLUMNS
        };
        let hop = front_end.hop_length();
        let window = |frames: Range<usize>| Window {
            samples: 0..samples,
            limit_frames: frames.len(),
            covers: frames.start * hop..(frames.end * hop).min(samples),
            frames,
            spread: Spread::Population,
            hour: 0,
        };
        Self {
            cut: Cut::Fixed,
            windows: fixed_chunks(columns, length).into_iter().map(window).collect(),
        }
    }
}

impl Window {
    fn whole(front_end: &FrontEnd, samples: Range<usize>, hour: usize) -> Self {
        let frames = 0..front_end.frames(samples.len());
        Self {
            limit_frames: frames.len() + 1,
            frames,
            spread: Spread::Sample,
            hour,
            covers: samples.clone(),
            samples,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::load;
    use super::*;

    const SECOND: usize = 16_000;

    fn lengths(plan: &Plan) -> Vec<usize> {
        plan.windows.iter().map(|window| window.frames.len()).collect()
    }

    #[test]
    fn up_to_40_seconds_are_one_window_normalised_as_a_whole() {
        let front_end = load("canary-180m-flash").networks.front_end;
        for has_aligner in [false, true] {
            let plan = Plan::new(&front_end, 39 * SECOND, has_aligner, Timing::None);
            assert_eq!((plan.cut, lengths(&plan)), (Cut::Whole, vec![3900]));
            assert_eq!(
                (plan.windows[0].limit_frames, plan.windows[0].spread),
                (3901, Spread::Sample)
            );
        }
    }

    #[test]
    fn longer_ones_are_cut_by_40_seconds_or_by_10_where_the_decoder_writes_times() {
        let front_end = load("canary-180m-flash").networks.front_end;
        let plan = Plan::new(&front_end, 75 * SECOND, false, Timing::None);
        assert_eq!((plan.cut, lengths(&plan)), (Cut::Fixed, vec![4000, 3500]));
        assert_eq!(plan.windows[1].covers, 40 * SECOND..75 * SECOND);
        assert_eq!(
            (plan.windows[1].limit_frames, plan.windows[1].spread),
            (3500, Spread::Population)
        );
        let plan = Plan::new(&front_end, 75 * SECOND, false, Timing::Tokens);
        assert_eq!(lengths(&plan), [1000, 1000, 1000, 1000, 1000, 1000, 1000, 500]);
    }

    #[test]
    fn an_aligner_brings_overlapping_windows_and_hours_of_their_own() {
        let front_end = load("canary-180m-flash").networks.front_end;
        let plan = Plan::new(&front_end, 3_700 * SECOND, true, Timing::Aligner);
        assert_eq!(plan.cut, Cut::Overlapping);
        let (first, last) = (&plan.windows[0], plan.windows.last().unwrap());
        assert_eq!((first.hour, last.hour), (0, 1));
        assert_eq!(last.samples.end, 3_700 * SECOND);
        assert!(plan.windows.iter().all(|window| window.samples == window.covers));
    }
}
