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
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].into_iter().take(cut(3, 1)) {
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
                for tiny in [0.0_f32, -0.0, 1e-40, -1e-38, 9e-31] {
                    // Only a group of quants is zero before its numbers are denormal.
                    if tiny == 9e-31 && format.block().0 == 1 {
                        continue;
                    }
                    // The mode that makes denormals zeros is not interpreted.
                    if cfg!(miri) && tiny.abs() < f32::MIN_POSITIVE && tiny != 0.0 {
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
#[cfg_attr(miri, ignore = "the mode of processors is not interpreted")]
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

/// Copies of one row, as few and as many as have kernels of their own, must each give the sums `expected`.
fn assert_rows(weight: &PackedWeight, row: &[f32], expected: &[f32]) {
    for m in [1, 3, cut(40, 5)] {
        let found = product(&Pool::new(1), &row.repeat(m), Precision::F32, weight);
        assert_eq!(found, expected.repeat(m), "{}, {m} rows", weight.isa().tier());
    }
}

#[test]
fn extreme_quants_do_not_saturate() {
    // 2 * 255 * 127 exceeds 16 bits: a kernel on VPMADDUBSW would saturate. -128 occurs in files that others wrote.
    for isa in Isa::available() {
        let weight = q8_0(isa, &[[127; 32], [-127; 32], [-128; 32], [0; 32], [1; 32]]);
        for sign in [1.0_f32, -1.0] {
            let expected = [127.0, -127.0, -128.0, 0.0, 1.0].map(|w| w * 127.0 * 32.0 * sign);
            assert_rows(&weight, &[127.0 * sign; 32], &expected);
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
        assert_rows(&weight, &a, &[-12_700.0]);
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
            assert_rows(&weight, &a, &[127.0 + rounded]);
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
    for m in [1, 3, cut(40, 5)] {
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

/// A block whose quants are all one and whose minima are zero, with this scale.
fn block_of_ones(format: Format, scale: half::f16) -> Vec<u8> {
    let mut block = vec![0; format.block().1];
    let (at, quants, one) = match format {
        Format::Q8_0 => (0, 2..34, 0x01),
        // A nibble of 9 or a fifth bit over a nibble of 1: eight or sixteen are taken away.
        Format::Q4_0 => (0, 2..18, 0x99),
        Format::Q5_0 => (0, 6..22, 0x11),
        Format::Q4_1 => (0, 4..20, 0x11),
        Format::Q5_1 => (0, 8..24, 0x11),
        Format::Q4K => (0, 16..144, 0x11),
        Format::Q5K => (0, 48..176, 0x11),
        Format::Q6K => (208, 0..128, 0x11),
        other => panic!("{other:?} has no scales"),
    };
    block[quants].fill(one);
    match format {
        Format::Q5_0 => block[2..6].fill(0xFF),
        // The scales of all eight parts are one: four bytes of 6 bits, and four of 4 bits.
        Format::Q4K | Format::Q5K => {
            block[4..8].fill(1);
            block[12..16].fill(1);
        }
        // High bits of two make 33 of a nibble of one; scales of one.
        Format::Q6K => {
            block[128..192].fill(0b1010_1010);
            block[192..208].fill(1);
        }
        _ => {}
    }
    block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
    block
}

#[test]
fn a_subnormal_scale_counts_though_denormals_are_zero() {
    // The least and the greatest subnormal number of half precision, which are ordinary numbers in f32.
    for (isa, bits) in Isa::available().flat_map(|isa| [(isa, 1), (isa, 0x3FF)]) {
        let scale = half::f16::from_bits(bits);
        for format in Format::ALL.into_iter().filter(|format| format.block().0 > 1) {
            let block = block_of_ones(format, scale);
            let k = format.block().0;
            assert_eq!(dequantize(format, &block), vec![scale.to_f32(); k], "{format:?}");
            let weight = PackedWeight::pack(&Pool::new(1), isa, format, [1, k], &block).unwrap();
            assert_rows(&weight, &vec![127.0; k], &[scale.to_f32() * 127.0 * k as f32]);
        }
    }
}

#[test]
fn groups_of_activations_keep_scales_of_their_own() {
    // Each group of 32 has another magnitude, and each part of a block another scale and minimum: whoever takes a neighbour's is
    // off by a factor, not by a rounding.
    for (isa, format) in Isa::available().flat_map(|isa| Format::ALL.map(|format| (isa, format))) {
        let k = 512;
        let bytes = Random::new(41).weight(format, 19, k);
        let weight = PackedWeight::pack(&Pool::new(1), isa, format, [19, k], &bytes).unwrap();
        let values = dequantize(format, &bytes);
        for group in (0..k / 32).step_by(cut(1, 16)) {
            // Powers of two, so that the quants of activations are exact: 127 and then nothing but ones.
            let mut a = vec![0.0; k];
            for (number, values) in a.chunks_mut(32).enumerate() {
                values.fill(2_f32.powi(-(number as i32) - 20));
                values[0] *= 127.0;
            }
            a[group * 32..][..32].iter_mut().for_each(|x| *x *= 2_f32.powi(40));
            let found = product(&Pool::new(1), &a, Precision::F32, &weight);
            for (row, found) in values.chunks(k).zip(found) {
                let terms = row.iter().zip(&a).map(|(w, a)| f64::from(*w) * f64::from(*a));
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                assert!(
                    (f64::from(found) - sum).abs() <= 6e-6 * size + 1e-30,
                    "{} {format:?}, group {group}: {found}, not {sum}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn every_kind_of_nan_stays_one_in_bfloat16() {
    // Cut or rounded by addition, the first would be infinity and the second zero.
    let nans = [0x7F80_0001, 0x7FFF_FFFF, 0xFF80_0001, 0xFFFF_FFFF].map(f32::from_bits);
    for isa in Isa::available() {
        let ones = Random::new(42).weight(Format::Bf16, 19, 70);
        let weight = PackedWeight::pack(&Pool::new(1), isa, Format::Bf16, [19, 70], &ones).unwrap();
        for (nan, at) in nans.into_iter().flat_map(|nan| [(nan, 0), (nan, 69)]) {
            let mut a = [1.0; 70];
            a[at] = nan;
            let found = product(&Pool::new(1), &a, Precision::Bf16, &weight);
            assert!(found.iter().all(|x| x.is_nan()), "{}: {found:?}", isa.tier());
            let bytes: Vec<u8> = a.iter().flat_map(|x| x.to_le_bytes()).collect();
            let packed = PackedWeight::pack(&Pool::new(1), isa, Format::F32AsBf16, [1, 70], &bytes).unwrap();
            let mut row = [0.0; 70];
            packed.read_row(0, &mut row);
            assert!(row[at].is_nan() && row[35] == 1.0, "{}: {row:?}", isa.tier());
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
