//! Times that the decoder writes between the words: `<|3|> Hello<|8|><|9|> world.<|15|>`.
//!
//! Source: NeMo 3.0.0, `nemo/collections/asr/parts/utils/timestamp_utils.py`, `process_aed_timestamp_outputs`.

use super::timed::Timed;
use super::timed::TimedText;
use super::timed::segments;

/// Most digits of a time. The vocabulary has three; more cannot be a frame.
const MOST_DIGITS: usize = 9;

/// A time in a text.
struct TimeToken {
    /// Where it begins and ends, in bytes.
    start: usize,
    end: usize,
    frame: i64,
}

impl TimedText {
    /// Reads what the decoder wrote. Without a pair of times the text is as it was and nothing has times.
    ///
    /// Words are what stands between the two times of a pair; what stands outside of pairs is lost, as in NeMo.
    pub(in super::super) fn read(text: &str) -> Self {
        let text = text.trim();
        let tokens = time_tokens(text);
        let (pairs, _) = tokens.as_chunks::<2>();
        if pairs.is_empty() {
            return Self {
                text: text.to_owned(),
                ..Self::default()
            };
        }
        let words: Vec<Timed> = pairs
            .iter()
            .filter_map(|[start, end]| {
                let content = text.get(start.end..end.start)?.trim();
                (!content.is_empty()).then(|| Timed::new(content.to_owned(), start.frame, end.frame))
            })
            .collect();
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        Self {
            text: texts.join(" "),
            segments: segments(&words),
            words,
        }
    }
}

/// All times in `text`, in their order.
fn time_tokens(text: &str) -> Vec<TimeToken> {
    let read = |(start, _): (usize, &str)| {
        let inside = text.get(start + 2..)?;
        let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
        let number = inside.get(..digits).filter(|number| number.len() <= MOST_DIGITS)?;
        inside.get(digits..)?.starts_with("|>").then_some(())?;
        Some(TimeToken {
            start,
            end: start + 2 + digits + 2,
            frame: number.parse().ok()?,
        })
    };
    text.match_indices("<|").filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn times_are_read_like_the_golden_ones() {
        let cases = testing::golden("algorithms.json");
        let cases = cases["aed_timestamps"].as_array().unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let found = TimedText::read(text);
            assert_eq!(found.text, case["out_text"].as_str().unwrap(), "{text}");
            testing::check_times(&found, &case["timestamp"], text);
        }
    }

    #[test]
    fn the_answers_of_golden_models_become_their_words() {
        for model in ["canary-1b-flash", "canary-180m-flash"] {
            let tokenizer = testing::tokenizer(model);
            let expected = testing::golden(&format!("{model}.transcribe.json"));
            for (clip, case) in expected["timestamps"].as_object().unwrap() {
                let found = TimedText::read(&tokenizer.decode(&testing::ids(&case["ids"])));
                assert_eq!(found.text, case["text"].as_str().unwrap(), "{model}, {clip}");
                testing::check_times(&found, &case["timestamp"], clip);
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_time_is_text() {
        for text in [
            "<||> a <||>",
            "<|x|> a <|1|>",
            "<|1a|> b <|2|>",
            "<|99999999999|>a<|1|>",
            "<|1|a<|2|>",
        ] {
            let found = TimedText::read(text);
            assert_eq!((found.text.as_str(), found.words.len()), (text, 0));
        }
    }
}
