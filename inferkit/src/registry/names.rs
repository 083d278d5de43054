//! What a model may be called.

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::registry::ModelPolicy;

/// Fails unless the key has its form and the model's own names differ.
pub(super) fn check_names(key: &str, policy: &ModelPolicy) -> Result<()> {
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let bytes = key.as_bytes();
    let fits = bytes.len() <= 63
        && bytes.first().is_some_and(|first| is_plain(*first))
        && bytes.iter().all(|byte| is_plain(*byte) || matches!(byte, b'_' | b'-'));
    if !fits {
        let key: String = key.chars().take(200).collect();
        return Err(invalid(
            "key",
            format!("the key {key:?} is not 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit"),
        ));
    }
    for (place, alias) in policy.aliases.iter().enumerate() {
        let length = alias.chars().count();
        if !(1..=200).contains(&length) || alias.chars().any(char::is_control) {
            return Err(invalid(
                "aliases",
                format!("the alias {place} is not 1 to 200 printable characters"),
            ));
        }
        if alias == key || policy.aliases.iter().take(place).any(|earlier| earlier == alias) {
            return Err(invalid(
                "aliases",
                format!("the alias '{alias}' is given twice; remove one"),
            ));
        }
    }
    Ok(())
}

pub(super) fn invalid(param: &'static str, message: String) -> Error {
    Error::invalid(RequestFault::InvalidValue, param, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, aliases: &[&str]) -> Result<()> {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        check_names(key, &ModelPolicy::default().with_aliases(aliases))
    }

    #[test]
    fn a_key_is_short_and_plain() {
        for key in ["a", "7b", "qwen-2_5", &"k".repeat(63)] {
            check(key, &[]).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
        for key in ["", "-a", "_a", "Qwen", "a b", "a/b", "é", &"k".repeat(64)] {
            assert_eq!(check(key, &[]).unwrap_err().param(), Some("key"), "{key}");
        }
    }

    #[test]
    fn the_names_of_one_model_differ_and_can_be_printed() {
        check("qwen", &["Qwen/Qwen3-8B", "gpt-4o"]).unwrap();
        for aliases in [&["qwen"][..], &["a", "a"], &[""], &["a\nb"]] {
            assert_eq!(
                check("qwen", aliases).unwrap_err().param(),
                Some("aliases"),
                "{aliases:?}"
            );
        }
    }
}
