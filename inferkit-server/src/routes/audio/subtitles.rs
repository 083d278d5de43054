//! A transcript as subtitles: `SubRip` (SRT) and `WebVTT`.

use std::fmt::Write;

use super::transcript::Spoken;

/// Subtitles as SRT: numbered from 1, times with a comma; a speaker stands before the text.
pub(crate) fn to_srt(segments: &[Spoken]) -> String {
    let mut text = String::new();
    for (index, segment) in shown(segments).enumerate() {
        let (start, end) = (clock(segment.start_seconds, ','), clock(segment.end_seconds, ','));
        let speaker = segment.speaker.as_deref().map(|name| format!("{}: ", one_line(name)));
        let _ = writeln!(
            text,
            "{}\n{start} --> {end}\n{}{}\n",
            index + 1,
            speaker.unwrap_or_default(),
            one_line(&segment.text)
        );
    }
    text
}

/// Subtitles as `WebVTT`, a speaker as a voice span.
pub(crate) fn to_vtt(segments: &[Spoken]) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for segment in shown(segments) {
        let (start, end) = (clock(segment.start_seconds, '.'), clock(segment.end_seconds, '.'));
        let speaker = segment.speaker.as_deref().map(|name| format!("<v {}>", escaped(name)));
        let _ = writeln!(
            text,
            "{start} --> {end}\n{}{}\n",
            speaker.unwrap_or_default(),
            escaped(&segment.text)
        );
    }
    text
}

/// A subtitle without text would end the one before it in some players.
fn shown(segments: &[Spoken]) -> impl Iterator<Item = &Spoken> {
    segments.iter().filter(|segment| !segment.text.is_empty())
}

/// An empty line would end a subtitle.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The three characters that mean something in `WebVTT` (W3C, section 4.2.2); `-->` cannot stand in a text either.
fn escaped(text: &str) -> String {
    one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `HH:MM:SS` and milliseconds.
fn clock(seconds: f64, point: char) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not below 0, and saturates after half a billion years"
    )]
    let milliseconds = (seconds.max(0.0) * 1000.0).round() as u64;
    let (rest, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}")
}

#[cfg(test)]
mod tests {
    use inferkit::task::Segment;

    use super::*;

    fn segments() -> Vec<Spoken> {
        let mut second = Spoken::from(Segment::new(3_661.0, 3_662.5, "a < b\n\n& c --> d"));
        second.speaker = Some("Ann & Bob".to_owned());
        vec![
            Spoken::from(Segment::new(0.0, 1.25, "Hello.")),
            Spoken::from(Segment::new(2.0, 3.0, " ")),
            second,
        ]
    }

    #[test]
    fn srt_is_numbered_from_one_and_names_speakers() {
        let expected = "1\n00:00:00,000 --> 00:00:01,250\nHello.\n\n\
            2\n01:01:01,000 --> 01:01:02,500\nAnn & Bob: a < b & c --> d\n\n";
        assert_eq!(to_srt(&segments()), expected);
        assert_eq!(to_srt(&[]), "");
    }

    #[test]
    fn vtt_begins_with_its_name_and_escapes_what_means_something() {
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello.\n\n\
            01:01:01.000 --> 01:01:02.500\n<v Ann &amp; Bob>a &lt; b &amp; c --&gt; d\n\n";
        assert_eq!(to_vtt(&segments()), expected);
        assert_eq!(to_vtt(&[]), "WEBVTT\n\n");
    }

    #[test]
    fn times_are_rounded_to_the_millisecond() {
        assert_eq!(clock(0.9996, '.'), "00:00:01.000");
        assert_eq!(clock(59.9994, ','), "00:00:59,999");
        assert_eq!(clock(-1.0, ','), "00:00:00,000");
        assert_eq!(clock(360_000.0, ','), "100:00:00,000");
    }
}
