//! How the most probable text is searched: `decoding`.

use std::num::NonZeroUsize;

use super::Section;
use crate::error::Result;

/// Greedy or beam search, and when it ends at the latest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::speech::canary) struct SearchConfig {
    /// Hypotheses kept a step; `None` is greedy, which is a beam of one that stops a token earlier.
    pub(in crate::speech::canary) beam: Option<NonZeroUsize>,
    /// Exponent α of the length penalty ((5 + n) / 6)^α.
    pub(in crate::speech::canary) length_penalty: f64,
    /// Tokens that a sequence may have beyond the frames of its encoder; no such limit if `None`.
    pub(in crate::speech::canary) max_generation_delta: Option<usize>,
}

/// Widest beam that is computed: each hypothesis takes as much memory and time as a request.
const WIDEST: usize = 64;

impl SearchConfig {
    /// Reads `decoding`.
    ///
    /// The key `len_pen` of published files is not the one that the original reads: `length_penalty` is.
    pub(super) fn read(section: &Section<'_>) -> Result<Self> {
        let beam = section.section("beam");
        let greedy = section.section("greedy");
        let is_greedy = match section.text("strategy") {
            Some("greedy" | "greedy_batch") => true,
            Some("beam") | None => false,
            Some(_) => return Err(section.unsupported("strategy", "greedy, greedy_batch or beam")),
        };
        let size = beam.count("beam_size")?.unwrap_or(1);
        let Some(size) = NonZeroUsize::new(size).filter(|size| size.get() <= WIDEST) else {
            return Err(beam.unsupported("beam_size", "1 to 64"));
        };
        let delta = if is_greedy { &greedy } else { &beam }.integer("max_generation_delta")?;
        Ok(Self {
            beam: (!is_greedy).then_some(size),
            length_penalty: beam.number("length_penalty")?.unwrap_or(0.0),
            max_generation_delta: delta.and_then(|delta| usize::try_from(delta).ok()),
        })
    }

    /// Longest sequence, prompt included, beside `frames` encoder frames.
    pub(in crate::speech::canary) fn longest(&self, max_positions: usize, frames: usize) -> usize {
        match self.max_generation_delta {
            Some(delta) => max_positions.min(frames.saturating_add(delta)),
            None => max_positions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(decoding: &serde_json::Value) -> Result<SearchConfig> {
        let tree = json!({ "decoding": decoding });
        SearchConfig::read(&Section::root("c.yaml", &tree).section("decoding"))
    }

    #[test]
    fn the_published_section_is_a_beam_of_one_whose_len_pen_means_nothing() {
        let config = read(&json!({
            "strategy": "beam", "beam": {"beam_size": 1, "len_pen": 0.5, "max_generation_delta": 50}
        }));
        let config = config.unwrap();
        assert_eq!((config.beam, config.length_penalty), (NonZeroUsize::new(1), 0.0));
        assert_eq!(config.longest(1024, 15), 65);
        assert_eq!(config.longest(64, 15), 64);
    }

    #[test]
    fn what_is_left_out_is_a_beam_of_one_without_a_limit() {
        let config = read(&json!({})).unwrap();
        assert_eq!((config.beam, config.longest(1024, 15)), (NonZeroUsize::new(1), 1024));
        let config = read(&json!({"beam": {"max_generation_delta": -1}})).unwrap();
        assert_eq!(config.max_generation_delta, None);
    }

    #[test]
    fn strategies_and_beams_that_are_not_computed_are_refused() {
        for decoding in [
            json!({"strategy": "maes"}),
            json!({"beam": {"beam_size": 0}}),
            json!({"beam": {"beam_size": 1000}}),
        ] {
            assert_eq!(read(&decoding).unwrap_err().code(), "unsupported_model");
        }
    }
}
