//! Which local speakers of different windows are the same person.
//!
//! ```text
//! embeddings [c, s, d], activity ─training─▶ vectors [n, d] that are worth clustering
//!     agglomerative: linkage ─tree─▶ flat clusters, as many as asked for
//!     VBx:           linkage ─tree─▶ start ─plda, vbx─▶ responsibilities, K-means where a number is forced
//! centroids [k, d] ─score─▶ cluster of every (window, speaker) ─assignment─▶ at most one speaker a cluster (VBx)
//! ```
//!
//! Numbers are computed in the order and width of the originals (numpy, scipy, scikit-learn) wherever a decision hangs on
//! them, since cluster numbers decide the speakers' names.

mod ahc;
pub(in crate::diarization) mod assignment;
mod bounds;
mod heap;
mod kmeans;
mod linkage;
mod method;
mod numeric;
mod parallel;
mod plda;
mod random;
#[cfg(test)]
mod scale;
mod score;
mod space;
mod training;
mod tree;
mod vbx;

pub(crate) use bounds::SpeakerBounds;
pub(crate) use method::Clusters;
pub(crate) use method::Method;
pub(crate) use method::Voices;
pub(crate) use method::Work;
pub(crate) use plda::Plda;
pub(crate) use plda::PldaParameters;
