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

#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod aggregate;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod annotation;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod array;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod binarize;
#[allow(
    dead_code,
    unused_imports,
    reason = "the pipeline that uses these stages stands beside them"
)]
mod clustering;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod count;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod finish;
#[cfg(test)]
mod golden;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod grid;
mod metric;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod powerset;
#[allow(dead_code, reason = "the pipeline that uses these stages stands beside them")]
mod reconstruct;

pub use metric::DerOptions;
pub use metric::DiarizationError;
pub use metric::Pairing;
pub use metric::diarization_error;
