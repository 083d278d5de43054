//! Tile registers in plain Rust: what each instruction of AMX does, in the manual's order of operations.
//!
//! What the processor answers with an exception is a panic here.

use super::{MOST_BYTES, MOST_ROWS, REGISTERS, Shape, Tiles, configuration};

/// Registers in memory.
pub(crate) struct TileModel {
    shapes: [Shape; REGISTERS],
    registers: [[[u8; MOST_BYTES]; MOST_ROWS]; REGISTERS],
}

impl TileModel {
    /// LDTILECFG: takes shapes from the 64 bytes that the instruction reads.
    fn configured(configuration: &[u8; 64]) -> Self {
        assert_eq!(configuration[0], 1, "the palette with tiles");
        assert!(
            configuration[1..16]
                .iter()
                .chain(&configuration[32..48])
                .chain(&configuration[56..])
                .all(|&byte| byte == 0),
            "no row to start at, and zeros where the format reserves bytes"
        );
        let shapes = std::array::from_fn(|register| Shape {
            rows: configuration[48 + register].into(),
            bytes: u16::from_le_bytes([configuration[16 + 2 * register], configuration[17 + 2 * register]]).into(),
        });
        for shape in &shapes {
            assert!(
                shape.rows <= MOST_ROWS && shape.bytes <= MOST_BYTES,
                "{shape:?} exceeds a register"
            );
            assert_eq!(shape.rows == 0, shape.bytes == 0, "{shape:?} is half a shape");
        }
        Self {
            shapes,
            registers: [[[0; MOST_BYTES]; MOST_ROWS]; REGISTERS],
        }
    }

    fn shape(&self, register: usize) -> Shape {
        let shape = self.shapes[register];
        assert!(shape.rows > 0, "register {register} has no shape");
        shape
    }

    /// Checks that the shapes of a product fit; returns its rows, columns, and lanes of 32 bits along k.
    fn product(&self, [c, a, b]: [usize; 3]) -> [usize; 3] {
        assert!(c != a && c != b && a != b, "three different registers");
        let [sums, left, right] = [c, a, b].map(|register| self.shape(register));
        assert!(
            [sums, left, right].iter().all(|shape| shape.bytes.is_multiple_of(4)),
            "rows of whole lanes"
        );
        assert_eq!(sums.rows, left.rows, "as many rows of sums as of A");
        assert_eq!(sums.bytes, right.bytes, "as many columns of sums as of B");
        assert_eq!(left.bytes / 4, right.rows, "as many lanes in a row of A as rows of B");
        [sums.rows, sums.bytes / 4, left.bytes / 4]
    }

    fn lane(&self, register: usize, row: usize, lane: usize) -> [u8; 4] {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.registers[register][row][4 * lane..][..4]);
        bytes
    }

    /// One sum: `lanes` pairs of products are added to what is there.
    fn sum(&self, [c, a, b]: [usize; 3], [row, column]: [usize; 2], lanes: usize) -> f32 {
        let mut chains = [0.0_f32; 2];
        for k in 0..lanes {
            let (a, b) = (self.lane(a, row, k), self.lane(b, k, column));
            for (half, chain) in chains.iter_mut().enumerate() {
                let (a, b) = (bf16_of(a, half), bf16_of(b, half));
                *chain = without_denormals(a.mul_add(b, *chain));
            }
        }
        let both = without_denormals(chains[0] + chains[1]);
        without_denormals(without_denormals(f32::from_le_bytes(self.lane(c, row, column))) + both)
    }
}

impl Tiles for TileModel {
    unsafe fn new(shapes: &[Shape; REGISTERS]) -> Self {
        Self::configured(&configuration(shapes))
    }

    unsafe fn zero<const T: usize>(&mut self) {
        self.shape(T);
        self.registers[T] = [[0; MOST_BYTES]; MOST_ROWS];
    }

    unsafe fn load<const T: usize>(&mut self, p: *const u8, stride: usize) {
        let shape = self.shape(T);
        let mut register = [[0; MOST_BYTES]; MOST_ROWS];
        for (row, bytes) in register.iter_mut().enumerate().take(shape.rows) {
            std::ptr::copy_nonoverlapping(
                p.wrapping_add(row.wrapping_mul(stride)),
                bytes.as_mut_ptr(),
                shape.bytes,
            );
        }
        self.registers[T] = register;
    }

    unsafe fn store<const T: usize>(&mut self, p: *mut u8, stride: usize) {
        let shape = self.shape(T);
        for (row, bytes) in self.registers[T].iter().enumerate().take(shape.rows) {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), p.wrapping_add(row.wrapping_mul(stride)), shape.bytes);
        }
    }

    unsafe fn add_bf16<const C: usize, const A: usize, const B: usize>(&mut self) {
        let [rows, columns, lanes] = self.product([C, A, B]);
        // What lies beyond the shape of the sums becomes zero.
        let mut sums = [[0; MOST_BYTES]; MOST_ROWS];
        for (row, sums) in sums.iter_mut().enumerate().take(rows) {
            for (column, lane) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate().take(columns) {
                *lane = self.sum([C, A, B], [row, column], lanes).to_le_bytes();
            }
        }
        self.registers[C] = sums;
    }
}

/// The lower or upper half of a lane.
fn bf16_of(lane: [u8; 4], half: usize) -> f32 {
    without_denormals(f32::from_le_bytes([0, 0, lane[2 * half], lane[2 * half + 1]]))
}

/// Zero of the same sign for a denormal number.
fn without_denormals(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}
