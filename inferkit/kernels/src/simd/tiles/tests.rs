use super::{REGISTERS, Shape, TileModel, Tiles, configuration, probe};

fn shapes(of: [(usize, usize, usize); 3]) -> [Shape; REGISTERS] {
    let mut shapes = [Shape::default(); REGISTERS];
    for (register, rows, bytes) in of {
        shapes[register] = Shape { rows, bytes };
    }
    shapes
}

/// The bits of bfloat16 numbers.
fn bf16(values: &[f32]) -> Vec<u16> {
    values.iter().map(|x| half::bf16::from_f32(*x).to_bits()).collect()
}

#[test]
fn a_configuration_has_its_numbers_where_the_manual_says() {
    let found = configuration(&shapes([(0, 16, 64), (3, 5, 28), (7, 1, 4)]));
    let mut expected = [0; 64];
    expected[0] = 1; // palette
    (expected[16], expected[22], expected[30]) = (64, 28, 4);
    (expected[48], expected[51], expected[55]) = (16, 5, 1);
    assert_eq!(found, expected);
}

/// A single sum: `c` plus the products of two lists of bfloat16.
fn one_sum(c: f32, a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() == b.len() && a.len().is_multiple_of(2));
    let (a, b) = (bf16(a), bf16(b));
    let mut sum = c;
    // SAFETY: one row of `a.len()` numbers, and a column of as many: pairs below each other are pairs in a row.
    unsafe {
        let mut unit = TileModel::new(&shapes([(3, 1, 4), (4, 1, 2 * a.len()), (5, a.len() / 2, 4)]));
        unit.load::<3>((&raw const sum).cast(), 4);
        unit.load::<4>(a.as_ptr().cast(), 0);
        unit.load::<5>(b.as_ptr().cast(), 4);
        unit.add_bf16::<3, 4, 5>();
        unit.store::<3>((&raw mut sum).cast(), 4);
    }
    sum
}

#[test]
fn even_and_odd_numbers_are_two_chains_whose_sum_is_added_last() {
    let large = 2_f32.powi(24);
    // Each chain loses its one beside 2^24, and the two large numbers cancel; in ascending order a one would survive.
    assert_eq!(one_sum(0.0, &[large, -large, 1.0, 0.0], &[1.0; 4]), 0.0);
    // The chains cancel within themselves first.
    assert_eq!(one_sum(0.0, &[large, 1.0, -large, 1.0], &[1.0; 4]), 2.0);
    // What was there is added at the end: two ones that would each be lost alone survive together.
    assert_eq!(one_sum(large, &[1.0, 1.0], &[1.0; 2]), large + 2.0);
}

#[test]
fn denormals_count_as_zero_in_operands_and_results() {
    let tiny = f32::MIN_POSITIVE;
    assert_eq!(one_sum(0.0, &[tiny * 0.5, 0.0], &[1e30, 0.0]), 0.0, "an operand");
    assert_eq!(
        one_sum(tiny * 0.25, &[0.0; 2], &[0.0; 2]).to_bits(),
        0,
        "what was there"
    );
    assert_eq!(one_sum(0.0, &[tiny, 0.0], &[0.5, 0.0]).to_bits(), 0, "a product");
    assert_eq!(
        one_sum(-1.5 * tiny, &[tiny, 0.0], &[1.0, 0.0]).to_bits(),
        1 << 31,
        "a sum, with its sign"
    );
}

#[test]
fn memory_beyond_a_shape_is_not_touched() {
    let mut memory = [7_u8; 3 * 10];
    // SAFETY: two rows of four bytes, ten apart, lie within the memory.
    unsafe {
        let mut unit = TileModel::new(&shapes([(0, 2, 4), (1, 1, 4), (2, 1, 4)]));
        unit.zero::<0>();
        unit.store::<0>(memory.as_mut_ptr(), 10);
    }
    for (i, byte) in memory.into_iter().enumerate() {
        let is_inside = i / 10 < 2 && i % 10 < 4;
        assert_eq!(byte, if is_inside { 0 } else { 7 }, "byte {i}");
    }
}

#[test]
#[should_panic(expected = "as many lanes in a row of A as rows of B")]
fn operands_that_do_not_fit_are_refused() {
    // SAFETY: nothing is read: registers begin with zeros.
    unsafe { TileModel::new(&shapes([(0, 1, 8), (1, 1, 8), (2, 3, 8)])).add_bf16::<0, 1, 2>() };
}

#[test]
#[should_panic(expected = "register 4 has no shape")]
fn a_register_without_a_shape_is_refused() {
    // SAFETY: as above.
    unsafe { TileModel::new(&shapes([(0, 1, 8), (1, 1, 8), (2, 2, 8)])).zero::<4>() };
}

/// The model with one mistake, as a processor or a line of assembly might have it.
struct Mistaken<const KIND: u8> {
    unit: TileModel,
    shapes: [Shape; REGISTERS],
}

const NONE: u8 = 0;
const OTHER_DISTANCE: u8 = 1;
const FORGOTTEN_SUMS: u8 = 2;
const OTHER_ORDER: u8 = 3;

impl<const KIND: u8> Mistaken<KIND> {
    /// Adds one pair after the other to the sums.
    unsafe fn add_pairs<const C: usize, const A: usize, const B: usize>(&mut self) {
        let [mut c, mut a, mut b] = [[0_u8; 64 * 16]; 3];
        self.unit.store::<C>(c.as_mut_ptr(), 64);
        self.unit.store::<A>(a.as_mut_ptr(), 64);
        self.unit.store::<B>(b.as_mut_ptr(), 64);
        let (sums, right) = (self.shapes[C], self.shapes[B]);
        for pair in 0..right.rows {
            let mut unit = TileModel::new(&shapes([
                (0, sums.rows, sums.bytes),
                (1, sums.rows, 4),
                (2, 1, sums.bytes),
            ]));
            unit.load::<0>(c.as_ptr(), 64);
            unit.load::<1>(a.as_ptr().add(4 * pair), 64);
            unit.load::<2>(b.as_ptr().add(64 * pair), 64);
            unit.add_bf16::<0, 1, 2>();
            unit.store::<0>(c.as_mut_ptr(), 64);
        }
        self.unit.load::<C>(c.as_ptr(), 64);
    }
}

impl<const KIND: u8> Tiles for Mistaken<KIND> {
    unsafe fn new(shapes: &[Shape; REGISTERS]) -> Self {
        Self {
            unit: TileModel::new(shapes),
            shapes: *shapes,
        }
    }
    unsafe fn zero<const T: usize>(&mut self) {
        self.unit.zero::<T>();
    }
    unsafe fn load<const T: usize>(&mut self, p: *const u8, stride: usize) {
        self.unit
            .load::<T>(p, if KIND == OTHER_DISTANCE { stride + 4 } else { stride });
    }
    unsafe fn store<const T: usize>(&mut self, p: *mut u8, stride: usize) {
        self.unit.store::<T>(p, stride);
    }
    unsafe fn add_bf16<const C: usize, const A: usize, const B: usize>(&mut self) {
        match KIND {
            OTHER_ORDER => return self.add_pairs::<C, A, B>(),
            FORGOTTEN_SUMS => self.unit.zero::<C>(),
            _ => {}
        }
        self.unit.add_bf16::<C, A, B>();
    }
}

#[test]
fn the_probe_sees_what_a_unit_does_otherwise() {
    // SAFETY: mistaken distances stay within the operands, whose last rows have room to spare.
    unsafe {
        let expected = probe::bf16::<TileModel>();
        assert_eq!(probe::bf16::<Mistaken<NONE>>(), expected);
        assert_ne!(probe::bf16::<Mistaken<OTHER_DISTANCE>>(), expected);
        assert_ne!(probe::bf16::<Mistaken<FORGOTTEN_SUMS>>(), expected);
        assert_ne!(probe::bf16::<Mistaken<OTHER_ORDER>>(), expected);
    }
}
