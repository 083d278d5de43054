//! CPU kernels on plain slices: the one home of SIMD in inferkit.
//!
//! **Invariant:** this crate knows slices and shapes, no tensors and no models.
