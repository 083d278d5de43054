//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Component;
use std::path::Path;

use serde::Deserialize;

use super::error::SafetensorsError;
use super::pairs::Pairs;
use crate::formats::shown::quoted;
use crate::formats::shown::shortened;

/// Longest index; that of a model with 37,000 tensors has 4 MB.
const LONGEST_INDEX: usize = 64 << 20;

/// Tensor name → file name of its shard, which is a plain name.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) shards: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawIndex {
    weight_map: Pairs<String>,
}

impl Index {
    /// Reads an index with the content `json`.
    ///
    /// # Errors
    /// [`SafetensorsError::Index`], [`SafetensorsError::Duplicate`] or [`SafetensorsError::ShardName`].
    pub(crate) fn parse(json: &[u8]) -> Result<Self, SafetensorsError> {
        if json.len() > LONGEST_INDEX {
            let reason = format!("{} bytes are more than the {LONGEST_INDEX} allowed", json.len());
            return Err(SafetensorsError::Index { reason });
        }
        // Copied, so that no text lies in a map.
        let copy = json.to_vec();
        let raw: RawIndex = serde_json::from_slice(&copy).map_err(|error| SafetensorsError::Index {
            reason: shortened(&error.to_string()),
        })?;
        let mut shards = BTreeMap::new();
        for (name, shard) in raw.weight_map.0 {
            if !is_plain_name(&shard) {
                return Err(SafetensorsError::ShardName {
                    name: quoted(&name),
                    shard: quoted(&shard),
                });
            }
            if shards.contains_key(&name) {
                return Err(SafetensorsError::Duplicate { name: quoted(&name) });
            }
            shards.insert(name, shard);
        }
        if shards.is_empty() {
            return Err(SafetensorsError::Index {
                reason: "it names no tensor".to_owned(),
            });
        }
        Ok(Self { shards })
    }

    /// The names of the shards, sorted, each once.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        let files: BTreeSet<&str> = self.shards.values().map(String::as_str).collect();
        files.into_iter()
    }
}

/// Whether `name` is one component of a path on every system: no separator, no `..`, no drive.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let one_normal = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    );
    one_normal && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Index, SafetensorsError> {
        Index::parse(json.as_bytes())
    }

    #[test]
    fn an_index_maps_tensors_to_shards() {
        let index = parse(r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "1.safetensors"}}"#).unwrap();
        assert_eq!(index.shards.get("a").map(String::as_str), Some("1.safetensors"));
    }

    #[test]
    fn a_shard_outside_of_the_folder_is_refused() {
        for shard in [
            "../secret",
            "/etc/passwd",
            "sub/1.safetensors",
            "..",
            ".",
            "",
            "c:x",
            r"..\\x",
            r"a\u0000b",
        ] {
            let error = parse(&format!(r#"{{"weight_map": {{"a": "{shard}"}}}}"#)).unwrap_err();
            assert!(matches!(error, SafetensorsError::ShardName { .. }), "{shard}: {error}");
        }
    }

    #[test]
    fn a_tensor_that_stands_twice_in_the_index_is_refused() {
        let error = parse(r#"{"weight_map": {"a": "1", "b": "1", "a": "2"}}"#).unwrap_err();
        assert_eq!(
            error,
            SafetensorsError::Duplicate {
                name: "\"a\"".to_owned()
            }
        );
    }

    #[test]
    fn an_index_of_another_form_says_what_is_wrong() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"weight_map": []}"#,
            r#"{"weight_map": {"a": 1}}"#,
            r#"{"weight_map": {}}"#,
        ] {
            let error = parse(json).unwrap_err();
            assert!(matches!(error, SafetensorsError::Index { .. }), "{json}: {error}");
        }
        let error = parse(r#"{"weight_map": {"layer.0": 1}}"#).unwrap_err().to_string();
        assert!(error.contains("layer.0"), "{error}");
    }

    #[test]
    fn deep_nesting_ends_as_an_error() {
        let json = format!(r#"{{"x": {}"#, "[".repeat(100_000));
        assert!(matches!(parse(&json), Err(SafetensorsError::Index { .. })));
    }

    #[test]
    fn an_index_beyond_all_measure_is_refused_unread() {
        let error = Index::parse(&vec![b' '; LONGEST_INDEX + 1]).unwrap_err();
        assert!(error.to_string().contains("allowed"), "{error}");
    }
}
