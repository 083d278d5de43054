//! From the bytes of any file to a recording.

use std::io::Read;
use std::io::Seek;

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
use super::ResamplingFilter;
use super::codec::Decoder;
use super::fault;
use super::mp4;
use super::sink::Sink;
use super::source::Gauge;
use super::source::ReadFault;
use super::source::Source;
use crate::error::Error;
use crate::error::Result;
use crate::job::Job;
use crate::panics::contain;

/// Most bytes of tags, and of pictures, that are kept while a file is read.
const MAX_METADATA_BYTES: usize = 1 << 20;

/// Decodes a recording to 16 kHz mono, whatever it is: WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus, `WebM`.
///
/// The kind is found in the content. Damaged packets are left out, and a file that ends early gives what is there.
/// Memory grows with what was decoded (64 KB a second), whatever the file claims of itself. The thread is busy for
/// about a second per ten minutes of sound; `job` stops it within a packet and is told how far the file is read, which
/// never falls.
///
/// # Errors
/// [`Error::InvalidRequest`] with the code `invalid_audio` for what is no recording or holds values that are no
/// numbers, `audio_too_long` beyond [`DecodeOptions::max_seconds`], `invalid_value` for a channel that is not there;
/// [`Error::Unavailable`] with `cancelled`; those of [`DecodeOptions::meter`]; [`Error::Internal`] if `source` itself
/// cannot be read.
pub fn decode(
    source: impl Read + Seek + Send + Sync + 'static,
    options: &DecodeOptions,
    job: &Job,
) -> Result<Recording> {
    let [recording] = decode_by(source, options, [options.filter], job)?;
    Ok(recording)
}

/// Decodes a recording once and brings it to 16 kHz by each of `filters`, in place of the one that `options` names.
///
/// A recogniser hears best what the steep filter gives, and a network of speakers knows the short one: a transcript with
/// speakers takes both. Recordings of 16 kHz need no filter and are shared; of others, memory grows with each filter.
///
/// # Errors
/// As [`decode`].
pub fn decode_by<const N: usize>(
    source: impl Read + Seek + Send + Sync + 'static,
    options: &DecodeOptions,
    filters: [ResamplingFilter; N],
    job: &Job,
) -> Result<[Recording; N]> {
    let unreadable = |cause: std::io::Error| {
        Error::internal("the recording could not be read from where it was put").with_source(cause)
    };
    let mut source = Source::new(source, job.clone()).map_err(unreadable)?;
    if source.length_bytes() == 0 {
        return Err(fault::empty());
    }
    let (read_fault, gauge) = (source.fault(), source.gauge());
    let length_bytes = source.length_bytes();
    let edit = mp4::read(&mut source, length_bytes);
    source.rewind().map_err(unreadable)?;
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let sink = Sink::new(options, &filters, edit);
    let decoded = contain(|| decode_stream(stream, sink, job, (&read_fault, &gauge)), broken);
    // Both look like damage of the file from above.
    job.check()?;
    read_fault.check()?;
    let decoded = decoded?;
    gauge.end();
    let recordings = decoded.try_into();
    recordings.map_err(|_| Error::internal("a decoded recording is missing one of its filters"))
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
    mut sink: Sink<'_>,
    job: &Job,
    (read_fault, gauge): (&ReadFault, &Gauge),
) -> Result<Vec<Recording>> {
    let limits = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(MAX_METADATA_BYTES))
        .limit_visual_bytes(Limit::Maximum(MAX_METADATA_BYTES));
    let mut reader = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), limits)
        .map_err(|cause| fault::unknown(&cause))?;
    gauge.begin();
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
