//! What can be wrong with a recording, in words for the one who sent it.

use std::io::ErrorKind;

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

/// Bytes of no known kind, or of a kind whose first part cannot be read.
pub(super) fn unknown(cause: &Fault) -> Error {
    note(cause);
    if ends_early(cause) {
        return invalid(format!(
            "the file ends before any sound begins; send a whole recording, as {KINDS}"
        ));
    }
    match cause {
        Fault::Unsupported(_) => invalid(format!("the file is no recording of a known kind; send {KINDS}")),
        _ => invalid(format!(
            "the recording is damaged where it describes its sound; encode it again, as {KINDS}"
        )),
    }
}

/// A known kind with a sound track that no decoder here reads.
pub(super) fn unsupported(cause: &Fault) -> Error {
    note(cause);
    match cause {
        Fault::Unsupported(_) => invalid(format!(
            "the recording's sound is written in a way that is not read here; encode it again, as {KINDS}"
        )),
        _ => invalid(format!(
            "the recording is damaged where it describes its sound; encode it again, as {KINDS}"
        )),
    }
}

/// A container without sound.
pub(super) fn no_track() -> Error {
    invalid(format!("the file has no sound track; send a recording as {KINDS}"))
}

/// A sound track of which nothing could be decoded; `cause` is the damage that was met last.
pub(super) fn nothing_decoded(cause: Option<&Fault>) -> Error {
    let Some(cause) = cause else {
        return invalid("the recording holds no sound; is the file complete?");
    };
    note(cause);
    if ends_early(cause) {
        return invalid("the recording ends before its first sound; send the whole file");
    }
    invalid("the recording is damaged so that no sound of it can be decoded; encode it again")
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

fn ends_early(cause: &Fault) -> bool {
    matches!(cause, Fault::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof)
}

/// Keeps for the log what a reader said: its words name parts of a format, and tell a caller nothing.
fn note(cause: &Fault) {
    tracing::debug!(%cause, "a recording is refused");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_told_what_to_do_in_words_that_no_library_wrote() {
        let early = || Fault::IoError(std::io::Error::new(ErrorKind::UnexpectedEof, "end of stream"));
        let damaged = || Fault::DecodeError("isomp4 (stsc): entry has 0 samples per chunk");
        let strange = || Fault::Unsupported("wav: unsupported fmt_ext sub-type");
        for (error, what, advice) in [
            (
                unknown(&early()),
                "ends before any sound begins",
                "send a whole recording, as WAV",
            ),
            (
                unknown(&damaged()),
                "damaged where it describes its sound",
                "encode it again",
            ),
            (unknown(&strange()), "no recording of a known kind", "send WAV"),
            (unsupported(&damaged()), "damaged where it describes", "encode it again"),
            (
                unsupported(&strange()),
                "a way that is not read here",
                "encode it again, as WAV",
            ),
            (
                nothing_decoded(Some(&early())),
                "ends before its first sound",
                "send the whole file",
            ),
            (
                nothing_decoded(Some(&damaged())),
                "no sound of it can be decoded",
                "encode it again",
            ),
            (nothing_decoded(None), "holds no sound", "complete"),
        ] {
            let text = error.to_string();
            assert!(text.contains(what) && text.contains(advice), "{text}");
            assert!(
                !["stsc", "fmt_ext", "stream", "("]
                    .iter()
                    .any(|word| text.contains(word)),
                "{text}"
            );
        }
    }
}
