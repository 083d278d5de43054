//! Kernels on tile registers, in plain Rust, against those on vectors: the same bits.
//!
//! The tiers with real tile registers are tested by all the other tests, where the processor has them.

use super::{Precision, pack, product};
use crate::gemm::activations::{Form, Prepared, Runs, round_rows};
use crate::gemm::epilogue::{Activation, Epilogue};
use crate::gemm::jobs::{self, Job, RowSet};
use crate::gemm::tile_unit::{LEAST_ROWS, modelled_kernels};
use crate::testing::{Random, cut, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut, Tier};

/// The tiers whose weights tiles take.
fn tiers() -> impl Iterator<Item = Isa> {
    [Tier::Portable, Tier::Avx512Vnni].into_iter().filter_map(Isa::new)
}

/// One format for each kernel, and both ways of decoding to it.
const FORMATS: [Format; 7] = [
    Format::Q8_0,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_1,
    Format::Q4K,
    Format::Q5K,
    Format::Q6K,
];

/// The product of some rows of `a` with tiles of the model; `None` takes all.
fn on_tiles(a: &[f32], weight: &PackedWeight, index: Option<&[u32]>) -> Vec<f32> {
    let pool = Pool::new(2);
    let a = Rows::new(a, weight.k());
    let mut prepared = Prepared::new(&pool, a, Precision::F32, &[weight]).unwrap();
    prepared.tile_kernels = Some(modelled_kernels(weight.isa()));
    run(&pool, &prepared, weight, index, a.rows())
}

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

#[test]
fn tiles_of_bytes_give_the_bits_of_vectors() {
    for isa in tiers() {
        for format in FORMATS {
            // More than one slice of k, and a panel that is not full.
            let (k, n) = (cut(1_280, 256), cut(70, 19));
            let weight = pack(isa, format, [n, k], 40);
            let a = Random::new(41).floats(cut(40, 17) * k);
            let expected = product(&Pool::new(2), &a, Precision::F32, &weight);
            let sizes = [LEAST_ROWS, 17, 1, LEAST_ROWS - 1, 15, 16, 31, 32, 33, 40];
            for m in sizes.into_iter().take(cut(10, 2)) {
                let found = on_tiles(&a[..m * k], &weight, None);
                assert!(
                    same_bits(&found, &expected[..m * n]),
                    "{} {format:?}: {m} rows on tiles differ",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn rows_of_an_expert_are_found_wherever_they_stand() {
    for isa in tiers() {
        for format in [Format::Q8_0, Format::Q6K] {
            let weight = pack(isa, format, [33, 256], 42);
            let a = Random::new(43).floats(40 * 256);
            let all = product(&Pool::new(1), &a, Precision::F32, &weight);
            let scattered: Vec<u32> = (0..21).map(|i| i * i % 40).collect();
            let even: Vec<u32> = (0..20).map(|i| 2 * i).collect();
            let backwards: Vec<u32> = (0..40).rev().collect();
            for index in [scattered, even, backwards, vec![5; 9]] {
                let found = on_tiles(&a, &weight, Some(&index));
                for (row, &from) in found.chunks(33).zip(&index) {
                    let expected = &all[from as usize * 33..][..33];
                    assert!(same_bits(row, expected), "{} {format:?}, row {from}", isa.tier());
                }
            }
        }
    }
}

#[test]
fn a_row_that_is_no_number_spoils_no_other_on_tiles() {
    for isa in tiers() {
        let weight = pack(isa, Format::Q8_0, [20, 64], 44);
        let mut a = Random::new(45).floats(17 * 64);
        let clean = on_tiles(&a, &weight, None);
        a[9 * 64 + 3] = f32::NAN;
        let found = on_tiles(&a, &weight, None);
        for (row, (found, clean)) in found.chunks(20).zip(clean.chunks(20)).enumerate() {
            if row == 9 {
                assert!(found.iter().all(|x| x.is_nan()), "{found:?}");
            } else {
                assert!(same_bits(found, clean), "row {row}");
            }
        }
    }
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
        prepared.tile_kernels = Some(modelled_kernels(isa));
        prepared
    }

    fn product(&self, weight: &PackedWeight, rows: usize) -> Vec<f32> {
        let runs = Runs {
            len: weight.k(),
            gap: 0,
        };
        run(&Pool::new(2), &self.prepared(weight.isa(), runs), weight, None, rows)
    }
}

#[test]
fn bf16_rows_of_a_batch_on_tiles_are_single_rows_on_vectors() {
    for isa in tiers() {
        for (n, k) in [(70, 1_027), (32, 96), (19, 2), (17, 31), (40, 1)] {
            let weight = pack(isa, Format::Bf16, [n, k], 46);
            let a = Random::new(47).floats(40 * k);
            let rounded = Rounded::new(isa, &a, k);
            let single: Vec<f32> = a
                .chunks(k)
                .flat_map(|row| Rounded::new(isa, row, k).product(&weight, 1))
                .collect();
            for m in [2, 3, 7, LEAST_ROWS, 16, 17, 33, 40] {
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
fn bf16_on_tiles_is_the_product_of_rounded_numbers() {
    for isa in tiers() {
        let (n, k) = (33, 333);
        let weight = pack(isa, Format::Bf16, [n, k], 48);
        let a = Random::new(49).floats(12 * k);
        // Elsewhere rounded numbers meet in f32, in ascending order.
        let expected = product(
            &Pool::new(1),
            &a,
            Precision::Bf16,
            &pack(Isa::portable(), Format::Bf16, [n, k], 48),
        );
        let found = Rounded::new(isa, &a, k).product(&weight, 12);
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

#[test]
fn an_epilogue_follows_tiles_as_it_follows_vectors() {
    for isa in tiers() {
        let weight = pack(isa, Format::Q4K, [50, 256], 52);
        let a = Random::new(53).floats(9 * 256);
        let bias = Random::new(54).floats(50);
        let outputs = [None, Some(modelled_kernels(isa))].map(|kernels| {
            let pool = Pool::new(1);
            let rows = Rows::new(&a, 256);
            let mut prepared = Prepared::new(&pool, rows, Precision::F32, &[&weight]).unwrap();
            prepared.tile_kernels = kernels;
            let mut out = vec![f32::NAN; 9 * 50];
            let mut target = RowsMut::new(&mut out, 50);
            let job = Job {
                weight: &weight,
                up: Some(&weight),
                rows: RowSet::all(9),
                out: target.shared(),
                out_stride: 50,
                epilogue: Epilogue::default().with_bias(&bias).with_activation(Activation::Silu),
            };
            jobs::run(&pool, &prepared, &[job]);
            out
        });
        assert!(same_bits(&outputs[0], &outputs[1]), "{}", isa.tier());
    }
}
