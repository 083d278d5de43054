use super::{Format, PackError, PackedWeight};
use crate::testing::{Guarded, Random, Unaligned, cut, dequantize, same_bits};
use crate::{Isa, Pool};

fn pack(isa: Isa, format: Format, shape: [usize; 2], bytes: &[u8]) -> Result<PackedWeight, PackError> {
    PackedWeight::pack(&Pool::new(2), isa, format, shape, bytes)
}

#[test]
fn every_row_reads_back_as_the_format_defines_it() {
    for isa in Isa::available() {
        for format in Format::ALL {
            let mut random = Random::new(1);
            let block = format.block().0;
            for (n, blocks) in [(1, 1), (16, 2), (33, 3), (70, 5)].into_iter().take(cut(4, 2)) {
                let k = block * blocks;
                let bytes = random.weight(format, n, k);
                let expected = dequantize(format, &bytes);
                let packed = pack(isa, format, [n, k], &bytes).unwrap();
                let mut row = vec![f32::NAN; k];
                for (i, expected) in expected.chunks(k).enumerate() {
                    packed.read_row(i, &mut row);
                    assert!(
                        same_bits(&row, expected),
                        "{}, {format:?}, {n} x {k}, row {i}",
                        isa.tier()
                    );
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "reads files of the repository")]
fn blocks_of_every_quantized_format_mean_what_their_makers_reader_says() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/kernels"));
    for format in Format::ALL.into_iter().filter(|format| format.block().0 > 1) {
        let read = |kind: &str| std::fs::read(folder.join(format!("{format}.{kind}"))).unwrap();
        let (blocks, values) = (read("blocks"), read("f32"));
        let values: Vec<f32> = values
            .chunks_exact(4)
            .map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]))
            .collect();
        assert_eq!(
            values.len() / format.block().0,
            blocks.len() / format.block().1,
            "{format}"
        );
        assert!(
            same_bits(&dequantize(format, &blocks), &values),
            "{format}: the tests' own reader"
        );
        for isa in Isa::available() {
            let packed = pack(isa, format, [1, values.len()], &blocks).unwrap();
            let mut row = vec![f32::NAN; values.len()];
            packed.read_row(0, &mut row);
            assert!(same_bits(&row, &values), "{} {format}", isa.tier());
        }
    }
}

#[test]
fn the_packed_copy_takes_the_bits_that_the_table_says() {
    let bits = |format: Format| match format {
        Format::F32 => 32.0,
        Format::F16Exact | Format::F32AsBf16 | Format::Bf16 | Format::F16 => 16.0,
        Format::Q8_0 | Format::Q5_0 => 8.5,
        Format::Q5_1 => 9.0,
        Format::Q4_0 => 4.5,
        Format::Q4_1 => 5.0,
        Format::Q4K => 4.625,
        Format::Q5K => 5.625,
        Format::Q6K => 6.5625,
    };
    for isa in Isa::available() {
        for format in Format::ALL {
            let k = cut(512, 256);
            let packed = pack(isa, format, [64, k], &Random::new(2).weight(format, 64, k)).unwrap();
            assert_eq!(
                packed.bytes() as f64 * 8.0 / (64 * k) as f64,
                bits(format),
                "{} {format:?}",
                isa.tier()
            );
        }
    }
}

#[test]
fn source_bytes_may_begin_at_an_odd_address_and_end_at_the_last_page() {
    for format in Format::ALL {
        let (n, k) = (19, 256);
        let bytes = Random::new(3).weight(format, n, k);
        let expected = pack(Isa::best(), format, [n, k], &bytes).unwrap();
        for found in [
            pack(Isa::best(), format, [n, k], &Unaligned::new(&bytes)).unwrap(),
            pack(Isa::best(), format, [n, k], &Guarded::new(&bytes)).unwrap(),
        ] {
            assert_eq!(*found.bytes, *expected.bytes, "{format:?}");
        }
    }
}

#[test]
fn packing_does_not_depend_on_the_number_of_threads() {
    // Several panels, of which threads take turns.
    let n = cut(200, 70);
    for format in Format::ALL.into_iter().step_by(cut(1, 3)) {
        let bytes = Random::new(4).weight(format, n, 256);
        let [one, three] = [1, 3]
            .map(|threads| PackedWeight::pack(&Pool::new(threads), Isa::best(), format, [n, 256], &bytes).unwrap());
        assert_eq!(*one.bytes, *three.bytes, "{format:?}");
    }
}

#[test]
fn k_of_plain_numbers_may_be_odd() {
    for isa in Isa::available() {
        for format in [Format::F32, Format::Bf16] {
            let bytes = Random::new(5).weight(format, 5, 7);
            let packed = pack(isa, format, [5, 7], &bytes).unwrap();
            let mut row = [0.0; 7];
            packed.read_row(4, &mut row);
            assert_eq!(row[..], dequantize(format, &bytes)[28..]);
        }
    }
}

#[test]
fn a_shape_that_does_not_fit_the_bytes_is_an_error_that_says_what_to_do() {
    let error = |format, shape, bytes: &[u8]| pack(Isa::best(), format, shape, bytes).unwrap_err();
    let length = error(Format::Q8_0, [2, 32], &[0; 67]);
    assert!(matches!(length, PackError::Length { found: 67, .. }), "{length:?}");
    assert_eq!(
        length.to_string(),
        "a Q8_0 weight of 2 x 32 takes 68 bytes, the file holds 67: it is damaged or not complete, download it again"
    );
    let block = error(Format::Q4K, [2, 896], &[]);
    assert!(matches!(block, PackError::Block { block: 256, .. }), "{block:?}");
    let text = block.to_string();
    assert!(
        text.contains("896 values a row") && text.contains("not a multiple of 256"),
        "{text}"
    );
    assert_eq!(error(Format::F32, [0, 4], &[]), PackError::Empty { n: 0, k: 4 });
    assert!(error(Format::F32, [4, 0], &[]).to_string().contains("no values"));
    for shape in [
        [usize::MAX, 4],
        [4, usize::MAX],
        [usize::MAX / 4, 4],
        [1 << 40, 1 << 40],
    ] {
        let error = error(Format::F32, shape, &[]);
        let [n, k] = shape;
        assert_eq!(error, PackError::TooLarge { n, k });
        assert!(error.to_string().contains("address space"), "{error}");
    }
}

#[test]
#[should_panic(expected = "row 4 of a weight that has 4")]
fn a_row_beyond_the_end_is_refused() {
    let bytes = Random::new(6).weight(Format::F32, 4, 2);
    pack(Isa::best(), Format::F32, [4, 2], &bytes)
        .unwrap()
        .read_row(4, &mut [0.0; 2]);
}
