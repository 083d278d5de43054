//! From attention scores to one matrix of where each token looked.

/// Where each token looked, over the heads that follow the sound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttentionWeights {
    /// `[tokens, frames]` row-major.
    pub(crate) mean: Vec<f32>,
    pub(crate) frames: usize,
}

impl AttentionWeights {
    /// Reads scores of heads, `[all tokens, all frames]` each, of which only the first `frames` frames are sound and the
    /// tokens `rows` are text.
    ///
    /// * `filter_width`: of the median over neighbouring frames; odd
    pub(crate) fn new(
        scores: &[Vec<f32>],
        (all_frames, frames): (usize, usize),
        rows: std::ops::Range<usize>,
        filter_width: usize,
    ) -> Self {
        let frames = frames.min(all_frames);
        let mut mean = vec![0.0; rows.len() * frames];
        for head in scores {
            let mut weights: Vec<f32> = head
                .chunks_exact(all_frames.max(1))
                .flat_map(|row| softmax(row.get(..frames).unwrap_or_default()))
                .collect();
            standardize_columns(&mut weights, frames);
            let text = weights.chunks_exact(frames.max(1)).skip(rows.start).take(rows.len());
            for (sum, row) in mean.chunks_exact_mut(frames.max(1)).zip(text) {
                for (sum, value) in sum.iter_mut().zip(median(row, filter_width)) {
                    *sum += value / scores.len() as f32;
                }
            }
        }
        Self { mean, frames }
    }

    /// Rows.
    pub(crate) fn tokens(&self) -> usize {
        self.mean.len() / self.frames.max(1)
    }
}

fn softmax(row: &[f32]) -> Vec<f32> {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = row.iter().map(|value| (value - greatest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Takes from each column its mean and divides by its standard deviation.
fn standardize_columns(weights: &mut [f32], columns: usize) {
    let rows = weights.len() / columns.max(1);
    for column in 0..columns {
        let values = || {
            weights
                .iter()
                .skip(column)
                .step_by(columns)
                .map(|value| f64::from(*value))
        };
        let mean = values().sum::<f64>() / rows as f64;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / rows as f64;
        let deviation = variance.sqrt();
        for value in weights.iter_mut().skip(column).step_by(columns) {
            *value = narrowed((f64::from(*value) - mean) / deviation);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the weights are f32; sums are kept wider than they are"
)]
const fn narrowed(value: f64) -> f32 {
    value as f32
}

/// The median of each value and its neighbours, mirrored at the ends.
fn median(row: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    if row.len() <= half {
        return row.to_vec();
    }
    let last = row.len() - 1;
    let mirrored = |position: usize| {
        // `position` counts from `half` values before the row.
        let index = position.checked_sub(half).unwrap_or_else(|| half - position);
        let index = if index > last { 2 * last - index } else { index };
        row.get(index).copied().unwrap_or_default()
    };
    let mut around = vec![0.0; width];
    (0..row.len())
        .map(|start| {
            for (offset, value) in around.iter_mut().enumerate() {
                *value = mirrored(start + offset);
            }
            around.sort_by(f32::total_cmp);
            around.get(half).copied().unwrap_or_default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_of_three_drops_single_peaks_and_mirrors_the_ends() {
        assert_eq!(median(&[1.0, 9.0, 2.0, 3.0, 0.0], 3), [9.0, 2.0, 3.0, 2.0, 3.0]);
        assert_eq!(median(&[1.0, 9.0], 7), [1.0, 9.0], "too short to mirror");
    }

    #[test]
    fn columns_get_mean_zero_and_deviation_one() {
        let mut weights = [1.0, 2.0, 3.0, 6.0];
        standardize_columns(&mut weights, 2);
        let expected = [-1.0, -1.0, 1.0, 1.0];
        assert!(
            weights
                .iter()
                .zip(expected)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
            "{weights:?}"
        );
    }

    #[test]
    fn only_frames_of_sound_and_rows_of_text_are_read() {
        // Two heads of three tokens and four frames, of which three are sound; the first token is no text.
        let sharp = |token: usize| (0..4).map(move |frame| if frame == token { 9.0 } else { 0.0 });
        let head: Vec<f32> = (0..3).flat_map(sharp).collect();
        let weights = AttentionWeights::new(&[head.clone(), head], (4, 3), 1..3, 1);
        assert_eq!((weights.frames, weights.tokens()), (3, 2));
        let greatest = |row: &[f32]| (0..3).max_by(|a, b| row[*a].total_cmp(&row[*b]));
        assert_eq!(greatest(&weights.mean[..3]), Some(1));
        assert_eq!(greatest(&weights.mean[3..]), Some(2));
    }
}
