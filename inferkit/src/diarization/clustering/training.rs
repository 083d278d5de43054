//! The embeddings that are worth clustering.

use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;

/// Part of a window in which a speaker must be heard alone (pyannote.audio `clustering.py`, `min_active_ratio`).
const LEAST_ALONE: f64 = 0.2;

/// Voices heard well enough to be told apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Training {
    /// Window and local speaker of each vector, in this order.
    pub(super) index: Vec<(usize, usize)>,
    /// The vectors, `[n, d]`.
    pub(super) vectors: Matrix<f32>,
}

impl Training {
    /// Takes the embeddings `[c, s, d]` of speakers who are alone for long enough in `active` `[c, f, s]`.
    pub(super) fn new(embeddings: &Windows<f32>, active: &Windows<bool>) -> Self {
        let [windows, speakers, width] = embeddings.shape();
        let [_, frames, _] = active.shape();
        let mut index = Vec::new();
        let mut values = Vec::new();
        for window in 0..windows {
            for (speaker, alone) in frames_alone(active, window).iter().enumerate().take(speakers) {
                let vector = embeddings.row(window, speaker);
                if *alone as f64 >= LEAST_ALONE * frames as f64 && vector.iter().all(|value| !value.is_nan()) {
                    index.push((window, speaker));
                    values.extend_from_slice(vector);
                }
            }
        }
        let mut vectors = Matrix::filled(index.len(), width, 0.0);
        vectors.values_mut().copy_from_slice(&values);
        Self { index, vectors }
    }
}

/// Frames in which each local speaker of a window is the only one.
fn frames_alone(active: &Windows<bool>, window: usize) -> Vec<usize> {
    let [_, _, speakers] = active.shape();
    let mut alone = vec![0; speakers];
    for row in active.rows(window) {
        let mut speaking = row.iter().enumerate().filter(|(_, active)| **active);
        if let (Some((speaker, _)), None) = (speaking.next(), speaking.next()) {
            alone[speaker] += 1;
        }
    }
    alone
}

/// The training set of a golden case.
#[cfg(test)]
pub(super) fn train_of_golden(golden: &crate::diarization::golden::Golden, name: &str) -> Training {
    let (embeddings, active) = crate::diarization::golden::voices(golden, name);
    Training::new(&embeddings, &active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::Golden;
    use crate::diarization::golden::json;

    #[test]
    fn training_sets_are_those_of_the_original() {
        for stage in ["ahc", "vbx"] {
            let golden = Golden::open(&format!("stages/{stage}.safetensors"));
            for name in json(&format!("stages/{stage}.json")).as_object().unwrap().keys() {
                let found = train_of_golden(&golden, name).index;
                let found: Vec<i32> = found
                    .iter()
                    .flat_map(|(window, speaker)| [*window as i32, *speaker as i32])
                    .collect();
                assert_eq!(found, golden.i32(&format!("{name}.train_index")), "{stage} {name}");
            }
        }
    }

    #[test]
    fn a_fifth_of_the_window_alone_is_enough_and_overlap_does_not_count() {
        let embeddings = Windows::new([1, 2, 1], vec![1.0, 2.0]).unwrap();
        let mut active = vec![false; 20];
        for frame in 0..2 {
            active[frame * 2] = true;
        }
        for frame in 5..9 {
            active[frame * 2 + 1] = true;
            active[frame * 2] = frame > 5;
        }
        let active = Windows::new([1, 10, 2], active).unwrap();
        assert_eq!(Training::new(&embeddings, &active).index, [(0, 0)]);
    }

    #[test]
    fn a_vector_with_a_hole_is_left_out() {
        let embeddings = Windows::new([1, 1, 2], vec![1.0, f32::NAN]).unwrap();
        let active = Windows::new([1, 1, 1], vec![true]).unwrap();
        let training = Training::new(&embeddings, &active);
        assert_eq!((training.index.len(), training.vectors.rows()), (0, 0));
    }
}
