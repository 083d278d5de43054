//! What happens to every request around its handler.
//!
//! ```text
//! front: id ─▶ head ─▶ host ─▶ route ─▶ origin ─▶ drain ─▶ key ─▶ body limit ─▶ time limit ─▶ handler
//!        ◀─ log line ◀─ headers ◀─ one error body ◀────────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** everything up to the body limit looks at the head alone, so that a refusal costs the
//! server nothing.

mod auth;
mod browser;
mod front;
mod notes;
mod record;
mod request_id;
mod traffic;

pub use auth::Auth;
pub use auth::Key;
pub use browser::BrowserRules;
pub use front::Door;
pub use front::Front;
pub use notes::Facts;
pub use notes::Notes;
pub use record::WhileAnswering;
pub use traffic::ActiveRequest;
pub use traffic::RecentRequest;
pub use traffic::Traffic;
pub use traffic::TrafficSummary;
