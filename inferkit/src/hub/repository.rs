//! Names that come from configuration or from the hub and become paths and addresses.
//!
//! **Invariant:** what passes here stays inside the folder or address it is put into.

use std::path::Component;
use std::path::Path;

use crate::error::Error;
use crate::error::HubFault;
use crate::error::RequestFault;
use crate::error::Result;

/// Longest owner or name; the hub allows 96.
const MAX_NAME: usize = 96;
/// Longest revision and longest path of a file.
const MAX_PATH: usize = 512;

/// The owner and name of `repository`.
///
/// # Errors
/// [`RequestFault::InvalidValue`] unless it is `owner/name` in letters, digits, `-`, `_` and `.`.
pub(crate) fn owner_and_name(repository: &str) -> Result<(&str, &str)> {
    repository
        .split_once('/')
        .filter(|(owner, name)| is_name(owner) && is_name(name))
        .ok_or_else(|| {
            let shown: String = repository.chars().take(2 * MAX_NAME).collect();
            let message = format!(
                "repository {shown:?} is no owner/name of letters, digits, '-', '_' and '.'; correct the source"
            );
            Error::invalid(RequestFault::InvalidValue, "source", message)
        })
}

/// Passes `revision` on if it can be a branch, tag or commit.
///
/// # Errors
/// [`RequestFault::InvalidValue`] otherwise.
pub(crate) fn checked_revision(revision: &str) -> Result<&str> {
    let sound = revision.len() <= MAX_PATH && revision.split('/').all(is_name);
    if sound {
        return Ok(revision);
    }
    let shown: String = revision.chars().take(2 * MAX_NAME).collect();
    let message = format!("revision {shown:?} is no branch, tag or commit; give one such as main or v1.0");
    Err(Error::invalid(RequestFault::InvalidValue, "revision", message))
}

/// Passes the `path` of a file in a repository on if it stays inside its folder.
///
/// # Errors
/// [`HubFault::HubUnavailable`] otherwise: no honest hub lists such a name.
pub(crate) fn checked_file(path: &str) -> Result<&str> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    // A backslash and a colon are folders and drives on some systems, a doubled slash or `.` part another spelling.
    let plain = !path.contains(['\\', ':']) && !path.chars().any(char::is_control);
    let spelled_once = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if inside && plain && spelled_once && path.len() <= MAX_PATH {
        return Ok(path);
    }
    let shown: String = path.chars().take(MAX_PATH).collect();
    let message = format!("the hub lists the file {shown:?}, which would leave its folder; do not trust this hub");
    Err(Error::hub(HubFault::HubUnavailable, message))
}

/// Whether `revision` is the full name of a commit, which never changes its content.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40
        && revision
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether `etag` is a hash in hexadecimal and so can be the name of a file.
#[cfg(feature = "hub")]
pub(crate) fn is_content_hash(etag: &str) -> bool {
    matches!(etag.len(), 40 | 64)
        && etag
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_name(part: &str) -> bool {
    (1..=MAX_NAME).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !part.starts_with(['.', '-'])
        && !part.contains("..")
        // Two hyphens part owner and name in the cache's folders.
        && !part.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        assert_eq!(owner_and_name("Qwen/Qwen3-0.6B").unwrap(), ("Qwen", "Qwen3-0.6B"));
        for wrong in [
            "gpt2", "", "/", "a/", "/b", "a/b/c", "../etc", "a/..", "a/b..c", "a b/c", "a/b--c", "a/b?x", "é/b",
        ] {
            let error = owner_and_name(wrong).unwrap_err();
            assert_eq!(
                (error.code(), error.param()),
                ("invalid_value", Some("source")),
                "{wrong}"
            );
        }
        assert!(owner_and_name(&format!("a/{}", "b".repeat(97))).is_err());
    }

    #[test]
    fn a_revision_may_have_folders_and_never_climbs() {
        for right in ["main", "v1.0", "refs/pr/1", "0123456789012345678901234567890123456789"] {
            assert_eq!(checked_revision(right).unwrap(), right);
        }
        for wrong in ["", "..", "a/../b", "/main", "main/", "a b", ".hidden", "-x", "a\0b"] {
            assert_eq!(
                checked_revision(wrong).unwrap_err().param(),
                Some("revision"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_listed_file_stays_in_its_folder() {
        for right in [
            "config.json",
            "onnx/model.onnx",
            ".gitattributes",
            "a b.json",
            "ümlaut.json",
        ] {
            assert_eq!(checked_file(right).unwrap(), right);
        }
        for wrong in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "C:x",
            "a\\b",
            "a\nb",
        ] {
            assert_eq!(checked_file(wrong).unwrap_err().code(), "hub_unavailable", "{wrong}");
        }
    }

    #[test]
    fn only_forty_hexadecimal_digits_are_a_commit() {
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        assert!(!is_commit("main"));
        assert!(!is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    }
}
