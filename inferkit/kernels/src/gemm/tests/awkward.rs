//! Values that are no numbers, extreme quants, and memory that ends.

use super::{KINDS, Precision, Product, gemm, pack, product};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

#[test]
fn a_value_that_is_no_number_spoils_its_row_and_no_other() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for format in KINDS {
            let weight = pack(isa, format, [40, 256], 30);
            let mut a = Random::new(31).floats(5 * 256);
            let clean = product(&pool, &a, Precision::F32, &weight);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                a[2 * 256 + 77] = bad;
                let found = product(&pool, &a, Precision::F32, &weight);
                for row in 0..5 {
                    let (found, clean) = (&found[row * 40..][..40], &clean[row * 40..][..40]);
                    if row == 2 {
                        // Against a weight of zero, infinity is no number either; other weights keep it.
                        let surfaced = found.iter().all(|x| !x.is_finite());
                        assert!(surfaced, "{} {format:?}: {bad} is hidden in {found:?}", isa.tier());
                    } else {
                        assert!(same_bits(found, clean), "{} {format:?}: row {row}", isa.tier());
                    }
                }
            }
        }
    }
}

#[test]
fn zeros_and_denormals_give_zero() {
    for isa in Isa::available() {
        for format in [Format::Q8_0, Format::Q5_1, Format::Q4K, Format::Q5K, Format::Q6K] {
            let weight = pack(isa, format, [20, 256], 32);
            for tiny in [0.0, -0.0, 1e-40, -1e-38, 9e-31] {
                let found = product(&Pool::new(1), &[tiny; 256], Precision::F32, &weight);
                assert!(
                    found.iter().all(|&x| x == 0.0),
                    "{} {format:?}: {tiny:e} gave {found:?}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn huge_activations_keep_their_ratio() {
    for isa in Isa::available() {
        let weight = pack(isa, Format::Q8_0, [20, 64], 33);
        let a = Random::new(34).floats(64);
        let small = product(&Pool::new(1), &a, Precision::F32, &weight);
        let scaled: Vec<f32> = a.iter().map(|x| x * 2_f32.powi(100)).collect();
        let large = product(&Pool::new(1), &scaled, Precision::F32, &weight);
        let expected: Vec<f32> = small.iter().map(|x| x * 2_f32.powi(100)).collect();
        assert!(
            same_bits(&large, &expected),
            "{}: a power of two changes the exponent only",
            isa.tier()
        );
    }
}

/// A Q8_0 weight of one scale and the quants given.
fn q8_0(isa: Isa, rows: &[[i8; 32]]) -> PackedWeight {
    let bytes: Vec<u8> = rows
        .iter()
        .flat_map(|row| {
            half::f16::from_f32(1.0)
                .to_le_bytes()
                .into_iter()
                .chain(row.iter().map(|&q| q as u8))
        })
        .collect();
    PackedWeight::pack(&Pool::new(1), isa, Format::Q8_0, [rows.len(), 32], &bytes).unwrap()
}

#[test]
fn extreme_quants_do_not_saturate() {
    // 2 * 255 * 127 exceeds 16 bits: a kernel on VPMADDUBSW would saturate. -128 occurs in files that others wrote.
    for isa in Isa::available() {
        let weight = q8_0(isa, &[[127; 32], [-127; 32], [-128; 32], [0; 32], [1; 32]]);
        for sign in [1.0_f32, -1.0] {
            let found = product(&Pool::new(1), &[127.0 * sign; 32], Precision::F32, &weight);
            let expected = [127.0, -127.0, -128.0, 0.0, 1.0].map(|w| w * 127.0 * 32.0 * sign);
            assert_eq!(found, expected, "{}", isa.tier());
        }
    }
}

#[test]
fn signed_and_unsigned_operands_are_not_swapped() {
    for isa in Isa::available() {
        let mut quants = [0; 32];
        quants[5] = -100;
        let weight = q8_0(isa, &[quants]);
        let mut a = [0.0; 32];
        a[5] = 127.0;
        a[6] = -127.0;
        assert_eq!(
            product(&Pool::new(1), &a, Precision::F32, &weight),
            [-12_700.0],
            "{}",
            isa.tier()
        );
    }
}

#[test]
fn activations_are_rounded_to_even() {
    // The greatest magnitude is 127, so that quants are the values themselves.
    for isa in Isa::available() {
        let weight = q8_0(isa, &[[1; 32]]);
        for (x, rounded) in [
            (0.5, 0.0),
            (1.5, 2.0),
            (2.5, 2.0),
            (-0.5, 0.0),
            (-1.5, -2.0),
            (-2.5, -2.0),
        ] {
            let mut a = [0.0; 32];
            a[0] = 127.0;
            a[9] = x;
            assert_eq!(
                product(&Pool::new(1), &a, Precision::F32, &weight),
                [127.0 + rounded],
                "{} {x}",
                isa.tier()
            );
        }
    }
}

#[test]
fn extreme_scales_of_k_quants_are_exact() {
    // d = 1, dmin = 1, all six-bit scales and minima 63, quants at their greatest.
    for isa in Isa::available() {
        for (format, high, greatest) in [(Format::Q4K, 16..16, 15.0), (Format::Q5K, 16..48, 31.0)] {
            let mut bytes = vec![0xFF; format.block().1];
            bytes[..2].copy_from_slice(&half::f16::ONE.to_le_bytes());
            bytes[2..4].copy_from_slice(&half::f16::ONE.to_le_bytes());
            bytes[high].fill(0xFF);
            let weight = PackedWeight::pack(&Pool::new(1), isa, format, [1, 256], &bytes).unwrap();
            let found = product(&Pool::new(1), &[-127.0; 256], Precision::F32, &weight);
            assert_eq!(
                found,
                [(63.0 * greatest - 63.0) * -127.0 * 256.0],
                "{} {format:?}",
                isa.tier()
            );
        }
        let mut bytes = vec![0; Format::Q6K.block().1];
        bytes[192..208].fill(0x80); // scales of -128, quants of -32
        bytes[208..].copy_from_slice(&half::f16::ONE.to_le_bytes());
        let weight = PackedWeight::pack(&Pool::new(1), isa, Format::Q6K, [1, 256], &bytes).unwrap();
        let found = product(&Pool::new(1), &[127.0; 256], Precision::F32, &weight);
        assert_eq!(found, [128.0 * 32.0 * 127.0 * 256.0], "{}", isa.tier());
    }
}

#[test]
fn nothing_is_read_or_written_past_the_end() {
    for isa in Isa::available() {
        for format in KINDS {
            for (m, n) in [(1, 1), (5, 19), (9, 70)].into_iter().take(cut(3, 2)) {
                let k = if format.block().0 == 1 { 37 } else { 256 };
                let weight = pack(isa, format, [n, k], 35);
                let a = Guarded::new(&Random::new(36).floats(m * k));
                let bias = Guarded::new(&Random::new(37).floats(n));
                for precision in [Precision::F32, Precision::Bf16] {
                    let mut out = Guarded::new(&vec![0.0_f32; m * n]);
                    let epilogue = crate::Epilogue::default()
                        .with_bias(&bias)
                        .with_residual(crate::Residual::Output);
                    let product = Product::new(&weight, RowsMut::new(&mut out, n)).with_epilogue(epilogue);
                    gemm(&Pool::new(1), Rows::new(&a, k), precision, &mut [product]);
                }
            }
        }
    }
}

#[test]
fn columns_beyond_the_output_stay_untouched() {
    for isa in Isa::available() {
        let weight = pack(isa, Format::F32, [19, 8], 38);
        let a = Random::new(39).floats(3 * 8);
        let mut out = vec![7.0; 3 * 24];
        let rows = RowsMut::strided(&mut out, 3, 19, 24);
        gemm(
            &Pool::new(1),
            Rows::new(&a, 8),
            Precision::F32,
            &mut [Product::new(&weight, rows)],
        );
        for row in out.chunks(24) {
            assert!(
                row[19..].iter().all(|&x| x == 7.0) && row[..19].iter().all(|&x| x != 7.0),
                "{}",
                isa.tier()
            );
        }
    }
}
