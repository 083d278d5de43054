//! Tile registers: small matrices, and their products as single instructions.
//!
//! A unit has eight registers, each a matrix of up to 16 rows of 64 bytes. Whoever makes one says how many rows and bytes each
//! register has; products take their sizes from that:
//!
//! ```text
//! C [m][n] f32 += A [m][k/2][2] bf16 · B [k/2][n][2] bf16      k up to 32
//! ```
//!
//! [`TileModel`] is the definition, in plain Rust; [`Amx`] issues one instruction for each function. Kernels are written for
//! the trait, and run under test with the model on machines without AMX.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and volume 2, TDPBF16PS
//! and LDTILECFG.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(any(test, all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod model;
#[cfg(any(test, all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod probe;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::Amx;
#[cfg(any(test, all(target_arch = "x86_64", target_os = "linux", not(miri))))]
pub(crate) use model::TileModel;
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub(crate) use probe::bf16_is_as_defined;

/// Registers of a unit.
pub(crate) const REGISTERS: usize = 8;
/// The most rows a register has.
pub(crate) const MOST_ROWS: usize = 16;
/// The most bytes a row of a register has.
pub(crate) const MOST_BYTES: usize = 64;

/// The size of a register: nothing, or at least a row of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    /// At most [`MOST_ROWS`].
    pub(crate) rows: usize,
    /// Bytes of a row, at most [`MOST_BYTES`].
    pub(crate) bytes: usize,
}

/// Eight tile registers.
///
/// A value lasts as long as a kernel: where registers are those of the processor, making it sets their shapes, and dropping it
/// gives them back. In between the system saves 8 KiB more whenever it switches threads.
///
/// # Safety
/// The processor has the instructions. Registers that are named have a shape; pointers are valid for as many rows of as
/// many bytes, `stride` bytes apart. A thread has one unit at a time.
pub(crate) trait Tiles: Sized {
    /// Gives each register its shape, and zeros.
    unsafe fn new(shapes: &[Shape; REGISTERS]) -> Self;
    /// Fills register `T` with zeros.
    unsafe fn zero<const T: usize>(&mut self);
    /// Reads register `T` from memory.
    unsafe fn load<const T: usize>(&mut self, p: *const u8, stride: usize);
    /// Writes register `T` to memory.
    unsafe fn store<const T: usize>(&mut self, p: *mut u8, stride: usize);
    /// Adds the products of bfloat16 in `A` and `B` to the f32 sums in `C`: even and odd k are two chains of fused
    /// multiply-adds that begin at zero, and the sum of both is added to `C`. Denormals count as zero everywhere.
    unsafe fn add_bf16<const C: usize, const A: usize, const B: usize>(&mut self);
}

/// What LDTILECFG reads: palette 1, and shapes.
fn configuration(shapes: &[Shape; REGISTERS]) -> [u8; 64] {
    /// Where the bytes of a row of each register stand, 16 bits each, and where its rows.
    const BYTES_AT: usize = 16;
    const ROWS_AT: usize = 48;
    let mut configuration = [0; 64];
    configuration[0] = 1;
    for (register, shape) in shapes.iter().enumerate() {
        debug_assert!(shape.rows <= MOST_ROWS && shape.bytes <= MOST_BYTES, "{shape:?}");
        configuration[BYTES_AT + 2 * register] = shape.bytes as u8;
        configuration[ROWS_AT + register] = shape.rows as u8;
    }
    configuration
}

#[cfg(test)]
mod tests;
