//! A decoded recording, and what may be asked of the decoder.

use std::sync::Arc;

/// Samples per second that the models read.
pub const SAMPLE_RATE: u32 = 16_000;

/// What to take from a file, and how much of it at most.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DecodeOptions {
    /// Longest recording that is accepted, in seconds. Memory grows by 64 KB for each.
    pub max_seconds: f64,
    /// The channel to take, from 0; `None` averages them all.
    pub channel: Option<usize>,
}

impl Default for DecodeOptions {
    /// Four hours, all channels.
    fn default() -> Self {
        Self {
            max_seconds: 14_400.0,
            channel: None,
        }
    }
}

impl DecodeOptions {
    /// Accepts recordings of at most `max_seconds`.
    #[must_use]
    pub fn with_max_seconds(self, max_seconds: f64) -> Self {
        Self { max_seconds, ..self }
    }

    /// Takes one channel, from 0, in place of the average.
    #[must_use]
    pub fn with_channel(self, channel: usize) -> Self {
        Self {
            channel: Some(channel),
            ..self
        }
    }
}

/// A recording as the models read it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recording {
    /// Mono, 16 kHz, −1..=1.
    pub samples: Arc<[f32]>,
    /// Samples per second in the file. Opus has none of its own: 48 000.
    pub source_sample_rate: u32,
    /// Channels in the file.
    pub channels: usize,
    /// Length of `samples` in seconds.
    pub duration_seconds: f64,
}
