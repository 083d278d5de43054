//! Subtitles with speakers: SRT and WebVTT.
//!
//! Sources: the `SubRip` format as players read it; W3C, "WebVTT: The Web Video Text Tracks Format".

use std::fmt::Write;

use crate::meeting::AttributedSegment;
use crate::task::Segment;

/// A text on the screen for a while.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cue {
    /// When it appears, in seconds.
    pub start_seconds: f64,
    /// When it goes, in seconds.
    pub end_seconds: f64,
    /// Who says it.
    pub speaker: Option<String>,
    /// What is said.
    pub text: String,
}

impl Cue {
    /// A text without a speaker.
    pub fn new(start_seconds: f64, end_seconds: f64, text: impl Into<String>) -> Self {
        Self {
            start_seconds,
            end_seconds,
            speaker: None,
            text: text.into(),
        }
    }
}

impl From<&Segment> for Cue {
    fn from(segment: &Segment) -> Self {
        Self {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            speaker: None,
            text: segment.text.clone(),
        }
    }
}

impl From<&AttributedSegment> for Cue {
    fn from(segment: &AttributedSegment) -> Self {
        Self {
            start_seconds: segment.start_seconds,
            end_seconds: segment.end_seconds,
            speaker: segment.speaker.clone(),
            text: segment.text.clone(),
        }
    }
}

/// Subtitles in SRT: numbered from 1, times as `HH:MM:SS,mmm`, the speaker before the text as in `SPEAKER_00: Hello.`
///
/// Blank lines would end a cue and are left out, and so are cues without text; an arrow in a text becomes `→`, since
/// `-->` belongs to times.
pub fn to_srt(cues: impl IntoIterator<Item = impl Into<Cue>>) -> String {
    let mut srt = String::new();
    for (number, cue) in (1_usize..).zip(visible(cues)) {
        let (start, end) = times(&cue, ',');
        let speaker = cue
            .speaker
            .as_deref()
            .map(|name| format!("{}: ", one_line(name)))
            .unwrap_or_default();
        let text = format!("{speaker}{}", cue.text).replace("-->", "→");
        // Writing to a string does not fail.
        let _ = write!(srt, "{number}\n{start} --> {end}\n{text}\n\n");
    }
    srt
}

/// Subtitles in WebVTT: times as `HH:MM:SS.mmm`, the speaker as a voice, as in `<v SPEAKER_00>Hello.`
///
/// `&`, `<` and `>` are escaped. Blank lines and cues without text are left out.
pub fn to_vtt(cues: impl IntoIterator<Item = impl Into<Cue>>) -> String {
    let mut vtt = "WEBVTT\n".to_owned();
    for cue in visible(cues) {
        let (start, end) = times(&cue, '.');
        let voice = cue
            .speaker
            .as_deref()
            .map(|name| format!("<v {}>", escape(&one_line(name))))
            .unwrap_or_default();
        let _ = write!(vtt, "\n{start} --> {end}\n{voice}{}\n", escape(&cue.text));
    }
    vtt
}

/// The cues that show something, without blank lines.
fn visible(cues: impl IntoIterator<Item = impl Into<Cue>>) -> impl Iterator<Item = Cue> {
    cues.into_iter().map(Into::into).filter_map(|mut cue: Cue| {
        let lines: Vec<&str> = cue
            .text
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        cue.text = lines.join("\n");
        (!cue.text.is_empty()).then_some(cue)
    })
}

/// Start and end; the end is never before the start.
fn times(cue: &Cue, point: char) -> (String, String) {
    let start = milliseconds(cue.start_seconds);
    let end = milliseconds(cue.end_seconds).max(start);
    (timestamp(start, point), timestamp(end, point))
}

/// Whole milliseconds; 0 for what is negative or no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

fn timestamp(milliseconds: u64, point: char) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{point}{rest:03}", seconds % 60)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start_seconds: f64, end_seconds: f64, speaker: Option<&str>, text: &str) -> Cue {
        Cue {
            start_seconds,
            end_seconds,
            speaker: speaker.map(str::to_owned),
            text: text.to_owned(),
        }
    }

    #[test]
    fn srt_counts_from_one_and_names_the_speaker() {
        let cues = [
            cue(0.0, 1.5, Some("SPEAKER_00"), "Hello."),
            cue(3661.0405, 3662.0, None, "Bye."),
        ];
        assert_eq!(
            to_srt(cues),
            "1\n00:00:00,000 --> 00:00:01,500\nSPEAKER_00: Hello.\n\n\
             2\n01:01:01,041 --> 01:01:02,000\nBye.\n\n"
        );
    }

    #[test]
    fn vtt_has_voices_and_escapes_markup() {
        let cues = [cue(0.0, 1.0, Some("Ann & <Bob>"), "1 < 2 --> true")];
        assert_eq!(
            to_vtt(cues),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Ann &amp; &lt;Bob&gt;>1 &lt; 2 --&gt; true\n"
        );
        assert_eq!(to_vtt(Vec::<Cue>::new()), "WEBVTT\n");
    }

    #[test]
    fn blank_lines_empty_cues_and_arrows_cannot_break_the_format() {
        let cues = [
            cue(0.0, 1.0, Some("a\n\nb"), "one\n\r\r  two --> three --->\r\n"),
            cue(1.0, 2.0, None, " \n "),
        ];
        assert_eq!(
            to_srt(cues),
            "1\n00:00:00,000 --> 00:00:01,000\na b: one\ntwo → three -→\n\n"
        );
    }

    #[test]
    fn times_are_never_negative_nor_backwards() {
        let cues = [
            cue(-1.0, f64::NAN, None, "x"),
            cue(5.0, 4.0, None, "y"),
            cue(360_000.0, 360_001.0, None, "z"),
        ];
        let srt = to_srt(cues);
        for times in [
            "00:00:00,000 --> 00:00:00,000",
            "00:00:05,000 --> 00:00:05,000",
            "100:00:00,000 --> ",
        ] {
            assert!(srt.contains(times), "{srt}");
        }
    }

    #[test]
    fn segments_are_cues() {
        let segments = [Segment::new(0.0, 1.0, " Hello. ")];
        assert_eq!(to_srt(&segments), "1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n");
    }
}
