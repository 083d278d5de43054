//! What can be wrong with a recording, in words for the one who sent it.

use symphonia::core::errors::Error as Fault;

use crate::error::Error;
use crate::error::RequestFault;

/// The request's field that all these errors are about.
const FILE: &str = "file";

/// Kinds of file that are read, for messages.
const KINDS: &str = "WAV, AIFF, FLAC, MP3, AAC, M4A/MP4, Ogg Vorbis, Opus or WebM";

/// The recording is not what it should be; `what` is a sentence that names the part.
pub(super) fn invalid(what: impl Into<String>) -> Error {
    Error::invalid(RequestFault::InvalidAudio, FILE, what)
}

/// Nothing at all.
pub(super) fn empty() -> Error {
    invalid(format!("the file is empty; send a recording as {KINDS}"))
}

/// Bytes of no known kind.
pub(super) fn unknown(cause: &Fault) -> Error {
    invalid(format!(
        "the file is no recording of a known kind ({}); send {KINDS}",
        short(cause)
    ))
}

/// A known kind with a sound track that no decoder here reads.
pub(super) fn unsupported(cause: &Fault) -> Error {
    invalid(format!(
        "the recording's encoding cannot be decoded ({}); send {KINDS}",
        short(cause)
    ))
}

/// A container without sound.
pub(super) fn no_track() -> Error {
    invalid(format!("the file has no sound track; send a recording as {KINDS}"))
}

/// A sound track of which nothing could be decoded.
pub(super) fn nothing_decoded(cause: Option<&Fault>) -> Error {
    let cause = cause.map_or_else(String::new, |cause| format!(" ({})", short(cause)));
    invalid(format!(
        "the recording holds no sound that can be decoded{cause}; is the file complete?"
    ))
}

/// Longer than allowed.
pub(super) fn too_long(max_seconds: f64) -> Error {
    Error::invalid(
        RequestFault::AudioTooLong,
        FILE,
        format!("the recording is longer than the {max_seconds} seconds that are accepted; send it in parts"),
    )
}

/// A channel that the recording does not have.
pub(super) fn no_such_channel(channel: usize, channels: usize) -> Error {
    Error::invalid(
        RequestFault::InvalidValue,
        "channel",
        format!(
            "channel is {channel}, and the recording has {channels}; give 0 to {}",
            channels.saturating_sub(1)
        ),
    )
}

fn short(cause: &Fault) -> String {
    cause.to_string().chars().take(120).collect()
}
