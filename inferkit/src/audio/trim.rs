//! Takes away what an encoder put before and behind the sound.

use super::codec::Decoder;
use super::codec::Format;
use super::mp4::Edit;

/// What is still to be taken from the beginning, and what may still come.
pub(super) struct Trim {
    edit: Option<Edit>,
    left: Option<Left>,
}

/// Frames of sound.
struct Left {
    to_skip: u64,
    to_keep: Option<u64>,
}

impl Trim {
    /// Keeps what `edit` keeps, or everything.
    pub(super) const fn new(edit: Option<Edit>) -> Self {
        Self { edit, left: None }
    }

    /// What is heard of the next frames, `[t, channels]`.
    pub(super) fn kept<'a>(&mut self, interleaved: &'a [f32], format: Format, decoder: &Decoder) -> &'a [f32] {
        let Some(edit) = self.edit else { return interleaved };
        let left = self.left.get_or_insert_with(|| Left {
            to_skip: if decoder.skips_start() {
                0
            } else {
                edit.skipped_frames(format.rate)
            },
            to_keep: edit.heard_frames(format.rate),
        });
        left.kept(interleaved, format.channels)
    }
}

impl Left {
    fn kept<'a>(&mut self, interleaved: &'a [f32], channels: usize) -> &'a [f32] {
        let frames = interleaved.len().checked_div(channels).unwrap_or(0) as u64;
        let skipped = self.to_skip.min(frames);
        self.to_skip -= skipped;
        let mut kept = frames - skipped;
        if let Some(to_keep) = &mut self.to_keep {
            kept = kept.min(*to_keep);
            *to_keep -= kept;
        }
        // Both are no more than the frames of the slice.
        let values = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(channels);
        let start = values(skipped);
        interleaved
            .get(start..start.saturating_add(values(kept)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_cut_across_packets_and_channels_stay_together() {
        let mut left = Left {
            to_skip: 3,
            to_keep: Some(2),
        };
        let packet = [0.0, 0.5, 1.0, 1.5];
        assert_eq!(left.kept(&packet, 2), [0.0; 0]);
        assert_eq!(left.kept(&packet, 2), [1.0, 1.5]);
        assert_eq!(left.kept(&packet, 2), [0.0, 0.5]);
        assert_eq!(left.kept(&packet, 2), [0.0; 0]);
    }

    #[test]
    fn without_an_end_all_that_follows_is_kept() {
        let mut left = Left {
            to_skip: 1,
            to_keep: None,
        };
        assert_eq!(left.kept(&[0.0, 1.0], 1), [1.0]);
        assert_eq!(left.kept(&[2.0, 3.0], 1), [2.0, 3.0]);
        assert_eq!(left.kept(&[], 0), [0.0; 0]);
    }
}
