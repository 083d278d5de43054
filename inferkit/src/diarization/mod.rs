//! Speaker diarization: who speaks when in a recording.
//!
//! ```text
//! scores [c, f, s] ─powerset, binarize─▶ activity ─count─▶ speakers a frame
//!        activity, embeddings [c, s, d] ─clustering─▶ cluster of each (window, speaker)
//!        scores, clusters ─reconstruct─▶ active clusters a frame ─annotation─▶ turns with names
//! ```
//!
//! A window is a stretch of some seconds in which a network tells up to `s` local speakers apart; clustering finds which
//! local speakers of different windows are the same person.
//!
//! Dimensions: `c` windows, `f` frames a window, `s` local speakers, `k` clusters, `d` width of an embedding, `n` training
//! vectors, `t` frames of the whole recording.

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "tests compute with small whole numbers, and equal means equal"
    )
)]

mod aggregate;
mod annotation;
mod array;
mod binarize;
mod clustering;
mod count;
mod embedding;
mod engine;
mod finish;
#[cfg(test)]
mod golden;
mod grid;
mod layers;
mod metric;
mod pipeline;
mod powerset;
mod pyannote;
mod reconstruct;
mod segmentation;

pub use metric::DerOptions;
pub use metric::DiarizationError;
pub use metric::Pairing;
pub use metric::diarization_error;
pub use pyannote::PyannoteDiarizationModel;
pub use pyannote::PyannoteOptions;
