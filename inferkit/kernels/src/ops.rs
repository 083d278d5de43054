//! Small operations on rows: norms, rotary positions, softmax, gates.
//!
//! Each takes a [`Pool`] and an [`Isa`](crate::Isa) and works on whole rows; few values are not worth a
//! region and stay on the calling thread. Sums are taken in f32 over 256 values and in f64 above, in two passes
//! where a mean is subtracted.
//!
//! **Invariant:** a row's result does not depend on the other rows.

mod elementwise;
mod norm;
mod rope;
mod softmax;

pub use elementwise::{activate, add, sigmoid_mul, silu_mul};
pub(crate) use norm::factor_of;
pub use norm::{LayerNorm, RmsNorm};
pub use rope::RopeTable;
pub(crate) use softmax::check_scale;
pub use softmax::softmax;

use crate::Pool;

/// Calls `row` for each row, some thousand values at a time.
pub(crate) fn for_rows(pool: &Pool, rows: usize, width: usize, row: impl Fn(usize) + Sync) {
    /// Values that are worth a unit: about two microseconds of work.
    const UNIT: usize = 16_384;
    let per_unit = (UNIT / width.max(1)).max(1);
    pool.run(rows.div_ceil(per_unit), |unit| {
        (unit * per_unit..((unit + 1) * per_unit).min(rows)).for_each(&row);
    });
}

#[cfg(test)]
mod tests;
