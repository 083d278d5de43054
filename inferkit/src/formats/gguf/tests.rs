//! The reader against golden files, hand-made files, and hostile ones.

use std::path::Path;
use std::path::PathBuf;

use super::GgmlType;
use super::Gguf;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/llm/gguf")
        .join(name)
}

#[test]
fn every_golden_file_opens_and_each_tensor_has_its_bytes() {
    let mut files = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        let model = Gguf::open(&path).unwrap();
        assert!(model.names().count() > 10, "{path:?}");
        for name in model.names() {
            let view = model.need(name).unwrap();
            let block = view.kind.block().unwrap();
            let elements: usize = view.shape.iter().product();
            assert_eq!(
                view.bytes.len(),
                elements / block.elements * block.bytes,
                "{path:?}: {name}"
            );
        }
        files += 1;
    }
    assert_eq!(files, 14);
}

#[test]
fn shapes_of_a_golden_file_are_outermost_first() {
    let model = Gguf::open(&golden("llama-Q8_0.gguf")).unwrap();
    let view = model.need("token_embd.weight").unwrap();
    let width = model
        .metadata()
        .need("llama.embedding_length", super::Metadata::usize)
        .unwrap();
    assert_eq!((view.shape.len(), view.shape[1], view.kind), (2, width, GgmlType::Q8_0));
}
