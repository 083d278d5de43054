//! The processor's kernels as layers use them: candle tensors outside, rows of f32 inside.
//!
//! **Invariant:** the pool is a value that comes with the device; the models of a registry share it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use candle_core::CpuStorage;
use candle_core::D;
use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Storage;
use candle_core::Tensor;
use inferkit_kernels::Isa;
use inferkit_kernels::IsaError;
use inferkit_kernels::Pool;
use inferkit_kernels::Precision;
use inferkit_kernels::Rows;
use inferkit_kernels::RowsMut;

use super::spare;
use super::threads::Threads;

/// The threads and the instructions that a model computes with on the processor. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Kernels {
    pool: Arc<Pool>,
    isa: Isa,
    precision: Precision,
}

impl Kernels {
    /// These threads, and the best instructions there are or those that the environment names.
    ///
    /// # Errors
    /// [`IsaError`] when the variable `INFERKIT_KERNELS` names instructions that are not there.
    pub(super) fn on(threads: &Threads) -> std::result::Result<Self, IsaError> {
        Ok(Self {
            isa: Isa::from_env()?,
            pool: Arc::clone(threads.pool()),
            precision: Precision::F32,
        })
    }

    /// The same threads and instructions, whose products round weights and activations to bf16 and sum in f32.
    ///
    /// Keys and values are kept in bf16 too; what else is between products stays f32. A processor that multiplies bf16 takes
    /// half the time and half the memory.
    #[must_use]
    pub(crate) fn rounding(self) -> Self {
        Self {
            precision: Precision::Bf16,
            ..self
        }
    }

    /// Threads of its own, as many as this process may use.
    #[cfg(test)]
    pub(super) fn open() -> std::result::Result<Self, IsaError> {
        Self::on(&Threads::new())
    }

    /// What `work` gives for each number below `count`, in order, computed on the threads.
    pub(crate) fn map<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let answers: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
        self.pool.run(count, |number| {
            // Each place is filled once, hence never waited for.
            if let Some(Ok(mut answer)) = answers.get(number).map(Mutex::lock) {
                *answer = Some(work(number));
            }
        });
        let answers = answers.into_iter().map(Mutex::into_inner);
        answers
            .filter_map(|answer| answer.unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// The same threads and instructions, whose products round nothing.
    #[must_use]
    pub(super) fn exact(self) -> Self {
        Self {
            precision: Precision::F32,
            ..self
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) const fn isa(&self) -> Isa {
        self.isa
    }

    /// In which precision products are computed.
    pub(super) const fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether products round to bf16.
    pub(super) fn rounds(&self) -> bool {
        self.precision == Precision::Bf16
    }
}

/// Shows `work` a tensor on the processor as rows of its last dimension, in f32.
pub(super) fn with_rows<T>(x: &Tensor, work: impl FnOnce(Rows<'_>) -> Result<T>) -> Result<T> {
    let x = x.to_dtype(DType::F32)?.contiguous()?;
    let width = x.dim(D::Minus1)?;
    let (storage, layout) = x.storage_and_layout();
    let floats = match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(floats)), Some((start, end))) => floats.get(start..end),
        _ => None,
    };
    match floats {
        Some(floats) if width > 0 => work(Rows::new(floats, width)),
        _ => candle_core::bail!("kernels take tensors on the processor, of rows that hold something"),
    }
}

/// A tensor of the shape `[count, width]` of which `write` writes every number.
pub(super) fn make_rows(count: usize, width: usize, write: impl FnOnce(RowsMut<'_>)) -> Result<Tensor> {
    let mut floats = spare::floats(count * width);
    write(RowsMut::new(&mut floats, width));
    Tensor::from_vec(floats, (count, width), &Device::Cpu)
}

/// Calls `write` with every piece of `size` values of `out` and its number, on the threads of the pool.
pub(super) fn write_pieces(pool: &Pool, out: &mut [f32], size: usize, write: impl Fn(usize, &mut [f32]) + Sync) {
    let pieces: Vec<Mutex<&mut [f32]>> = out.chunks_mut(size.max(1)).map(Mutex::new).collect();
    pool.run(pieces.len(), |number| {
        // Each piece is taken once, hence never waited for.
        if let Some(Ok(mut piece)) = pieces.get(number).map(Mutex::lock) {
            write(number, &mut piece);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_the_last_dimension_whatever_the_layout_and_type() {
        let x = Tensor::arange(0_f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 3))
            .unwrap();
        let turned = x.t().unwrap().to_dtype(DType::BF16).unwrap();
        let second = with_rows(&turned, |rows| Ok((rows.rows(), rows.row(1).to_vec()))).unwrap();
        assert_eq!(second, (3, vec![1.0, 4.0]));
    }

    #[test]
    fn answers_of_all_threads_come_in_the_order_of_the_questions() {
        let kernels = Kernels::open().unwrap();
        assert_eq!(kernels.map(5, |number| number * number), [0, 1, 4, 9, 16]);
        assert_eq!(kernels.map(0, |number| number), [0; 0]);
    }

    #[test]
    fn every_piece_is_written_once_the_last_one_being_shorter() {
        let mut out = vec![0.0; 7];
        write_pieces(&Pool::new(2), &mut out, 3, |number, piece| {
            for value in piece {
                *value += [1.0, 2.0, 3.0][number];
            }
        });
        assert_eq!(out, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]);
    }

    #[test]
    fn rows_of_nothing_are_an_error_and_no_rows_are_none() {
        let width_of_none = Tensor::zeros((2, 0), DType::F32, &Device::Cpu).unwrap();
        assert!(with_rows(&width_of_none, |_| Ok(())).is_err());
        let no_rows = Tensor::zeros((0, 2), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(with_rows(&no_rows, |rows| Ok(rows.rows())).unwrap(), 0);
    }
}
