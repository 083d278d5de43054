//! Where model files come from: the Hugging Face hub or a path, and the token that opens gates.
//!
//! ```text
//! Source + FileSelection ─▶ Hub ─▶ listing ─▶ files that are missing ─▶ cache ─▶ folder to load from
//!                            └─ TokenStore: the one token of all downloads
//! ```
//!
//! **Invariant:** only this module talks to the network.

#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod cache;
mod files;
mod handle;
mod listing;
mod local;
#[cfg(feature = "hub")]
mod network;
#[cfg(not(feature = "hub"))]
#[path = "no_network.rs"]
mod network;
mod repository;
mod request;
mod selection;
mod source;
mod token;

pub use files::DownloadOptions;
pub use files::FileInventory;
pub use files::ModelFile;
pub use handle::Hub;
pub use handle::HubBuilder;
pub use selection::FileSelection;
pub use source::Source;
pub use token::TokenSource;
pub use token::TokenStatus;
pub use token::TokenStore;
