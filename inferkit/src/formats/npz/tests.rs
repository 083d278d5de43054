//! The reader against golden files, hand-made arrays, and broken ones.

use std::io::Cursor;
use std::io::Write;
use std::path::Path;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::*;

/// The content of a `.npy` file.
fn npy(descr: &str, fortran_order: &str, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let line = format!("{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}\n");
    let length = u16::try_from(line.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, line.as_bytes(), numbers].concat()
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn refused(file: &[u8]) -> String {
    Array::parse("a", file).unwrap_err().to_string()
}

#[test]
fn the_golden_transforms_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/pyannote/models/pyannote/speaker-diarization-community-1/plda");
    let archive = NpzArchive::open(&folder.join("xvec_transform.npz")).unwrap();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["lda", "mean1", "mean2"]);
    assert_eq!(archive.array("lda").unwrap().values.len(), 512);
    let archive = NpzArchive::open(&folder.join("plda.npz")).unwrap();
    let psi = archive.array("psi").unwrap();
    assert_eq!(psi.shape, [16]);
    assert!(
        psi.values.iter().all(|value| value.is_finite() && *value > 0.0),
        "{psi:?}"
    );
    let error = archive.array("lda").unwrap_err().to_string();
    assert!(error.starts_with("plda.npz: array \"lda\" is missing; "), "{error}");
}

#[test]
fn deflated_arrays_and_those_of_version_two_are_read() {
    let mut array = npy("<f8", "False", "(2,)", &doubles(&[1.5, -2.0]));
    array[6] = 2;
    array.splice(10..10, [0, 0]);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file("x.npy", options).unwrap();
    writer.write_all(&array).unwrap();
    let file = writer.finish().unwrap().into_inner();
    let found = archive::read(&archive::parse(&file).unwrap(), &file, "x").unwrap();
    assert_eq!((found.shape, found.values), (vec![2], vec![1.5, -2.0]));
}

#[test]
fn both_orders_and_all_types_give_row_major_doubles() {
    let rows = doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let values = |file: Vec<u8>| Array::parse("a", &file).unwrap().values;
    assert_eq!(
        values(npy("<f8", "False", "(2, 3)", &rows)),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    // In Fortran order the columns (1 2), (3 4), (5 6) lie side by side.
    assert_eq!(
        values(npy("<f8", "True", "(2, 3)", &rows)),
        [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
    );
    assert_eq!(
        values(npy("<f8", "True", "(6,)", &rows)),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
    assert_eq!(values(npy("<f4", "False", "()", &0.5_f32.to_le_bytes())), [0.5]);
    assert_eq!(values(npy("<i8", "False", "(1,)", &(-7_i64).to_le_bytes())), [-7.0]);
    assert_eq!(values(npy("<f8", "False", "(0, 5)", &[])), [0.0; 0]);
}

#[test]
fn what_is_no_array_of_numbers_is_refused_by_name() {
    assert_eq!(refused(b""), "array \"a\": its header is broken");
    assert_eq!(
        refused(b"\x93NUMPY\x01\x00\xff\xff{"),
        "array \"a\": its header is broken"
    );
    assert_eq!(
        refused(b"\x93NUMPY\x09\x00\x02\x00{}"),
        "array \"a\": its header is broken"
    );
    let objects = npy("|O", "False", "(1,)", b"\x80\x02N.");
    assert!(refused(&objects).contains("numbers of type \"|O\" are not read"));
    let short = npy("<f8", "False", "(3,)", &doubles(&[1.0]));
    assert_eq!(
        refused(&short),
        "array \"a\": 8 bytes of numbers where shape [3] needs 24"
    );
    let huge = npy("<f8", "False", "(4294967296, 4294967296)", &[]);
    assert!(refused(&huge).contains("0 bytes of numbers"));
}

#[test]
fn a_file_that_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plda.npz");
    std::fs::write(&path, npy("<f8", "False", "()", &doubles(&[1.0]))).unwrap();
    let error = NpzArchive::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("plda.npz: the file is no zip archive"), "{error}");
}
