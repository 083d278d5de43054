//! Sets of speakers as classes: the most probable set of each frame turns into who is active.
//!
//! Source: Plaquet and Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization" (2023), section 2.

use crate::diarization::array::Windows;
use crate::error::Error;
use crate::error::Result;

/// The sets of up to so many of `s` speakers, by size, then in lexicographic order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Powerset {
    speakers: usize,
    /// `[class][speaker]`: whether the class holds the speaker.
    classes: Vec<Vec<bool>>,
}

/// More classes than this are no model's: 16 speakers, all together, are the most.
const MOST_CLASSES: usize = 1 << 16;

impl Powerset {
    /// The sets of at most `largest` of `speakers` speakers.
    ///
    /// # Errors
    /// [`Error::BadModel`] when these are too many to enumerate.
    pub(crate) fn new(speakers: usize, largest: usize) -> Result<Self> {
        let mut classes = Vec::new();
        for size in 0..=largest.min(speakers) {
            let mut members: Vec<usize> = (0..size).collect();
            loop {
                if classes.len() == MOST_CLASSES {
                    return Err(Error::bad_model(format!(
                        "segmentation model: sets of up to {largest} of {speakers} speakers are more than {MOST_CLASSES} \
                         classes; check `classes` and `powerset_max_classes` of its specifications"
                    )));
                }
                classes.push((0..speakers).map(|speaker| members.contains(&speaker)).collect());
                if !advance(&mut members, speakers) {
                    break;
                }
            }
        }
        Ok(Self { speakers, classes })
    }

    /// Number of sets, the empty one included.
    pub(crate) fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Who is active: `scores` are `[c, f, classes]`, the result is `[c, f, s]`. The first of equal scores wins.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the scores have another number of classes.
    pub(crate) fn decode(&self, scores: &Windows<f32>) -> Result<Windows<bool>> {
        let [windows, frames, classes] = scores.shape();
        if classes != self.classes() {
            return Err(Error::bad_model(format!(
                "segmentation model: {classes} outputs a frame, {} by its specifications; the two belong to different \
                 models",
                self.classes()
            )));
        }
        let mut active = Vec::with_capacity(windows * frames * self.speakers);
        for frame in scores.values().chunks_exact(classes) {
            let mut best = 0;
            for (class, score) in frame.iter().enumerate() {
                if *score > frame[best] {
                    best = class;
                }
            }
            active.extend_from_slice(&self.classes[best]);
        }
        Windows::new([windows, frames, self.speakers], active)
    }
}

/// Moves on to the next combination of as many out of `of`; says whether there was one.
fn advance(members: &mut [usize], of: usize) -> bool {
    let size = members.len();
    let Some(at) = (0..size).rev().find(|at| members[*at] < of - size + at) else {
        return false;
    };
    members[at] += 1;
    for next in at + 1..size {
        members[next] = members[next - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;

    #[test]
    fn classes_are_ordered_by_size_and_then_by_member() {
        let powerset = Powerset::new(3, 2).unwrap();
        let sets: Vec<Vec<usize>> = powerset
            .classes
            .iter()
            .map(|set| (0..3).filter(|speaker| set[*speaker]).collect())
            .collect();
        let expected: [&[usize]; 7] = [&[], &[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]];
        assert_eq!(sets, expected);
    }

    #[test]
    fn the_sets_are_those_of_the_original() {
        let golden = Golden::open("stages/signal.safetensors");
        for (speakers, largest) in [(3, 2), (4, 2), (4, 3), (2, 1), (5, 5)] {
            let expected = golden.f32(&format!("powerset.{speakers}.{largest}"));
            let found = Powerset::new(speakers, largest).unwrap().classes.concat();
            assert_eq!(found, expected.iter().map(|value| *value == 1.0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_most_probable_set_is_active_and_the_first_on_ties() {
        let golden = Golden::open("stages/signal.safetensors");
        let scores = Windows::new([2, 9, 7], golden.f32("powerset.in")).unwrap();
        let active = Powerset::new(3, 2).unwrap().decode(&scores).unwrap();
        let expected: Vec<bool> = golden.f32("powerset.out").iter().map(|value| *value == 1.0).collect();
        assert_eq!(active.values(), expected);
    }

    #[test]
    fn a_model_of_other_classes_is_refused_by_both_numbers() {
        let scores = Windows::new([1, 1, 3], vec![0.0; 3]).unwrap();
        let error = Powerset::new(3, 2).unwrap().decode(&scores).unwrap_err();
        assert!(error.to_string().contains("3 outputs a frame, 7 by"), "{error}");
    }

    #[test]
    fn sets_beyond_counting_are_refused() {
        assert!(Powerset::new(64, 64).is_err());
    }
}
