//! Logits to natural logarithms of probabilities.

use candle_core::D;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Rows;

use super::kernels::Kernels;
use super::kernels::with_rows;
use super::kernels::write_pieces;
use super::spare;

/// Rows of a piece of work.
const ROWS: usize = 4;

/// The logarithm of each number's probability among those of its row, `[t, v]` to `[t, v]`, in f32.
pub(crate) fn log_softmax(logits: &Tensor, kernels: Option<&Kernels>) -> Result<Tensor> {
    let Some(kernels) = kernels else {
        return candle_nn::ops::log_softmax(&logits.to_dtype(candle_core::DType::F32)?, D::Minus1);
    };
    with_rows(logits, |rows| {
        let width = rows.width();
        let mut out = spare::floats(rows.rows() * width);
        write_pieces(kernels.pool(), &mut out, ROWS * width, |piece, target| {
            for (place, target) in target.chunks_exact_mut(width).enumerate() {
                write_row(rows, piece * ROWS + place, target);
            }
        });
        Tensor::from_vec(out, logits.dims(), logits.device())
    })
}

fn write_row(rows: Rows<'_>, index: usize, target: &mut [f32]) {
    let row = rows.row(index);
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|logit| (logit - greatest).exp()).sum();
    let log_sum = sum.ln();
    for (target, logit) in target.iter_mut().zip(row) {
        *target = logit - greatest - log_sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn probabilities_of_a_row_are_one_together_on_either_path_whatever_the_size_of_logits() {
        let numbers = (0..9 * 5_u16).map(|i| f32::from(i * 37 % 101) * 10.0);
        let logits = Tensor::from_iter(numbers, &Device::Cpu)
            .unwrap()
            .reshape((9, 5))
            .unwrap();
        let by_tensors = log_softmax(&logits, None).unwrap().to_vec2::<f32>().unwrap();
        let found = log_softmax(&logits, Some(&Kernels::open().unwrap())).unwrap();
        let found = found.to_vec2::<f32>().unwrap();
        for (found, by_tensors) in found.concat().iter().zip(by_tensors.concat()) {
            assert!((found - by_tensors).abs() < 1e-3, "{found} for {by_tensors}");
        }
        for row in &found {
            let sum: f32 = row.iter().map(|logarithm| logarithm.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }

    #[test]
    fn no_rows_have_no_probabilities() {
        let none = Tensor::zeros((0, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let found = log_softmax(&none, Some(&Kernels::open().unwrap())).unwrap();
        assert_eq!(found.dims(), [0, 3]);
    }
}
