//! The reader against golden checkpoints, hand-made files, and hostile ones.

use std::path::Path;
use std::path::PathBuf;

use super::Checkpoint;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/llm/models")
        .join(name)
}

#[test]
fn every_golden_checkpoint_opens_and_each_tensor_has_its_bytes() {
    let mut folders = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let path = entry.unwrap().path();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert!(checkpoint.names().count() > 10, "{path:?}");
        let mut total = 0;
        for name in checkpoint.names() {
            let view = checkpoint.tensor(name).unwrap();
            let elements: usize = view.shape.iter().product();
            assert_eq!(view.bytes.len(), elements * view.dtype.bytes(), "{path:?}: {name}");
            total += view.bytes.len();
        }
        assert_eq!(checkpoint.bytes_total(), total);
        folders += 1;
    }
    assert_eq!(folders, 10);
}
