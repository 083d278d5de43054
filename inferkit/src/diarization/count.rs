//! How many people speak in each frame of a recording.

use crate::diarization::aggregate::Aggregation;
use crate::diarization::aggregate::Layout;
use crate::diarization::array::Windows;

/// Number of speakers in each frame, `[t]`, of `active` `[c, f, s]`: the mean of the windows' numbers, rounded.
///
/// Halves are common, since a frame lies in ten windows at the usual step; they go to the even number, as in the original
/// (`numpy.rint`): 0.5 speakers are none, 1.5 are two.
pub(crate) fn speaker_count(active: &Windows<bool>, layout: Layout) -> Vec<usize> {
    let [windows, _, _] = active.shape();
    let mut aggregation = Aggregation::new(layout, windows, 1);
    for window in 0..windows {
        let counts: Vec<[f32; 1]> = active
            .rows(window)
            .map(|row| [row.iter().filter(|active| **active).count() as f32])
            .collect();
        aggregation.push(window, counts.iter().map(<[f32; 1]>::as_slice));
    }
    let mean = aggregation.mean(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small whole numbers"
    )]
    let whole = |mean: &f32| mean.round_ties_even() as usize;
    mean.values().iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::FILES;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::PIPELINES;
    use crate::diarization::golden::layout;
    use crate::diarization::golden::recording;
    use crate::diarization::grid::Grid;

    #[test]
    fn half_a_speaker_is_none_and_one_and_a_half_are_two() {
        let layout = Layout {
            windows: Grid {
                step_seconds: 1.0,
                duration_seconds: 2.0,
            },
            frames: Grid {
                step_seconds: 1.0,
                duration_seconds: 1.0,
            },
        };
        // Frame 1 lies in both windows: 1 and 0 speakers; frame 2 in the second alone.
        let active = Windows::new([2, 2, 2], [[[1, 0], [1, 0]], [[0, 0], [1, 1]]].concat().concat()).unwrap();
        assert_eq!(speaker_count(&active.map(|on| on == 1), layout), [1, 0, 2, 0]);
        let active = Windows::new([2, 2, 2], [[[1, 0], [1, 1]], [[1, 0], [1, 1]]].concat().concat()).unwrap();
        assert_eq!(speaker_count(&active.map(|on| on == 1), layout), [1, 2, 2, 0]);
    }

    #[test]
    fn counts_are_those_of_the_original() {
        for (pipeline, file) in PIPELINES
            .iter()
            .flat_map(|pipeline| FILES.map(move |file| (pipeline, file)))
        {
            let golden = Golden::open(&format!("pipelines/{}/{file}.safetensors", pipeline.name));
            let found = speaker_count(&recording(&golden), layout(pipeline));
            let expected: Vec<usize> = golden
                .u8("speaker_count")
                .iter()
                .map(|count| usize::from(*count))
                .collect();
            assert_eq!(found, expected, "{} {file}", pipeline.name);
        }
    }
}
