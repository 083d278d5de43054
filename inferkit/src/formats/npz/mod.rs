//! `.npz` files of numpy: a zip of arrays, each a `.npy` file.
//!
//! ```text
//! file ─▶ zip_directory ─▶ name.npy ─▶ header: type, order, shape ─▶ array: row-major numbers
//! ```
//!
//! Arrays of Python objects, which numpy keeps as pickles, are refused.

mod archive;
mod array;
mod error;
mod header;
#[cfg(test)]
mod tests;

pub(crate) use archive::NpzArchive;
#[cfg(any(fuzzing, test))]
pub(crate) use archive::read_all;
pub(crate) use array::Array;
