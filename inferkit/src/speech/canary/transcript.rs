//! From the tokens of windows to the events of a transcript, in the order of the recording.

mod judged;
mod shares;
#[cfg(test)]
mod tests;
mod timed_segments;

use std::sync::Arc;

use self::timed_segments::segments;
use super::config::SAMPLE_RATE_HZ;
use super::plan::Cut;
use super::plan::Plan;
use super::plan::Timing;
use super::text::CanaryTokenizer;
use super::text::Character;
use super::text::ChunkCharacters;
use super::text::Merged;
use super::text::TimedText;
use super::text::join_characters;
use super::text::join_settled_characters;
use crate::formats::sentencepiece::SentencePiece;
use crate::task::Segment;
use crate::task::TimeDetail;
use crate::task::TranscriptionEvent;

/// What was heard in a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Heard {
    /// Tokens of the answer.
    pub(super) tokens: Vec<u32>,
    /// The natural logarithm of each token's probability.
    pub(super) logprobs: Vec<f32>,
    /// Mean natural logarithm of the tokens' probabilities, the end's included.
    pub(super) average_logprob: f32,
    /// Encoder frames that count.
    pub(super) frames: usize,
    /// When words or tokens were spoken, where an aligner was asked.
    pub(super) aligned: Option<Aligned>,
}

/// A token of an answer, and the natural logarithm of its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scored {
    id: u32,
    logprob: f32,
}

/// What an aligner found out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Aligned {
    /// Times of words and segments.
    Words(TimedText),
    /// Times of single tokens, for windows that are joined.
    Characters(Vec<Character>),
}

/// A transcript in the making.
#[derive(Debug)]
pub(super) struct Transcript {
    tokenizer: Arc<CanaryTokenizer>,
    plan: Plan,
    timing: Timing,
    detail: TimeDetail,
    /// Language that is spoken, ISO 639-1.
    language: String,
    seconds: f64,
    heard: Vec<Option<Heard>>,
    /// The first window that is not told yet.
    next: usize,
    hour: Hour,
}

/// What the overlapping windows of an hour say together, as far as they have been told.
#[derive(Debug, Default)]
struct Hour {
    /// Tokens that the decoder wrote.
    tokens: Merged<Scored>,
    /// Ids of the aligner's tokens, which cuts the text by itself.
    characters: Merged<u32>,
    /// How many of `tokens` have been told where words have no times.
    told_tokens: usize,
    /// How many sentences have been told where an aligner gives them times.
    told_segments: usize,
}

impl Transcript {
    /// An empty transcript of a recording of `samples`.
    pub(super) fn new(
        tokenizer: Arc<CanaryTokenizer>,
        plan: Plan,
        (timing, detail): (Timing, TimeDetail),
        language: String,
        samples: usize,
    ) -> Self {
        Self {
            tokenizer,
            heard: vec![None; plan.windows.len()],
            plan,
            timing,
            detail,
            language,
            seconds: seconds(samples),
            next: 0,
            hour: Hour::default(),
        }
    }

    /// Its windows.
    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether windows need an aligner, and for what.
    pub(super) fn wants_alignment(&self) -> Option<Cut> {
        (self.timing == Timing::Aligner).then_some(self.plan.cut)
    }

    /// Whether everything has been told.
    pub(super) fn is_over(&self) -> bool {
        self.next >= self.heard.len()
    }

    /// The text of a window, as the model prints it.
    pub(super) fn text(&self, tokens: &[u32]) -> String {
        if self.is_silence(tokens) {
            return String::new();
        }
        self.tokenizer.decode(tokens)
    }

    /// Takes what was heard in a window; returns what can be said by now.
    ///
    /// * `aligner`: the tokenizer of the aligner, whose ids [`Aligned::Characters`] has
    pub(super) fn push(
        &mut self,
        window: usize,
        heard: Heard,
        aligner: Option<&SentencePiece>,
    ) -> Vec<TranscriptionEvent> {
        if let Some(place) = self.heard.get_mut(window) {
            *place = Some(heard);
        }
        let mut events = Vec::new();
        while self.heard.get(self.next).is_some_and(Option::is_some) {
            let told = self.tell(self.next, aligner);
            events.extend(told.into_iter().map(TranscriptionEvent::Segment));
            let covered = self.plan.windows.get(self.next).map_or(0, |window| window.covers.end);
            self.next += 1;
            events.push(TranscriptionEvent::Progress {
                done_seconds: seconds(covered).min(self.seconds),
                total_seconds: self.seconds,
            });
        }
        if self.is_over() {
            events.push(TranscriptionEvent::Done {
                language: self.language.clone(),
            });
        }
        events
    }

    /// The segments that window `number` completes.
    fn tell(&mut self, number: usize, aligner: Option<&SentencePiece>) -> Vec<Segment> {
        match (self.plan.cut, self.timing) {
            (Cut::Overlapping, timing) => {
                self.hour.tokens.push(&self.scored(number), |token| token.id);
                let told = match (timing, aligner) {
                    (Timing::Aligner, Some(aligner)) => self.joined(number, aligner),
                    (Timing::Aligner | Timing::None | Timing::Tokens, _) => self.settled(number),
                };
                if self.is_last_of_hour(number) {
                    self.hour = Hour::default();
                }
                told
            }
            (Cut::Whole | Cut::Fixed, Timing::None) => {
                self.untimed(number, &self.text(self.tokens(number)), &self.scored(number))
            }
            (Cut::Whole | Cut::Fixed, Timing::Tokens) => {
                let text = TimedText::read(&self.text(self.tokens(number)));
                if text.words.is_empty() {
                    return self.untimed(number, &text.text, &self.written(&self.scored(number)));
                }
                // A window's frames are counted in whole encoder frames, as the original counts them.
                let before = self.plan.windows.get(number).map_or(0, |window| window.frames.start);
                let shifted = TimedText::join(&[(TimedText::default(), before), (text, 0)]);
                let segments = segments(&shifted, 0.0, self.seconds, self.detail);
                self.judged_together(number..number + 1, &self.scored(number), segments)
            }
            (Cut::Whole | Cut::Fixed, Timing::Aligner) => {
                match self.heard(number).and_then(|heard| heard.aligned.clone()) {
                    Some(Aligned::Words(text)) if !text.words.is_empty() => {
                        let segments = segments(&text, 0.0, self.seconds, self.detail);
                        self.judged_together(number..number + 1, &self.scored(number), segments)
                    }
                    // A text that does not fit the sound has no times, and is told all the same.
                    Some(_) | None => self.untimed(number, &self.text(self.tokens(number)), &self.scored(number)),
                }
            }
        }
    }

    /// Text of a window as one segment.
    fn untimed(&self, number: usize, text: &str, tokens: &[Scored]) -> Vec<Segment> {
        let covers = self.plan.windows.get(number).map(|window| window.covers.clone());
        let (text, covers) = (text.trim(), covers.unwrap_or_default());
        if text.is_empty() {
            return Vec::new();
        }
        let end = seconds(covers.end).min(self.seconds);
        let segment = Segment::new(seconds(covers.start).min(end), end, text);
        self.judged(number..number + 1, [(segment, tokens.to_vec())])
    }

    /// What is settled of the hour's merged tokens, and not told: whole words, all of them after the hour's last window.
    fn settled(&mut self, number: usize) -> Vec<Segment> {
        let (merged, told) = (self.hour.tokens.items(), self.hour.told_tokens);
        let is_last = self.is_last_of_hour(number);
        let mut end = if is_last {
            merged.len()
        } else {
            self.hour.tokens.settled()
        };
        let begins_word = |token: &Scored| {
            self.tokenizer
                .piece(token.id)
                .is_some_and(|piece| piece.starts_with('▁'))
        };
        while !is_last && end > told && !merged.get(end).is_some_and(begins_word) {
            end -= 1;
        }
        let new = merged.get(told..end).unwrap_or_default();
        let ids: Vec<u32> = new.iter().map(|token| token.id).collect();
        let segments = self.untimed(number, &self.text(&ids), new);
        self.hour.told_tokens = end;
        segments
    }

    /// The sentences of an hour that are settled, and not told: all of them after its last window.
    fn joined(&mut self, number: usize, aligner: &SentencePiece) -> Vec<Segment> {
        let ids: Vec<u32> = self.characters(number).iter().map(|character| character.id).collect();
        self.hour.characters.push(&ids, |id| *id);
        let text = self.joined_text(number, aligner);
        let first = self.hour(number).next().unwrap_or(number);
        let covers = self.plan.windows.get(first).map_or(0, |window| window.covers.start);
        let segments = segments(&text, seconds(covers), self.seconds, self.detail);
        let shares = self.shared(self.hour.tokens.items(), &segments);
        let told = std::mem::replace(&mut self.hour.told_segments, segments.len());
        let new: Vec<_> = segments.into_iter().zip(shares).skip(told).collect();
        let start_seconds = new.first().map_or(0.0, |(segment, _)| segment.start_seconds);
        let is_behind = |number: &usize| {
            let window = self.plan.windows.get(*number);
            window.is_some_and(|window| seconds(window.covers.end) > start_seconds)
        };
        let from = self.hour(number).find(is_behind).unwrap_or(number).min(number);
        self.judged(from..number + 1, new)
    }

    /// The text of an hour up to window `number`, as far as it is settled.
    fn joined_text(&self, number: usize, aligner: &SentencePiece) -> TimedText {
        let heard = self.hour(number).take_while(|other| *other <= number);
        let chunks: Vec<ChunkCharacters<'_>> = heard
            .map(|number| ChunkCharacters {
                characters: self.characters(number),
                frames: self.heard(number).map_or(0, |heard| heard.frames),
            })
            .collect();
        let merged = &self.hour.characters;
        if self.is_last_of_hour(number) {
            return join_characters(&chunks, merged.items(), aligner);
        }
        join_settled_characters(&chunks, merged.items(), merged.settled(), aligner)
    }

    /// The aligner's tokens of a window; none where the text does not fit the sound.
    fn characters(&self, number: usize) -> &[Character] {
        match self.heard(number).and_then(|heard| heard.aligned.as_ref()) {
            Some(Aligned::Characters(characters)) => characters,
            Some(Aligned::Words(_)) | None => &[],
        }
    }

    /// The windows of the hour that `number` belongs to.
    fn hour(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let hour = self.plan.windows.get(number).map(|window| window.hour);
        let windows = self.plan.windows.iter().enumerate();
        windows
            .filter(move |(_, window)| Some(window.hour) == hour)
            .map(|(number, _)| number)
    }

    fn is_last_of_hour(&self, number: usize) -> bool {
        let hour = |number: usize| self.plan.windows.get(number).map(|window| window.hour);
        hour(number) != hour(number + 1)
    }

    fn heard(&self, number: usize) -> Option<&Heard> {
        self.heard.get(number)?.as_ref()
    }

    fn tokens(&self, number: usize) -> &[u32] {
        let tokens = self.heard(number).map_or(&[][..], |heard| &heard.tokens);
        if self.is_silence(tokens) { &[] } else { tokens }
    }

    fn scored(&self, number: usize) -> Vec<Scored> {
        let logprobs = self.heard(number).map_or(&[][..], |heard| &heard.logprobs);
        let pairs = self.tokens(number).iter().zip(logprobs);
        pairs
            .map(|(id, logprob)| Scored {
                id: *id,
                logprob: *logprob,
            })
            .collect()
    }

    /// Whether the answer says that nobody speaks.
    fn is_silence(&self, tokens: &[u32]) -> bool {
        matches!((tokens, self.tokenizer.special().no_speech), ([token], Some(no_speech)) if *token == no_speech)
    }
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / SAMPLE_RATE_HZ as f64
}
