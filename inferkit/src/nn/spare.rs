//! Memory of tensors that nobody looks at any more, for the next ones that the same thread makes.
//!
//! The rows between two layers of an encoder take megabytes. Fresh memory for each of them is cleared page by page on one
//! thread while the others wait, which costs as much as a tenth of the products. What a model gives to [`reuse`] is lent to
//! the layers that it runs next.
//!
//! **Invariant:** numbers that are lent are left over from earlier use: who takes them writes every one.

use std::cell::Cell;

use candle_core::CpuStorage;
use candle_core::InplaceOp1;
use candle_core::Layout;
use candle_core::Result;
use candle_core::Tensor;

thread_local! {
    static SPARE: Cell<Vec<Vec<f32>>> = const { Cell::new(Vec::new()) };
}

/// Vectors that a thread keeps at most, and numbers in all of them (64 MiB). Those that were given back last stay.
const MOST_VECTORS: usize = 12;
const MOST_NUMBERS: usize = 1 << 24;

/// So many numbers, zero or left over.
pub(super) fn floats(count: usize) -> Vec<f32> {
    let mut spare = SPARE.take();
    let fits = spare
        .iter()
        .enumerate()
        .filter(|(_, floats)| floats.len() >= count && floats.len() / 2 <= count);
    let place = fits.min_by_key(|(_, floats)| floats.len()).map(|(place, _)| place);
    let chosen = place.map(|place| spare.remove(place));
    SPARE.set(spare);
    match chosen {
        Some(mut floats) => {
            floats.truncate(count);
            floats
        }
        None => vec![0.0; count],
    }
}

/// Gives back the memory of a tensor that was the last to look at its numbers; others that do find none.
///
/// It is kept for this thread's next layers on the processor. On other devices the tensor is only dropped.
pub(crate) fn reuse(tensor: Tensor) {
    if !tensor.device().is_cpu() {
        return;
    }
    let taken = Taken(Cell::new(Vec::new()));
    // Tensors of other types than f32 keep their numbers, and are dropped with them.
    let _ = tensor.inplace_op1(&taken);
    drop(tensor);
    keep(taken.0.into_inner());
}

/// What `layer` makes of `x`, whose memory is [given back](reuse).
pub(crate) fn consume(x: Tensor, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let y = layer(&x)?;
    reuse(x);
    Ok(y)
}

/// Keeps numbers that no tensor was made of for this thread's next layers.
pub(super) fn keep(floats: Vec<f32>) {
    let mut spare = SPARE.take();
    if !floats.is_empty() {
        spare.push(floats);
    }
    let mut numbers: usize = spare.iter().map(Vec::len).sum();
    while spare.len() > MOST_VECTORS || numbers > MOST_NUMBERS {
        numbers -= spare.remove(0).len();
    }
    SPARE.set(spare);
}

/// Takes the numbers out of a tensor.
struct Taken(Cell<Vec<f32>>);

impl InplaceOp1 for Taken {
    fn name(&self) -> &'static str {
        "reuse"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        if let CpuStorage::F32(floats) = storage {
            self.0.set(std::mem::take(floats));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Runs on a thread of its own, which begins with nothing spare.
    fn alone(work: impl FnOnce() + Send + 'static) {
        std::thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_vector_of_a_tensor_that_is_given_back_serves_the_next_of_about_its_size() {
        alone(|| {
            let numbers = vec![1.0; 100];
            let memory = numbers.as_ptr();
            reuse(Tensor::from_vec(numbers, 100, &Device::Cpu).unwrap());
            assert_eq!(floats(10).len(), 10, "far smaller: not the same memory");
            let again = floats(80);
            assert_eq!((again.as_ptr(), again.len()), (memory, 80));
            assert_eq!(floats(80), [0.0; 80], "nothing is spare any more");
        });
    }

    #[test]
    fn tensors_of_other_types_and_of_nothing_are_dropped() {
        alone(|| {
            reuse(Tensor::new(&[1_u32, 2], &Device::Cpu).unwrap());
            reuse(Tensor::from_vec(Vec::<f32>::new(), 0, &Device::Cpu).unwrap());
            assert_eq!(SPARE.take().len(), 0);
        });
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_bounds() {
        alone(|| {
            keep(vec![0.0; MOST_NUMBERS + 1]);
            assert_eq!(SPARE.take().len(), 0);
            for size in 1..=MOST_VECTORS + 1 {
                keep(vec![0.0; size]);
            }
            let kept: Vec<usize> = SPARE.take().iter().map(Vec::len).collect();
            assert_eq!(kept, (2..=MOST_VECTORS + 1).collect::<Vec<_>>(), "the oldest goes");
        });
    }

    #[test]
    fn who_still_looks_at_numbers_given_back_gets_an_error_and_no_panic() {
        alone(|| {
            let tensor = Tensor::from_vec(vec![1_f32, 2.0], 2, &Device::Cpu).unwrap();
            let view = tensor.clone();
            reuse(tensor);
            assert!(super::super::kernels::with_rows(&view, |_| Ok(())).is_err());
        });
    }
}
