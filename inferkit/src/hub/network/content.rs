//! Whether bytes are those that the hub announced.
//!
//! The hub names content by its hash: 64 hexadecimal digits are the SHA-256 of a large file, 40 are Git's name
//! of a small one, `sha1("blob <length>\0" + content)`.

use sha1::Sha1;
use sha2::Digest;
use sha2::Sha256;

/// What content must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContentHash {
    Sha256(String),
    GitBlob(String),
}

impl ContentHash {
    /// Reads an `ETag` (quotes and a `W/` are allowed); `None` if it names no content.
    pub(super) fn parse(etag: &str) -> Option<Self> {
        let etag = etag.trim();
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        if !crate::hub::repository::is_content_hash(etag) {
            return None;
        }
        Some(if etag.len() == 64 {
            Self::Sha256(etag.to_owned())
        } else {
            Self::GitBlob(etag.to_owned())
        })
    }

    /// Its digits.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) => digits,
        }
    }

    /// Starts hashing content of `bytes` bytes.
    pub(super) fn hasher(&self, bytes: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitBlob(_) => Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {bytes}\0"))),
        }
    }
}

/// Content seen so far.
pub(super) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    /// Whether all that was seen is what `hash` names.
    pub(super) fn agrees_with(self, hash: &ContentHash) -> bool {
        let digest = match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::GitBlob(hasher) => hasher.finalize().to_vec(),
        };
        hexadecimal(&digest) == hash.as_str()
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(etag: &str, content: &[u8]) -> bool {
        let hash = ContentHash::parse(etag).unwrap();
        let mut hasher = hash.hasher(u64::try_from(content.len()).unwrap());
        content.chunks(2).for_each(|part| hasher.update(part));
        hasher.agrees_with(&hash)
    }

    #[test]
    fn content_is_known_by_the_hash_that_git_or_the_hub_gives_it() {
        // `printf hello | git hash-object --stdin` and `printf hello | sha256sum`.
        assert!(agrees("\"b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0\"", b"hello"));
        assert!(agrees(
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            b"hello"
        ));
        assert!(!agrees(
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            b"hell0"
        ));
    }

    #[test]
    fn an_etag_of_another_kind_names_no_content() {
        for etag in [
            "",
            "\"abc\"",
            "../../../../etc/passwd",
            &"g".repeat(40),
            &"A".repeat(64),
        ] {
            assert_eq!(ContentHash::parse(etag), None, "{etag}");
        }
        assert!(ContentHash::parse(&format!("W/\"{}\"", "a".repeat(40))).is_some());
    }
}
