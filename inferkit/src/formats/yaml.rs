//! YAML configurations, read with budgets.
//!
//! Interpolations such as `${model.sample_rate}` are texts here; what they would stand for is for the family to know.
//! [`serde_json::Value`] is a good target where the keys are not known: it keeps their order.

use serde::de::DeserializeOwned;
use serde_saphyr::Options;

use super::shown::shortened;
use crate::error::Error;
use crate::error::Result;

/// Longest configuration. Published ones have twenty kilobytes, and a megabyte with a vocabulary listed in them.
const LONGEST: usize = 8 << 20;

/// Most values, aliases expanded.
const MOST_VALUES: usize = 500_000;

/// Deepest nesting.
const DEEPEST: usize = 64;

/// Most aliases; configurations that machines write have none.
const MOST_ALIASES: usize = 1_000;

/// Reads the one document in `bytes`; messages call the file `name`.
///
/// # Errors
/// [`Error::BadModel`] with the place at which it is no YAML, does not fit `T`, or breaks a budget.
pub(crate) fn read<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    let length = bytes.len();
    if length > LONGEST {
        return Err(Error::bad_model(format!(
            "{name} has {length} bytes, of which there can be {LONGEST}; check which file the model names"
        )));
    }
    // Copied before it is checked, so that no text lies in a map.
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
        let message = format!("{name} is not UTF-8, hence no YAML; download the file again");
        Error::bad_model(message)
    })?;
    serde_saphyr::from_str_with_options(&text, options()).map_err(|error| {
        let reason = shortened(&error.to_string());
        let message = format!("{name} cannot be read: {reason}; correct it or download the file again");
        Error::bad_model(message)
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_nodes: MOST_VALUES,
            max_events: MOST_VALUES.saturating_mul(4),
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_aliases: MOST_ALIASES,
            max_anchors: MOST_ALIASES,
            max_documents: 1,
            max_total_scalar_bytes: LONGEST,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn value(text: &str) -> Value {
        read("model_config.yaml", text.as_bytes()).unwrap()
    }

    fn refused(text: &str) -> String {
        let error = read::<Value>("c.yaml", text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        error.to_string()
    }

    #[test]
    fn numbers_nulls_and_interpolations_are_what_they_look_like() {
        let config = value(
            "rate: 16000\neps: 1.0e-05\nnone: null\nflag: true\nfrom: ${model.sample_rate}\npath: nemo:a.model\n",
        );
        assert_eq!(config["rate"], 16000);
        assert_eq!(config["eps"], 1.0e-5);
        assert!(config["none"].is_null() && config["flag"] == true);
        assert_eq!(config["from"], "${model.sample_rate}");
        assert_eq!(config["path"], "nemo:a.model");
    }

    #[test]
    fn the_order_of_keys_is_kept() {
        let config = value("langs:\n  spl_tokens: {dir: null}\n  en: {dir: null}\n  de: {dir: null}\n  aa: {}\n");
        let keys: Vec<_> = config["langs"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["spl_tokens", "en", "de", "aa"]);
    }

    #[test]
    fn a_typed_target_takes_what_it_knows_and_says_what_does_not_fit() {
        #[derive(Debug, Deserialize)]
        struct Config {
            rate: u32,
        }
        let config: Config = read("c.yaml", b"rate: 8000\nother: [1, 2]\n").unwrap();
        assert_eq!(config.rate, 8000);
        let error = read::<Config>("c.yaml", b"rate: fast\n").unwrap_err().to_string();
        assert!(
            error.starts_with("c.yaml cannot be read: ") && error.contains('1'),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_aliases_that_unfold_without_end_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
        }
        assert!(refused(&text).starts_with("c.yaml cannot be read"));
    }

    #[test]
    fn deep_nesting_binary_and_huge_files_are_refused() {
        assert!(refused(&"[".repeat(10_000)).starts_with("c.yaml cannot be read"));
        assert!(refused(&"- ".repeat(10_000)).starts_with("c.yaml cannot be read"));
        assert!(refused(&" ".repeat(LONGEST + 1)).contains("check which file"));
        let error = read::<Value>("c.yaml", b"\xff\xfe").unwrap_err().to_string();
        assert!(error.contains("not UTF-8"), "{error}");
        assert!(refused("a: b: c").len() < 400);
    }
}
