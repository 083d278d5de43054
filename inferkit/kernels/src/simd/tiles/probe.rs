//! A product small enough to check a unit before it is used, of numbers that show a mistake in each operand.
//!
//! Matrices are not square, so that swapped operands or a wrong distance of rows change the result; numbers are so different
//! in size that another order of additions does.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
use super::TileModel;
use super::{MOST_ROWS, REGISTERS, Shape, Tiles};

const ROWS: usize = 5;
const COLUMNS: usize = 12;
const LANES: usize = 7;

/// Distances of rows in memory, in bytes; none is the length of a row.
const A_STRIDE: usize = 4 * LANES + 20;
const B_STRIDE: usize = 4 * COLUMNS + 32;
const C_STRIDE: usize = 4 * COLUMNS + 16;

const C: usize = 2;
const A: usize = 5;
const B: usize = 7;

struct Operands {
    a: [u8; ROWS * A_STRIDE],
    b: [u8; LANES * B_STRIDE],
    c: [u8; ROWS * C_STRIDE],
}

/// Whether the processor multiplies bfloat16 in tiles as [`TileModel`] does.
///
/// # Safety
/// The processor has AMX, and this process may use it.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub(crate) unsafe fn bf16_is_as_defined() -> bool {
    bf16::<super::Amx>() == bf16::<TileModel>()
}

/// The sums of a product, in memory that held other numbers.
pub(super) unsafe fn bf16<T: Tiles>() -> [u8; ROWS * C_STRIDE] {
    let mut operands = Operands {
        a: floats(mixed(4)),
        b: floats(mixed(5)),
        c: floats(mixed(6)),
    };
    // Denormal in both operands and in the sums: each counts as zero.
    operands.a[..2].copy_from_slice(&0x0040_u16.to_le_bytes());
    operands.b[4..6].copy_from_slice(&0x8001_u16.to_le_bytes());
    operands.c[4..8].copy_from_slice(&0x0000_0001_u32.to_le_bytes());
    let mut unit = T::new(&shapes());
    unit.zero::<C>();
    unit.load::<C>(operands.c.as_ptr(), C_STRIDE);
    unit.load::<A>(operands.a.as_ptr(), A_STRIDE);
    unit.load::<B>(operands.b.as_ptr(), B_STRIDE);
    unit.add_bf16::<C, A, B>();
    unit.store::<C>(operands.c.as_mut_ptr(), C_STRIDE);
    operands.c
}

fn shapes() -> [Shape; REGISTERS] {
    const { assert!(ROWS <= MOST_ROWS && LANES <= MOST_ROWS) };
    let mut shapes = [Shape::default(); REGISTERS];
    shapes[C] = Shape {
        rows: ROWS,
        bytes: 4 * COLUMNS,
    };
    shapes[A] = Shape {
        rows: ROWS,
        bytes: 4 * LANES,
    };
    shapes[B] = Shape {
        rows: LANES,
        bytes: 4 * COLUMNS,
    };
    shapes
}

/// Bytes of a small generator.
fn mixed<const N: usize>(seed: u32) -> [u8; N] {
    let mut state = seed;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// Makes bfloat16 of pairs of bytes: the signs and significant bits that they have, exponents between 2^-6 and 2^9.
fn floats<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    for pair in bytes.as_chunks_mut::<2>().0 {
        let bits = u16::from_le_bytes(*pair);
        let exponent = 121 + (bits >> 7 & 15);
        *pair = (bits & 0x807F | exponent << 7).to_le_bytes();
    }
    bytes
}
