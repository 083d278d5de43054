//! Checkpoints made by hand, for tests.

use std::io::Cursor;
use std::io::Write;

/// A zip archive of these entries, stored as PyTorch does or deflated.
pub(crate) fn archive(entries: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, content) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A checkpoint with this pickle and the numbers 0 to 11 as storage `0`.
pub(crate) fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let numbers: Vec<u8> = (0..12_u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    archive(
        &[("m/data.pkl", pickle), ("m/data/0", &numbers)],
        zip::CompressionMethod::Stored,
    )
}

/// `GLOBAL`.
pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// `SHORT_BINUNICODE`.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&[0x8c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A tuple of these numbers.
pub(crate) fn tuple(sizes: &[i32]) -> Vec<u8> {
    let mut bytes = vec![b'('];
    for size in sizes {
        bytes.push(b'J');
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    bytes.push(b't');
    bytes
}

/// A tensor over storage `0` of `elements` numbers.
pub(crate) fn tensor(class: &str, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let number = |number: i32| [b"J".as_slice(), &number.to_le_bytes()].concat();
    [
        global("torch._utils", "_rebuild_tensor_v2"),
        b"((".to_vec(),
        text("storage"),
        global("torch", class),
        text("0"),
        text("cpu"),
        number(elements),
        b"tQ".to_vec(),
        number(offset),
        tuple(shape),
        tuple(strides),
        b"\x89".to_vec(),
        global("collections", "OrderedDict"),
        b")RtR".to_vec(),
    ]
    .concat()
}

/// A pickle of a dictionary with these values.
pub(crate) fn dictionary(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, value) in entries {
        pickle.extend(text(name));
        pickle.extend_from_slice(value);
    }
    pickle.extend_from_slice(b"u.");
    pickle
}
