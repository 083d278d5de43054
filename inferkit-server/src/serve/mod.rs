//! From a socket to the front: listening, accepting, watching the clock, and ending well.
//!
//! `poem::Server` lets a plain handler run on after its client has left, and sets no limit on slow
//! heads or on the number of connections; this loop over poem's listeners does.
//!
//! **Invariant:** when a client leaves, its handler's future is dropped at once.

mod accept;
mod clock;
mod listen;
mod signals;
mod watched;

pub use accept::serve;
pub use listen::ListenError;
pub use listen::Listening;
pub use listen::listen;
pub use listen::tls_config;
pub use signals::Signals;
pub use signals::Wish;

#[cfg(test)]
mod tests;
