//! From the bytes of any file to a recording.

use std::io::Read;
use std::io::Seek;
use std::sync::Arc;

use symphonia::core::common::Limit;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::FormatOptions;
use symphonia::core::formats::FormatReader;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;
use symphonia::core::io::MediaSourceStreamOptions;
use symphonia::core::meta::MetadataOptions;

use super::DecodeOptions;
use super::Recording;
use super::SAMPLE_RATE;
use super::codec::Decoder;
use super::codec::Format;
use super::fault;
use super::mix::to_mono;
use super::resample::Resampler;
use super::source::ReadFault;
use super::source::Source;
use crate::error::Error;
use crate::error::Result;
use crate::job::Job;
use crate::panics::contain;

/// Most bytes of tags, and of pictures, that are kept while a file is read.
const MAX_METADATA_BYTES: usize = 1 << 20;

/// How far ahead of the samples a meter is asked.
const METERED_BYTES: u64 = 1 << 20;

/// Most changes of the sampling rate within a file. Each costs a filter, and radio recordings have one or two.
const MAX_RATE_CHANGES: usize = 8;

/// Decodes a recording to 16 kHz mono, whatever it is: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus, `WebM`.
///
/// The kind is found in the content. Damaged packets are left out, and a file that ends early gives what is there.
/// Memory grows with what was decoded (64 KB a second), whatever the file claims of itself. The thread is busy for
/// about a second per ten minutes of sound; `job` stops it within a packet and is told the bytes read.
///
/// # Errors
/// [`Error::InvalidRequest`] with the code `invalid_audio` for what is no recording or holds values that are no
/// numbers, `audio_too_long` beyond [`DecodeOptions::max_seconds`], `invalid_value` for a channel that is not there;
/// [`Error::Unavailable`] with `cancelled`; those of [`DecodeOptions::meter`]; [`Error::Internal`] if `source` itself cannot be read.
pub fn decode(
    source: impl Read + Seek + Send + Sync + 'static,
    options: &DecodeOptions,
    job: &Job,
) -> Result<Recording> {
    let source = Source::new(source, job.clone())
        .map_err(|cause| Error::internal("the recording could not be read from where it was put").with_source(cause))?;
    if source.length_bytes() == 0 {
        return Err(fault::empty());
    }
    let read_fault = source.fault();
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let decoded = contain(|| decode_stream(stream, options, job, &read_fault), broken);
    // Both look like damage of the file from above.
    job.check()?;
    read_fault.check()?;
    decoded
}

/// The error about a file in which a decoder panicked.
///
/// The crates behind it (`symphonia`, `ropus`: above 100,000 lines of bit readers) count in places that a damaged file
/// reaches: the fuzzer finds overflowing products in symphonia 0.6.1's readers of RIFF and Microsoft ADPCM, which are
/// panics wherever arithmetic is checked. All that they hold is made for one file and dropped with it, so going on is
/// sound.
fn broken(reason: &str) -> Error {
    tracing::warn!(reason, "a recording broke its decoder");
    fault::invalid("the recording is damaged in a way that breaks its decoder; encode it again")
}

fn decode_stream(
    stream: MediaSourceStream<'static>,
    options: &DecodeOptions,
    job: &Job,
    read_fault: &ReadFault,
) -> Result<Recording> {
    let limits = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(MAX_METADATA_BYTES))
        .limit_visual_bytes(Limit::Maximum(MAX_METADATA_BYTES));
    let mut reader = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), limits)
        .map_err(|cause| fault::unknown(&cause))?;
    let mut sink = Sink::new(options);
    let mut last_fault = None;
    // A file may hold several recordings one after the other, each with its own headers (chained Ogg).
    loop {
        let end = decode_section(reader.as_mut(), &mut sink, job, &mut last_fault)?;
        read_fault.check()?;
        if matches!(end, SectionEnd::File) {
            break;
        }
    }
    sink.finish(last_fault.as_ref())
}

/// What follows a section.
enum SectionEnd {
    File,
    Section,
}

/// Decodes the sound track until the file or the section ends.
fn decode_section(
    reader: &mut dyn FormatReader,
    sink: &mut Sink<'_>,
    job: &Job,
    last_fault: &mut Option<Fault>,
) -> Result<SectionEnd> {
    let track = reader.default_track(TrackType::Audio).ok_or_else(fault::no_track)?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let mut decoder = Decoder::new(parameters.ok_or_else(fault::no_track)?)?;
    let track_id = track.id;
    let mut interleaved = Vec::new();
    loop {
        job.check()?;
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(SectionEnd::File),
            Err(Fault::ResetRequired) => return Ok(SectionEnd::Section),
            // Truncated or damaged beyond this point: what came before stands.
            Err(cause) => {
                *last_fault = Some(cause);
                return Ok(SectionEnd::File);
            }
        };
        if packet.track_id != track_id {
            continue;
        }
        match decoder.decode(&packet, &mut interleaved) {
            Ok(format) => sink.push(&interleaved, format, &decoder)?,
            Err(cause @ Fault::DecodeError(_)) => *last_fault = Some(cause),
            Err(Fault::ResetRequired) => return Ok(SectionEnd::Section),
            Err(cause) => {
                *last_fault = Some(cause);
                return Ok(SectionEnd::File);
            }
        }
    }
}

/// Takes what is decoded, mixes it, brings it to 16 kHz and counts it.
struct Sink<'a> {
    options: &'a DecodeOptions,
    metered_bytes: u64,
    max_samples: usize,
    source: Option<Format>,
    current: Option<(u32, Resampler)>,
    rate_changes: usize,
    mono: Vec<f32>,
    samples: Vec<f32>,
}

impl<'a> Sink<'a> {
    fn new(options: &'a DecodeOptions) -> Self {
        let max_samples = options.max_seconds.max(0.0) * f64::from(SAMPLE_RATE);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, and not below 0 by the line above"
        )]
        let max_samples = max_samples as usize;
        Self {
            options,
            metered_bytes: 0,
            max_samples,
            source: None,
            current: None,
            rate_changes: 0,
            mono: Vec::new(),
            samples: Vec::new(),
        }
    }

    fn push(&mut self, interleaved: &[f32], format: Format, decoder: &Decoder) -> Result<()> {
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
        if let Some((_, resampler)) = &mut self.current {
            resampler.push(&self.mono, &mut self.samples)?;
        }
        self.check_length()
    }

    /// Makes the resampler fit `rate`, after what the one before still holds.
    fn set_rate(&mut self, rate: u32) -> Result<()> {
        if matches!(self.current, Some((current, _)) if current == rate) {
            return Ok(());
        }
        if let Some((_, before)) = self.current.take() {
            before.finish(&mut self.samples)?;
            self.rate_changes += 1;
            if self.rate_changes > MAX_RATE_CHANGES {
                return Err(fault::invalid(format!(
                    "the recording changes its sampling rate more than {MAX_RATE_CHANGES} times; encode it with one"
                )));
            }
        }
        self.current = Some((rate, Resampler::new(rate, self.options.filter)?));
        Ok(())
    }

    fn check_length(&mut self) -> Result<()> {
        if self.samples.len() > self.max_samples {
            return Err(fault::too_long(self.options.max_seconds));
        }
        let bytes = (self.samples.len() as u64).saturating_mul(4);
        if let Some(meter) = self.options.meter.as_ref().filter(|_| bytes > self.metered_bytes) {
            self.metered_bytes = bytes.saturating_add(METERED_BYTES);
            meter.ask(self.metered_bytes)?;
        }
        Ok(())
    }

    fn finish(mut self, last_fault: Option<&Fault>) -> Result<Recording> {
        if let Some((_, resampler)) = self.current.take() {
            resampler.finish(&mut self.samples)?;
        }
        self.check_length()?;
        let Some(Format { rate, channels }) = self.source else {
            return Err(fault::nothing_decoded(last_fault));
        };
        if let Some(cause) = last_fault {
            tracing::debug!(%cause, "a part of the recording was damaged and is left out");
        }
        // Growing by doubling leaves up to as much again unused.
        self.samples.shrink_to_fit();
        Ok(Recording {
            duration_seconds: self.samples.len() as f64 / f64::from(SAMPLE_RATE),
            samples: Arc::new(self.samples),
            source_sample_rate: rate,
            channels,
        })
    }
}
