//! Values that are no numbers, extreme quants, and memory that ends.

use super::{KINDS, Precision, Product, gemm, pack, precisions, product};
use crate::testing::{Guarded, Random, cut, dequantize, same_bits};
use crate::{Format, Isa, PackedWeight, Pool, Rows, RowsMut};

#[test]
fn a_value_that_is_no_number_spoils_its_row_and_no_other() {
    for isa in Isa::available() {
        for format in KINDS {
            for &precision in precisions(format) {
                // An odd number of values in a row is padded where pairs are multiplied.
                let k = if format.block().0 == 1 { 257 } else { 256 };
                check_spoiled(isa, format, precision, k);
            }
        }
    }
}

fn check_spoiled(isa: Isa, format: Format, precision: Precision, k: usize) {
    let pool = Pool::new(2);
    let weight = pack(isa, format, [40, k], 30);
    let rows = Random::new(31).floats(5 * k);
    let clean = product(&pool, &rows, precision, &weight);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [77, k - 1] {
            let mut a = rows.clone();
            a[2 * k + at] = bad;
            let found = product(&pool, &a, precision, &weight);
            for row in 0..5 {
                let (found, clean) = (&found[row * 40..][..40], &clean[row * 40..][..40]);
                let what = format!("{} {format:?} {precision:?}: {bad} at {at}", isa.tier());
                if row == 2 {
                    // Against a weight of zero, infinity is no number either; other weights keep it.
                    let surfaced = found.iter().all(|x| !x.is_finite());
                    assert!(surfaced, "{what} is hidden in {found:?}");
                } else {
                    assert!(same_bits(found, clean), "{what} changed row {row}");
                }
            }
        }
    }
}

#[test]
fn zeros_and_denormals_give_zero() {
    for isa in Isa::available() {
        for format in KINDS {
            let weight = pack(isa, format, [20, 256], 32);
            for &precision in precisions(format) {
                for tiny in [0.0, -0.0, 1e-40, -1e-38, 9e-31] {
                    // Only a group of quants is zero before its numbers are denormal.
                    if tiny == 9e-31 && format.block().0 == 1 {
                        continue;
                    }
                    let found = product(&Pool::new(1), &[tiny; 256], precision, &weight);
                    assert!(
                        found.iter().all(|&x| x == 0.0),
                        "{} {format:?} {precision:?}: {tiny:e} gave {found:?}",
                        isa.tier()
                    );
                }
            }
        }
    }
}

#[test]
fn denormal_weights_count_as_zero_unless_they_are_numbers_in_f32() {
    let pool = Pool::new(1);
    for isa in Isa::available() {
        let pack = |format, bytes: &[u8]| PackedWeight::pack(&pool, isa, format, [1, 2], bytes).unwrap();
        let long: Vec<u8> = [1e-40_f32; 2].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (format, bytes) in [
            (Format::F32, &long[..]),
            (Format::F32AsBf16, &long),
            (Format::Bf16, &[1, 0, 1, 0]),
        ] {
            for precision in [Precision::F32, Precision::Bf16] {
                let found = product(&pool, &[1e30; 2], precision, &pack(format, bytes));
                assert_eq!(found, [0.0], "{} {format:?} {precision:?}", isa.tier());
            }
        }
        // The least number of half precision is 2^-24.
        let found = product(
            &pool,
            &[2_f32.powi(24); 2],
            Precision::F32,
            &pack(Format::F16Exact, &[1, 0, 1, 0]),
        );
        assert_eq!(found, [2.0], "{}", isa.tier());
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
fn long_rows_of_the_greatest_quants_are_exact() {
    // 20,480 * 127 * 127: in f32 each partial sum is exact, since it is a multiple of 32 * 127 * 127.
    let k = cut(20_480, 1_024);
    let block: Vec<u8> = half::f16::ONE.to_le_bytes().into_iter().chain([127; 32]).collect();
    for isa in Isa::available() {
        let weight = PackedWeight::pack(&Pool::new(1), isa, Format::Q8_0, [2, k], &block.repeat(2 * k / 32)).unwrap();
        for m in [1, 3] {
            let found = product(&Pool::new(1), &vec![127.0; m * k], Precision::F32, &weight);
            assert_eq!(found, vec![k as f32 * 127.0 * 127.0; 2 * m], "{}, {m} rows", isa.tier());
        }
    }
}

/// Multiplies rows of 127 and -127 in turn with one block of a weight, and the sums must be exactly those of its meaning.
fn check_extreme(isa: Isa, format: Format, block: &[u8]) {
    let values = dequantize(format, block);
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    // A second row of zeros beside it shows who mixes up columns.
    let bytes = [block, &vec![0; block.len()]].concat();
    let weight = PackedWeight::pack(&Pool::new(1), isa, format, [2, values.len()], &bytes).unwrap();
    // One row, few rows (which meet nibbles in registers), and more.
    for m in [1, 3, 40] {
        let sign = |row: usize| if row.is_multiple_of(2) { 127.0 } else { -127.0 };
        let a: Vec<f32> = (0..m).flat_map(|row| vec![sign(row); values.len()]).collect();
        let expected: Vec<f32> = (0..m)
            .flat_map(|row| [(sum * f64::from(sign(row))) as f32, 0.0])
            .collect();
        let found = product(&Pool::new(1), &a, Precision::F32, &weight);
        assert_eq!(found, expected, "{} {format:?}, {m} rows", isa.tier());
    }
}

#[test]
fn extreme_quants_of_short_blocks_are_exact() {
    // Scales and minima of one, all quants at their least or greatest.
    for isa in Isa::available() {
        for (format, halves) in [
            (Format::Q4_0, 1),
            (Format::Q4_1, 2),
            (Format::Q5_0, 1),
            (Format::Q5_1, 2),
        ] {
            for fill in [0x00, 0xFF] {
                let mut block = vec![fill; format.block().1];
                block[..2 * halves].copy_from_slice(&half::f16::ONE.to_le_bytes().repeat(halves));
                check_extreme(isa, format, &block);
            }
        }
    }
}

#[test]
fn extreme_scales_of_k_quants_are_exact() {
    // d = 1, dmin = 1, all six-bit scales and minima 63, quants at their greatest.
    for isa in Isa::available() {
        for format in [Format::Q4K, Format::Q5K] {
            let mut block = vec![0xFF; format.block().1];
            block[..4].copy_from_slice(&half::f16::ONE.to_le_bytes().repeat(2));
            check_extreme(isa, format, &block);
        }
        for (scale, quants) in [(0x80, 0x00), (0x7F, 0x00), (0x80, 0xFF)] {
            // Scales of -128 or 127, quants of -32 or 31.
            let mut block = vec![quants; Format::Q6K.block().1];
            block[192..208].fill(scale);
            block[208..].copy_from_slice(&half::f16::ONE.to_le_bytes());
            check_extreme(isa, Format::Q6K, &block);
        }
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
                let added = Guarded::new(&Random::new(38).floats(m * n));
                for precision in [Precision::F32, Precision::Bf16] {
                    let mut out = Guarded::new(&vec![0.0_f32; m * n]);
                    let rows = crate::Residual::Rows(Rows::new(&added, n));
                    for residual in [crate::Residual::Output, rows] {
                        let epilogue = crate::Epilogue::default().with_bias(&bias).with_residual(residual);
                        let product = Product::new(&weight, RowsMut::new(&mut out, n)).with_epilogue(epilogue);
                        gemm(&Pool::new(1), Rows::new(&a, k), precision, &mut [product]);
                    }
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
