//! Who asks: bearer keys, their scopes, and the brake on guessing.
//!
//! The configuration holds digests of keys, never keys. A key is compared with all of them in a time
//! that depends on their number alone, and is checked before the body is read. Authentication is on as
//! soon as there is one key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::Instant;

use poem::Request;
use poem::http::header;
use sha2::Digest;
use sha2::Sha256;
use subtle::Choice;
use subtle::ConditionallySelectable;
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::routes::Scope;

/// Wrong keys that an address may send in a window before it is held off.
const MAX_WRONG_KEYS: u32 = 20;
/// That window.
const WRONG_KEY_WINDOW: Duration = Duration::from_mins(1);
/// Most addresses remembered at a time.
const MAX_ADDRESSES: usize = 4096;

/// One key as the configuration knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What the log calls it.
    pub name: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl Key {
    /// A key known in the clear, such as from the environment.
    pub fn from_secret(name: impl Into<String>, secret: &str, scope: Scope) -> Self {
        Self {
            name: name.into(),
            digest: Sha256::digest(secret.as_bytes()).into(),
            scopes: vec![scope],
        }
    }

    fn opens(&self, wanted: Scope) -> bool {
        self.scopes
            .iter()
            .any(|scope| *scope == wanted || *scope == Scope::Admin)
    }
}

/// All keys, and the memory of wrong ones.
#[derive(Debug, Default)]
pub struct Auth {
    keys: RwLock<Arc<Vec<Key>>>,
    wrong: Mutex<HashMap<IpAddr, WrongKeys>>,
}

#[derive(Debug, Clone, Copy)]
struct WrongKeys {
    since: Instant,
    count: u32,
}

impl Auth {
    /// Lets these keys in; with none, everybody.
    pub fn new(keys: Vec<Key>) -> Self {
        Self {
            keys: RwLock::new(Arc::new(keys)),
            wrong: Mutex::default(),
        }
    }

    /// Replaces all keys.
    pub fn replace(&self, keys: Vec<Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Whether a key is needed at all.
    pub fn is_on(&self) -> bool {
        !self.keys().is_empty()
    }

    /// The name of the request's key, if it opens `scope`; `None` where none is needed.
    ///
    /// # Errors
    /// `invalid_api_key`, `insufficient_scope`, or `rate_limit_exceeded` for one who guesses.
    pub(crate) fn check(&self, request: &Request, scope: Scope) -> Result<Option<String>, ApiError> {
        let keys = self.keys();
        if scope == Scope::Public || keys.is_empty() {
            return Ok(None);
        }
        let Some(given) = request.header(header::AUTHORIZATION) else {
            return Err(refusal());
        };
        let Some(key) = bearer(given).and_then(|secret| find(&keys, secret)) else {
            let address = request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip);
            return Err(self.wrong_key(address, Instant::now()));
        };
        if key.opens(scope) {
            return Ok(Some(key.name.clone()));
        }
        let message = format!(
            "the key {:?} lacks the scope {}; use one that has it",
            key.name,
            scope.as_str()
        );
        Err(ApiError::new("insufficient_scope", message))
    }

    fn keys(&self) -> Arc<Vec<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a wrong key of that address. Those without one (a Unix socket) share a count.
    fn wrong_key(&self, address: Option<IpAddr>, now: Instant) -> ApiError {
        let address = address.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |entry: &WrongKeys| now.duration_since(entry.since) >= WRONG_KEY_WINDOW;
        if wrong.len() >= MAX_ADDRESSES {
            wrong.retain(|_, entry| !is_old(entry));
            if wrong.len() >= MAX_ADDRESSES {
                wrong.clear();
            }
        }
        let entry = wrong.entry(address).or_insert(WrongKeys { since: now, count: 0 });
        if is_old(entry) {
            *entry = WrongKeys { since: now, count: 0 };
        }
        entry.count += 1;
        if entry.count <= MAX_WRONG_KEYS {
            return refusal();
        }
        let rest = WRONG_KEY_WINDOW.saturating_sub(now.duration_since(entry.since));
        ApiError::new(
            "rate_limit_exceeded",
            "too many wrong keys from this address; wait and use the right one",
        )
        .with_retry_after(rest)
    }
}

/// One message for a missing, malformed and unknown key.
fn refusal() -> ApiError {
    ApiError::new(
        "invalid_api_key",
        "a valid API key is needed; send it as Authorization: Bearer <key>",
    )
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

/// The key with that digest. All keys are compared, whichever fits.
fn find<'a>(keys: &'a [Key], secret: &str) -> Option<&'a Key> {
    let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let (mut found, mut place) = (Choice::from(0), 0_u64);
    for (index, key) in (0_u64..).zip(keys) {
        let equal = key.digest.ct_eq(&digest);
        place.conditional_assign(&index, equal);
        found |= equal;
    }
    bool::from(found)
        .then(|| usize::try_from(place).ok().and_then(|place| keys.get(place)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        Auth::new(vec![
            Key::from_secret("app", "ik_app", Scope::Inference),
            Key::from_secret("root", "ik_root", Scope::Admin),
        ])
    }

    fn with_header(value: &str) -> Request {
        Request::builder().header("authorization", value).finish()
    }

    fn code(auth: &Auth, request: &Request, scope: Scope) -> &'static str {
        auth.check(request, scope).unwrap_err().code
    }

    #[test]
    fn a_key_opens_what_its_scopes_say() {
        let (app, root) = (with_header("Bearer ik_app"), with_header("bearer ik_root"));
        assert_eq!(auth().check(&app, Scope::Inference).unwrap().as_deref(), Some("app"));
        assert_eq!(auth().check(&root, Scope::Inference).unwrap().as_deref(), Some("root"));
        assert_eq!(code(&auth(), &app, Scope::Admin), "insufficient_scope");
        assert!(auth().check(&Request::default(), Scope::Public).unwrap().is_none());
    }

    #[test]
    fn a_missing_a_malformed_and_an_unknown_key_get_one_answer() {
        let answers: Vec<ApiError> = ["Basic aWs6", "Bearer ik_other", "ik_app", "Bearer"]
            .iter()
            .map(|value| auth().check(&with_header(value), Scope::Inference).unwrap_err())
            .chain([auth().check(&Request::default(), Scope::Inference).unwrap_err()])
            .collect();
        assert!(
            answers
                .iter()
                .all(|answer| *answer == answers[0] && answer.code == "invalid_api_key")
        );
    }

    #[test]
    fn without_keys_everybody_is_let_in() {
        assert!(
            Auth::default()
                .check(&with_header("Bearer x"), Scope::Admin)
                .unwrap()
                .is_none()
        );
        assert!(!Auth::default().is_on());
    }

    #[test]
    fn guessing_is_slowed_down_and_a_right_key_is_not() {
        let (auth, now) = (auth(), Instant::now());
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        for _ in 0..MAX_WRONG_KEYS {
            assert_eq!(auth.wrong_key(address, now).code, "invalid_api_key");
        }
        assert_eq!(auth.wrong_key(address, now).code, "rate_limit_exceeded");
        assert_eq!(
            auth.wrong_key(Some(IpAddr::from([10, 0, 0, 2])), now).code,
            "invalid_api_key"
        );
        assert!(auth.check(&with_header("Bearer ik_app"), Scope::Inference).is_ok());
        assert_eq!(auth.wrong_key(address, now + WRONG_KEY_WINDOW).code, "invalid_api_key");
    }

    #[test]
    fn the_memory_of_wrong_keys_is_bounded() {
        let (auth, now) = (auth(), Instant::now());
        for n in 0..10_000_u32 {
            auth.wrong_key(Some(IpAddr::from(n.to_be_bytes())), now);
        }
        assert!(auth.wrong.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
