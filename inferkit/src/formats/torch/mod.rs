//! PyTorch checkpoints: a zip of raw storages, and a pickle that says which tensors are views of them.
//!
//! ```text
//! file ─▶ zip_directory ─▶ data.pkl ─▶ pickle (objects, nothing run) ─▶ directory (tensors, checked) ─▶ views
//!                        └ data/0, data/1, … ──────────────────────────────────────────────────────────┘
//! ```
//!
//! A pickle is a program. This reader carries out the part of it that builds data and gives a meaning to a handful of
//! names ([`pickle::Global`]); everything else that the program would call is kept as a description of the call, which
//! is an error only for who needs its result. A pickle that names functions by which attacks run commands is refused
//! as a whole.
//!
//! **Invariant:** nothing that a file names is ever executed.

mod checkpoint;
mod directory;
mod error;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod pickle;
mod storage;
mod tensor;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use checkpoint::Checkpoint;
#[cfg(any(fuzzing, test))]
#[allow(unused_imports, reason = "for the fuzz targets")]
pub(crate) use directory::Directory;
#[allow(
    unused_imports,
    reason = "pyannote reads hyper-parameters by them, and sits above this floor"
)]
pub(crate) use pickle::Global;
#[allow(
    unused_imports,
    reason = "pyannote reads hyper-parameters by them, and sits above this floor"
)]
pub(crate) use pickle::Value;
pub(crate) use tensor::TensorView;
