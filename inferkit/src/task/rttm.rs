//! RTTM, the text format in which diarizations are exchanged: one line a turn.
//!
//! `SPEAKER <recording> 1 <start> <duration> <NA> <NA> <label> <NA> <NA>`, times in seconds with three digits.
//!
//! Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.

use std::fmt::Write;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::task::DiarizationResult;
use crate::task::SpeakerTurn;

impl DiarizationResult {
    /// The turns in RTTM; `recording` names what was diarized, such as its file without the ending.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the name or a label is empty or has blanks in it, which the format cannot hold.
    pub fn to_rttm(&self, recording: &str) -> Result<String> {
        let mut text = String::new();
        check_word(recording, "the recording's name")?;
        for turn in &self.turns {
            check_word(&turn.speaker, "a speaker's label")?;
            let duration = turn.end_seconds - turn.start_seconds;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "SPEAKER {recording} 1 {:.3} {duration:.3} <NA> <NA> {} <NA> <NA>",
                turn.start_seconds, turn.speaker
            );
        }
        Ok(text)
    }
}

/// A turn and the recording that it belongs to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RttmTurn {
    /// The recording's name.
    pub recording: String,
    /// Who speaks when in it.
    pub turn: SpeakerTurn,
}

/// Reads RTTM. Lines of other kinds than `SPEAKER`, empty ones and comments (`;;`) are skipped.
///
/// # Errors
/// [`Error::InvalidRequest`] that names the line: too few fields, or times that are no numbers or negative.
pub fn read_rttm(text: &str) -> Result<Vec<RttmTurn>> {
    let mut turns = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.first() != Some(&"SPEAKER") {
            continue;
        }
        let [_, recording, _, start, duration, _, _, label, ..] = fields[..] else {
            return Err(invalid(format!(
                "RTTM line {number} has {} fields; a SPEAKER line has at least 8",
                fields.len()
            )));
        };
        let start_seconds = seconds(start, "start", number)?;
        let end_seconds = start_seconds + seconds(duration, "duration", number)?;
        turns.push(RttmTurn {
            recording: recording.to_owned(),
            turn: SpeakerTurn::new(label, start_seconds, end_seconds),
        });
    }
    Ok(turns)
}

fn seconds(field: &str, name: &str, line: usize) -> Result<f64> {
    match field.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds),
        _ => Err(invalid(format!(
            "RTTM line {line}: {name} {field:?} is no time; give seconds from 0 on, such as 1.25"
        ))),
    }
}

fn check_word(word: &str, what: &str) -> Result<()> {
    if word.is_empty() || word.contains(char::is_whitespace) {
        return Err(invalid(format!(
            "{what}, {word:?}, cannot be written in RTTM; take one without blanks"
        )));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::invalid(RequestFault::InvalidValue, None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(turns: Vec<SpeakerTurn>) -> DiarizationResult {
        DiarizationResult::new(turns, Vec::new(), Vec::new())
    }

    #[test]
    fn a_turn_is_a_line_and_comes_back_from_it() {
        let turns = vec![
            SpeakerTurn::new("SPEAKER_00", 0.5, 2.25),
            SpeakerTurn::new("SPEAKER_01", 2.0, 3.0),
        ];
        let text = result(turns.clone()).to_rttm("talk").unwrap();
        assert_eq!(
            text.lines().next(),
            Some("SPEAKER talk 1 0.500 1.750 <NA> <NA> SPEAKER_00 <NA> <NA>")
        );
        let read = read_rttm(&text).unwrap();
        assert!(read.iter().all(|read| read.recording == "talk"));
        assert_eq!(read.into_iter().map(|read| read.turn).collect::<Vec<_>>(), turns);
    }

    #[test]
    fn halves_are_rounded_to_the_even_digit_as_the_original_does() {
        let text = result(vec![SpeakerTurn::new("a", 0.0625, 0.0625 + 0.1875)])
            .to_rttm("x")
            .unwrap();
        assert_eq!(text, "SPEAKER x 1 0.062 0.188 <NA> <NA> a <NA> <NA>\n");
    }

    #[test]
    fn files_of_the_original_are_read_and_written_to_the_byte() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/pyannote/pipelines");
        for pipeline in ["31", "community-1", "multilabel"] {
            for file in ["conv2", "conv4.exclusive", "silence", "tail12"] {
                let text = std::fs::read_to_string(format!("{folder}/{pipeline}/{file}.rttm")).unwrap();
                let read = read_rttm(&text).unwrap();
                let recording = read
                    .first()
                    .map_or("silence", |read| read.recording.as_str())
                    .to_owned();
                let turns = read.into_iter().map(|read| read.turn).collect();
                assert_eq!(result(turns).to_rttm(&recording).unwrap(), text, "{pipeline} {file}");
            }
        }
    }

    #[test]
    fn other_lines_are_skipped() {
        let text =
            ";; made by hand\n\nSPKR-INFO a 1 <NA> <NA> <NA> unknown x <NA>\nSPEAKER a 1 0 1 <NA> <NA> x <NA> <NA>\r\n";
        assert_eq!(read_rttm(text).unwrap().len(), 1);
    }

    #[test]
    fn a_broken_line_is_named() {
        for (line, part) in [
            ("SPEAKER a 1 0 1", "line 2 has 5 fields"),
            ("SPEAKER a 1 soon 1 <NA> <NA> x", "start \"soon\" is no time"),
            ("SPEAKER a 1 0 -1 <NA> <NA> x", "duration \"-1\" is no time"),
            ("SPEAKER a 1 0 NaN <NA> <NA> x", "duration \"NaN\" is no time"),
        ] {
            let error = read_rttm(&format!("\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn names_with_blanks_are_refused() {
        let turns = vec![SpeakerTurn::new("the chair", 0.0, 1.0)];
        assert!(
            result(turns)
                .to_rttm("talk")
                .unwrap_err()
                .to_string()
                .contains("\"the chair\"")
        );
        assert!(result(Vec::new()).to_rttm("a talk").is_err());
        assert!(result(Vec::new()).to_rttm("").is_err());
    }
}
