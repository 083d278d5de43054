//! bfloat16 on tile registers, in plain Rust: rows of a batch against single rows, and what they are the product of.
//!
//! The tier with real tile registers is tested by all the other tests, where the processor has them.

use super::{Precision, pack, product};
use crate::gemm::activations::{Form, Prepared, Runs, round_rows};
use crate::gemm::epilogue::Epilogue;
use crate::gemm::jobs::{self, Job, RowSet};
use crate::gemm::tile_unit::modelled_block;
use crate::testing::{Random, cut, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, RowsMut, Tier};

/// Tiers whose bfloat16 weights are packed as tiles take them.
fn tiers() -> impl Iterator<Item = Isa> {
    [Tier::Portable, Tier::Avx512].into_iter().filter_map(Isa::new)
}

/// The product of some rows; `None` takes the first `rows`.
fn run(pool: &Pool, prepared: &Prepared<'_>, weight: &PackedWeight, index: Option<&[u32]>, rows: usize) -> Vec<f32> {
    let (m, n) = (index.map_or(rows, <[u32]>::len), weight.n());
    let mut out = vec![f32::NAN; m * n];
    let mut target = RowsMut::new(&mut out, n);
    let job = Job {
        weight,
        up: None,
        rows: RowSet {
            index,
            start: 0,
            len: m,
        },
        out: target.shared(),
        out_stride: n,
        epilogue: Epilogue::default(),
    };
    jobs::run(pool, prepared, &[job]);
    out
}

/// Rows in bfloat16, each with an even number of values.
struct Rounded {
    bits: Vec<u16>,
    stride: usize,
}

impl Rounded {
    fn new(isa: Isa, a: &[f32], k: usize) -> Self {
        let stride = k.next_multiple_of(2);
        let mut bits = vec![0; a.len() / k * stride];
        for (row, bits) in a.chunks(k).zip(bits.chunks_mut(stride)) {
            // SAFETY: the row has k values, its target k and the next even number; the ISA is available.
            unsafe { round_rows(isa, row.as_ptr(), k, bits.as_mut_ptr().cast()) };
        }
        Self { bits, stride }
    }

    /// Prepared for kernels on tiles, with rows of `runs` runs each.
    fn prepared(&self, isa: Isa, runs: Runs) -> Prepared<'_> {
        let form = Form {
            start: self.bits.as_ptr().cast(),
            stride: 2 * self.stride,
        };
        let mut prepared = Prepared::windows(isa, form, true, runs);
        prepared.rounded_kernel = modelled_block;
        prepared
    }

    /// The product of the first rows.
    fn product(&self, weight: &PackedWeight, rows: usize) -> Vec<f32> {
        self.multiply(weight, None, rows)
    }

    /// The product of the rows that `index` names.
    fn product_of(&self, weight: &PackedWeight, index: &[u32]) -> Vec<f32> {
        self.multiply(weight, Some(index), index.len())
    }

    fn multiply(&self, weight: &PackedWeight, index: Option<&[u32]>, rows: usize) -> Vec<f32> {
        let runs = Runs {
            len: weight.k(),
            gap: 0,
        };
        run(&Pool::new(2), &self.prepared(weight.isa(), runs), weight, index, rows)
    }
}

#[test]
fn rows_of_a_batch_on_tiles_are_single_rows() {
    for isa in tiers() {
        for (n, k) in [(70, 1_027), (32, 96), (19, 2), (17, 31), (40, 1)]
            .into_iter()
            .skip(cut(0, 2))
        {
            let weight = pack(isa, Format::Bf16, [n, k], 46);
            let a = Random::new(47).floats(cut(40, 17) * k);
            let rounded = Rounded::new(isa, &a, k);
            let single: Vec<f32> = a
                .chunks(k)
                .flat_map(|row| Rounded::new(isa, row, k).product(&weight, 1))
                .collect();
            for m in [2, 3, 8, 16, 17, 33, 40].into_iter().take(cut(7, 5)) {
                let found = rounded.product(&weight, m);
                assert!(
                    same_bits(&found, &single[..m * n]),
                    "{} {n} x {k}: {m} rows on tiles differ from single rows",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn tiles_give_the_product_of_rounded_numbers() {
    for isa in tiers() {
        let (n, k) = (cut(33, 17), cut(333, 35));
        let weight = pack(isa, Format::Bf16, [n, k], 48);
        let m = cut(12, 3);
        let a = Random::new(49).floats(m * k);
        // Elsewhere rounded numbers meet in f32, in ascending order.
        let expected = product(
            &Pool::new(1),
            &a,
            Precision::Bf16,
            &pack(Isa::portable(), Format::Bf16, [n, k], 48),
        );
        let found = Rounded::new(isa, &a, k).product(&weight, m);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 3e-5,
                "{}: {found}, not {expected}",
                isa.tier()
            );
        }
    }
}

#[test]
fn rows_of_an_expert_are_found_wherever_they_stand() {
    for isa in tiers() {
        // More than one slice of k.
        let (n, k) = (cut(33, 17), cut(1_030, 30));
        let weight = pack(isa, Format::Bf16, [n, k], 42);
        let rounded = Rounded::new(isa, &Random::new(43).floats(40 * k), k);
        let all = rounded.product(&weight, 40);
        let scattered: Vec<u32> = (0..21).map(|i| i * i % 40).collect();
        let even: Vec<u32> = (0..20).map(|i| 2 * i).collect();
        let backwards: Vec<u32> = (0..40).rev().collect();
        for index in [scattered, even, backwards, vec![5; 9]] {
            let found = rounded.product_of(&weight, &index);
            for (row, &from) in found.chunks(n).zip(&index) {
                let expected = &all[from as usize * n..][..n];
                assert!(same_bits(row, expected), "{}, row {from}", isa.tier());
            }
        }
    }
}

#[test]
fn a_row_that_is_no_number_spoils_no_other_on_tiles() {
    for isa in tiers() {
        let (n, k) = (20, 64);
        let weight = pack(isa, Format::Bf16, [n, k], 44);
        let mut a = Random::new(45).floats(17 * k);
        let clean = Rounded::new(isa, &a, k).product(&weight, 17);
        a[9 * k + 3] = f32::NAN;
        let found = Rounded::new(isa, &a, k).product(&weight, 17);
        for (row, (found, clean)) in found.chunks(n).zip(clean.chunks(n)).enumerate() {
            if row == 9 {
                assert!(found.iter().all(|x| x.is_nan()), "{found:?}");
            } else {
                assert!(same_bits(found, clean), "row {row}");
            }
        }
    }
}

#[test]
fn windows_of_several_runs_meet_tiles_too() {
    // A convolution over 20 pixels of 6 channels with 3 taps, two pixels apart: rows of three runs that overlap.
    for isa in tiers() {
        let (channels, taps, n) = (6, 3, 18);
        let weight = pack(isa, Format::Bf16, [n, taps * channels], 50);
        let map = Random::new(51).floats(20 * channels);
        let rounded = Rounded {
            bits: Rounded::new(isa, &map, map.len()).bits,
            stride: channels,
        };
        let runs = Runs {
            len: channels,
            gap: 2 * channels as isize,
        };
        let starts: Vec<u32> = (0..16).filter(|start| start % 5 != 4).collect();
        let (m, pool) = (starts.len(), Pool::new(1));
        let found = run(&pool, &rounded.prepared(isa, runs), &weight, Some(&starts), m);
        let rows: Vec<f32> = starts
            .iter()
            .flat_map(|&start| (0..taps).map(move |tap| start as usize + 2 * tap))
            .flat_map(|pixel| map[pixel * channels..][..channels].to_vec())
            .collect();
        // A run is a slice of its own, which shows in the order of additions: compared by size.
        let expected = Rounded::new(isa, &rows, taps * channels).product(&weight, m);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 3e-6,
                "{}: {found}, not {expected}",
                isa.tier()
            );
        }
    }
}
