//! Checkpoints made by hand: strides, types, wrappers.

use super::super::Directory;
use super::super::testing::archive;
use super::super::testing::checkpoint;
use super::super::testing::dictionary;
use super::super::testing::global;
use super::super::testing::tensor;
use super::super::testing::text;
use super::floats;
use crate::formats::safetensors::ElementType;

fn read(pickle: &[u8], name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = checkpoint(pickle);
    let directory = Directory::parse(&file).unwrap();
    let view = directory.view(&file, name).unwrap().unwrap();
    (view.shape, floats(&view.bytes))
}

#[test]
fn offset_and_strides_pick_the_numbers_of_a_view() {
    for (offset, shape, strides, expected) in [
        (0, [3, 4].as_slice(), [4, 1].as_slice(), (0..12_u8).collect::<Vec<_>>()),
        (4, &[2, 2], &[2, 1], vec![4, 5, 6, 7]),
        // Transposed, every second column, repeated rows, and dimensions of one whose stride means nothing.
        (0, &[4, 3], &[1, 4], vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
        (1, &[3, 2], &[4, 2], vec![1, 3, 5, 7, 9, 11]),
        (2, &[3, 2], &[0, 1], vec![2, 3, 2, 3, 2, 3]),
        (3, &[1, 2, 1], &[99, 1, 77], vec![3, 4]),
        (5, &[], &[], vec![5]),
        (0, &[0, 7], &[7, 1], vec![]),
        (0, &[2, 2, 2], &[1, 4, 2], vec![0, 2, 4, 6, 1, 3, 5, 7]),
    ] {
        let pickle = dictionary(&[("w", tensor("FloatStorage", 12, offset, shape, strides))]);
        let (found, numbers) = read(&pickle, "w");
        let shape: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap()).collect();
        let expected: Vec<f32> = expected.into_iter().map(f32::from).collect();
        assert_eq!((found, numbers), (shape, expected), "{strides:?}");
    }
}

#[test]
fn weights_are_found_at_the_top_and_under_state_dict_and_parameters_are_unwrapped() {
    let plain = tensor("FloatStorage", 12, 0, &[2], &[1]);
    let parameter = [
        global("torch._utils", "_rebuild_parameter"),
        b"(".to_vec(),
        plain.clone(),
        b"\x88".to_vec(),
        global("collections", "OrderedDict"),
        b")RtR".to_vec(),
    ]
    .concat();
    let inner = dictionary(&[("a", plain), ("b", parameter)]);
    // Without protocol and stop, a pickle is the value of another.
    let nested = inner[2..inner.len() - 1].to_vec();
    let outer = dictionary(&[("epoch", b"K\x03".to_vec()), ("state_dict", nested)]);
    for pickle in [&inner, &outer] {
        assert_eq!(read(pickle, "a"), (vec![2], vec![0.0, 1.0]));
        assert_eq!(read(pickle, "b"), (vec![2], vec![0.0, 1.0]));
    }
}

#[test]
fn types_follow_the_storage_class_and_unknown_ones_fail_only_when_asked_for() {
    let pickle = dictionary(&[
        ("half", tensor("HalfStorage", 24, 2, &[3], &[1])),
        ("long", tensor("LongStorage", 6, 0, &[6], &[1])),
        ("strange", tensor("ComplexFloatStorage", 6, 0, &[6], &[1])),
    ]);
    let file = checkpoint(&pickle);
    let directory = Directory::parse(&file).unwrap();
    let half = directory.view(&file, "half").unwrap().unwrap();
    assert_eq!((half.dtype, half.bytes.len()), (ElementType::F16, 6));
    assert_eq!(directory.view(&file, "long").unwrap().unwrap().dtype, ElementType::I64);
    let error = directory.view(&file, "strange").unwrap_err().to_string();
    assert_eq!(
        error,
        "tensor \"strange\": storage class \"torch.ComplexFloatStorage\" is not supported"
    );
}

#[test]
fn objects_of_other_classes_are_described_and_do_not_hide_the_weights() {
    let object = [
        global("pathlib", "PosixPath"),
        b"(".to_vec(),
        text("/tmp"),
        b"tR".to_vec(),
    ]
    .concat();
    let pickle = dictionary(&[("where", object), ("w", tensor("FloatStorage", 12, 0, &[1], &[1]))]);
    let file = checkpoint(&pickle);
    let directory = Directory::parse(&file).unwrap();
    assert_eq!(directory.names().collect::<Vec<_>>(), ["w"]);
    let described = directory.root().get("where").unwrap();
    assert_eq!(described.class().unwrap().name, "PosixPath");
    assert_eq!(
        described
            .arguments()
            .unwrap()
            .items()
            .unwrap()
            .next()
            .unwrap()
            .as_text(),
        Some("/tmp")
    );
}

#[test]
fn a_deflated_checkpoint_is_unfolded() {
    let pickle = dictionary(&[("w", tensor("FloatStorage", 64, 60, &[2, 2], &[1, 2]))]);
    let numbers: Vec<u8> = (0..64_u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    let entries: [(&str, &[u8]); 2] = [("data.pkl", &pickle), ("data/0", &numbers)];
    let file = archive(&entries, zip::CompressionMethod::Deflated);
    assert!(
        !file.windows(numbers.len()).any(|part| part == numbers),
        "nothing was compressed"
    );
    let directory = Directory::parse(&file).unwrap();
    let view = directory.view(&file, "w").unwrap().unwrap();
    assert_eq!(floats(&view.bytes), [60.0, 62.0, 61.0, 63.0]);
}
