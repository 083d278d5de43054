//! The id of a request: the client's own where it is harmless, else a new one.

use poem::Request;

/// Longest id that is taken over.
const MAX_LENGTH: usize = 128;

/// The request's own `X-Request-Id` if it matches `[A-Za-z0-9._-]{1,128}`, else `req_` and 32 hex digits.
pub(crate) fn request_id(request: &Request) -> String {
    match request.header("x-request-id") {
        Some(given) if is_harmless(given) => given.to_owned(),
        _ => format!("req_{:032x}", rand::random::<u128>()),
    }
}

fn is_harmless(id: &str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_any_other_replaced() {
        let id = |value: &str| request_id(&Request::builder().header("x-request-id", value).finish());
        assert_eq!(id("a.B_9-"), "a.B_9-");
        for bad in ["", "a b", "é", "x\"y", &"a".repeat(129)] {
            let replaced = id(bad);
            assert!(replaced.starts_with("req_") && replaced.len() == 36, "{replaced}");
        }
        assert_ne!(request_id(&Request::default()), request_id(&Request::default()));
    }
}
