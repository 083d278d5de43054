//! What takes decoded sound: mixes it, brings it to 16 kHz by one or more filters, and counts it.

use std::sync::Arc;

use symphonia::core::errors::Error as Fault;

use super::DecodeOptions;
use super::Recording;
use super::ResamplingFilter;
use super::SAMPLE_RATE;
use super::codec::Decoder;
use super::codec::Format;
use super::fault;
use super::mix::to_mono;
use super::mp4::Edit;
use super::resample::Resampler;
use super::trim::Trim;
use crate::error::Result;

/// Most changes of the sampling rate within a file. Each costs a filter, and radio recordings have one or two.
const MAX_RATE_CHANGES: usize = 8;

/// A meter is asked for the next of this many bytes at a time.
const METERED_BYTES: u64 = 1 << 20;

/// The recordings in the making, one for each filter.
pub(super) struct Sink<'a> {
    options: &'a DecodeOptions,
    metered_bytes: u64,
    max_samples: usize,
    source: Option<Format>,
    trim: Trim,
    rate: Option<u32>,
    rate_changes: usize,
    mono: Vec<f32>,
    outputs: Vec<Output>,
    /// Whether every sample had 16 kHz so far: then the first output stands for all of them.
    is_shared: bool,
}

/// What one filter gives.
struct Output {
    filter: ResamplingFilter,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(options: &'a DecodeOptions, filters: &[ResamplingFilter], edit: Option<Edit>) -> Self {
        let max_samples = options.max_seconds.max(0.0) * f64::from(SAMPLE_RATE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and not below 0 by the line above"
        )]
        let max_samples = max_samples as usize;
        let output = |filter: &ResamplingFilter| Output {
            filter: *filter,
            resampler: None,
            samples: Vec::new(),
        };
        Self {
            options,
            metered_bytes: 0,
            max_samples,
            source: None,
            trim: Trim::new(edit),
            rate: None,
            rate_changes: 0,
            mono: Vec::new(),
            outputs: filters.iter().map(output).collect(),
            is_shared: true,
        }
    }

    /// Takes the samples of a packet.
    ///
    /// # Errors
    /// `invalid_audio`, `invalid_value` and `audio_too_long` as [`decode`](super::decode) tells.
    pub(super) fn push(&mut self, interleaved: &[f32], format: Format, decoder: &Decoder) -> Result<()> {
        let interleaved = self.trim.kept(interleaved, format, decoder);
        if interleaved.is_empty() {
            return Ok(());
        }
        if self.source.is_none() {
            let Format { rate, channels } = format;
            if let Some(channel) = self.options.channel.filter(|channel| *channel >= channels) {
                return Err(fault::no_such_channel(channel, channels));
            }
            let rate = decoder.nominal_rate(rate);
            self.source = Some(Format { rate, channels });
        }
        self.mono.clear();
        to_mono(interleaved, format.channels, self.options.channel, &mut self.mono)?;
        self.set_rate(format.rate)?;
        let filled = self.filled();
        for output in self.outputs.iter_mut().take(filled) {
            if let Some(resampler) = &mut output.resampler {
                resampler.push(&self.mono, &mut output.samples)?;
            }
        }
        self.check_length()
    }

    /// Outputs that are written, from the first on.
    const fn filled(&self) -> usize {
        if self.is_shared { 1 } else { self.outputs.len() }
    }

    /// Makes the resamplers fit `rate`, after what those before still hold.
    fn set_rate(&mut self, rate: u32) -> Result<()> {
        if self.rate == Some(rate) {
            return Ok(());
        }
        if self.rate.replace(rate).is_some() {
            self.end()?;
            self.rate_changes += 1;
            if self.rate_changes > MAX_RATE_CHANGES {
                return Err(fault::invalid(format!(
                    "the recording changes its sampling rate more than {MAX_RATE_CHANGES} times; encode it with one"
                )));
            }
        }
        if self.is_shared && rate != SAMPLE_RATE {
            self.is_shared = false;
            if let Some((first, others)) = self.outputs.split_first_mut() {
                for other in others {
                    other.samples.clone_from(&first.samples);
                }
            }
        }
        let filled = self.filled();
        for output in self.outputs.iter_mut().take(filled) {
            output.resampler = Some(Resampler::new(rate, output.filter)?);
        }
        Ok(())
    }

    /// Takes out what the resamplers still hold.
    fn end(&mut self) -> Result<()> {
        for output in &mut self.outputs {
            if let Some(resampler) = output.resampler.take() {
                resampler.finish(&mut output.samples)?;
            }
        }
        Ok(())
    }

    fn check_length(&mut self) -> Result<()> {
        // Every filter gives as many samples as the others.
        let samples = self.outputs.first().map_or(0, |output| output.samples.len());
        if samples > self.max_samples {
            return Err(fault::too_long(self.options.max_seconds));
        }
        let values = samples.saturating_mul(self.filled());
        let bytes = (values as u64).saturating_mul(4);
        if let Some(meter) = self.options.meter.as_ref().filter(|_| bytes > self.metered_bytes) {
            self.metered_bytes = bytes.next_multiple_of(METERED_BYTES);
            meter.ask(self.metered_bytes)?;
        }
        Ok(())
    }

    /// The recordings, in the order of the filters. `last_fault` is the damage that was met last, if any.
    ///
    /// # Errors
    /// `invalid_audio` when nothing was decoded, `audio_too_long` as before.
    pub(super) fn finish(mut self, last_fault: Option<&Fault>) -> Result<Vec<Recording>> {
        self.end()?;
        self.check_length()?;
        let Some(Format { rate, channels }) = self.source else {
            return Err(fault::nothing_decoded(last_fault));
        };
        if let Some(cause) = last_fault {
            tracing::debug!(%cause, "a part of the recording was damaged and is left out");
        }
        let count = self.outputs.len();
        let filled = self.filled();
        let recording = |mut output: Output| {
            // Growing by doubling leaves up to as much again unused.
            output.samples.shrink_to_fit();
            Recording {
                duration_seconds: output.samples.len() as f64 / f64::from(SAMPLE_RATE),
                samples: Arc::new(output.samples),
                source_sample_rate: rate,
                channels,
            }
        };
        let mut recordings: Vec<Recording> = self.outputs.into_iter().take(filled).map(recording).collect();
        if let Some(first) = recordings.first().cloned() {
            recordings.resize(count, first);
        }
        Ok(recordings)
    }
}
