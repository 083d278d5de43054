//! A decoded recording, and what may be asked of the decoder.

use std::sync::Arc;

use crate::error::Result;

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
    /// How other sampling rates become 16 kHz.
    pub filter: ResamplingFilter,
    /// Asked for memory as the samples grow; `None` takes what it needs.
    pub meter: Option<Meter>,
}

/// Gives memory to recordings while they are decoded, or refuses it: so a server holds all of them together within one
/// bound without knowing beforehand how long any is.
///
/// It is told the bytes that the samples of the recording will not exceed before it is asked again, about a MiB ahead.
/// Its error ends the work.
#[derive(Clone)]
pub struct Meter(Arc<dyn Fn(u64) -> Result<()> + Send + Sync>);

impl Meter {
    /// A meter that decides by `grant`, which is told the bytes that a recording takes in all.
    pub fn new(grant: impl Fn(u64) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(grant))
    }

    /// Asks for `bytes` in all.
    ///
    /// # Errors
    /// Those of what decides.
    pub(crate) fn ask(&self, bytes: u64) -> Result<()> {
        (self.0)(bytes)
    }
}

impl PartialEq for Meter {
    /// Whether both are the same meter.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Meter")
    }
}

/// How other sampling rates become 16 kHz.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResamplingFilter {
    /// Flat to 7.8 kHz and steep behind: what recognisers hear best.
    #[default]
    Steep,
    /// Short windowed sinc filters as torchaudio has them, with which speaker networks learned.
    Sinc,
}

impl Default for DecodeOptions {
    /// Four hours, all channels, the steep filter.
    fn default() -> Self {
        Self {
            max_seconds: 14_400.0,
            channel: None,
            filter: ResamplingFilter::default(),
            meter: None,
        }
    }
}

impl DecodeOptions {
    /// Accepts recordings of at most `max_seconds`.
    #[must_use]
    pub fn with_max_seconds(self, max_seconds: f64) -> Self {
        Self { max_seconds, ..self }
    }

    /// Brings other sampling rates to 16 kHz by `filter`.
    #[must_use]
    pub fn with_filter(self, filter: ResamplingFilter) -> Self {
        Self { filter, ..self }
    }

    /// Asks `meter` for memory as the samples grow.
    #[must_use]
    pub fn with_meter(self, meter: Meter) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
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
    pub samples: Arc<Vec<f32>>,
    /// Samples per second in the file. Opus has none of its own: 48 000.
    pub source_sample_rate: u32,
    /// Channels in the file.
    pub channels: usize,
    /// Length of `samples` in seconds.
    pub duration_seconds: f64,
}
