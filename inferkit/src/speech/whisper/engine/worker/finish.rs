//! What is made of a window whose text is written.

use super::Worker;
use super::end;
use super::write;
use crate::error::Result;
use crate::speech::repetition::compression_ratio;
use crate::speech::whisper::config::FRAME_STRIDE;
use crate::speech::whisper::config::WINDOW_FRAMES;
use crate::speech::whisper::decoding::Decoded;
use crate::speech::whisper::decoding::FRAMES_PER_SECOND;
use crate::speech::whisper::decoding::Judgement;
use crate::speech::whisper::decoding::WindowSegment;
use crate::speech::whisper::decoding::cut;
use crate::speech::whisper::engine::handle::Model;
use crate::speech::whisper::engine::work::Sound;
use crate::speech::whisper::engine::work::Stage;
use crate::speech::whisper::engine::work::Work;
use crate::speech::whisper::tokens::WhisperTokens;
use crate::speech::whisper::words::AttentionWeights;
use crate::speech::whisper::words::SegmentWords;
use crate::speech::whisper::words::spread;
use crate::speech::whisper::words::time_words;
use crate::task::Segment;
use crate::task::SegmentDecoding;
use crate::task::TokenLogprob;
use crate::task::TopLogprob;
use crate::task::TranscriptionEvent;
use crate::task::Word;

impl Worker {
    /// Judges the windows that are written: each is kept, passed over, or tried again; recordings without a further window
    /// are over.
    pub(super) fn finish(&mut self) {
        for place in &mut self.works {
            let Some(work) = place else { continue };
            if let Some((sound, decoded, trial)) = take_written(work) {
                let text = self.model.tokens.decode(&decoded.tokens);
                let ratio = compression_ratio(text.trim());
                let judgement = self.options.thresholds.judge(&decoded, ratio);
                let has_another = trial + 1 < work.recording.temperatures.len();
                if judgement == Judgement::Doubtful && has_another {
                    let writing = write(work, sound, trial + 1, (&self.model, &self.options));
                    work.stage = Stage::Write(Box::new(writing));
                    continue;
                }
                let is_silence = self.options.thresholds.is_silence(&decoded);
                let result = if is_silence {
                    work.transcript.skip(sound.window);
                    Ok(())
                } else {
                    keep(work, &sound, &decoded, ratio, &mut self.model)
                };
                if let Err(error) = result {
                    work.outlet.send(Err(error));
                    end(place, self.queue.line());
                    continue;
                }
                tell_progress(work);
                work.stage = Stage::Encode;
            }
            if matches!(work.stage, Stage::Encode) && work.transcript.window().is_none() {
                let language = work.language.clone().unwrap_or_else(|| "en".to_owned());
                work.outlet.send(Ok(TranscriptionEvent::Done { language }));
                end(place, self.queue.line());
            }
        }
    }
}

/// The window whose text is written, if one is.
fn take_written(work: &mut Work) -> Option<(Sound, Decoded, usize)> {
    match std::mem::replace(&mut work.stage, Stage::Over) {
        Stage::Write(writing) if writing.attempt.is_done() => {
            let decoded = writing.attempt.decoded();
            Some((writing.sound, decoded, writing.trial))
        }
        other => {
            work.stage = other;
            None
        }
    }
}

fn tell_progress(work: &Work) {
    let (done_seconds, total_seconds) = work.transcript.progress();
    work.outlet.send(Ok(TranscriptionEvent::Progress {
        done_seconds,
        total_seconds,
    }));
}

/// Cuts a window's text, times its words if they are wanted, tells its segments, and goes on behind them.
fn keep(work: &mut Work, sound: &Sound, decoded: &Decoded, ratio: f32, model: &mut Model) -> Result<()> {
    let special = model.tokens.special();
    let window = sound.window;
    let mut cut = cut(&decoded.tokens, window, special);
    let mut seek = window.seek + cut.advance;
    let mut words: Vec<SegmentWords> = vec![Vec::new(); cut.segments.len()];
    if work.wants_words() {
        words = time_segments(work, sound, &mut cut.segments, model)?;
        let last_word_end = words.iter().flatten().last().map(|word| word.end_seconds);
        let offset_seconds = window.seek as f64 / FRAMES_PER_SECOND;
        if let Some(end_seconds) = last_word_end.filter(|end| !cut.is_complete && *end > offset_seconds) {
            seek = frames(end_seconds);
        }
    }
    let mut told = Vec::new();
    let (_, total_seconds) = work.transcript.progress();
    for (segment, words) in cut.segments.into_iter().zip(words) {
        let text = model.tokens.decode(&segment.tokens);
        // What has no length or no text is nothing, and is not told to the next window either.
        if segment.start_seconds >= segment.end_seconds || text.trim().is_empty() {
            continue;
        }
        told.extend_from_slice(&segment.tokens);
        let event = told_segment(&segment, words, total_seconds);
        work.outlet.send(Ok(TranscriptionEvent::Segment(Segment {
            text: text.trim().to_owned(),
            decoding: Some(SegmentDecoding {
                window_start_seconds: window.seek as f64 / FRAMES_PER_SECOND,
                token_logprobs: token_logprobs(&segment, decoded, &model.tokens),
                tokens: segment.tokens,
                temperature: decoded.temperature,
                average_logprob: decoded.average_logprob,
                compression_ratio: ratio,
                no_speech_probability: decoded.no_speech_probability,
            }),
            ..event
        })));
    }
    work.transcript.go_on(seek, told, decoded.temperature);
    Ok(())
}

/// The tokens of a segment's text, times left out.
fn token_logprobs(segment: &WindowSegment, decoded: &Decoded, tokens: &WhisperTokens) -> Vec<TokenLogprob> {
    let logprobs = decoded.logprobs.iter().skip(segment.first);
    let pairs = segment.tokens.iter().zip(logprobs);
    let text = pairs.filter(|(token, _)| **token < tokens.special().end_of_text);
    text.map(|(token, logprob)| {
        let token = TopLogprob::new(tokens.bytes(*token).to_vec(), *logprob);
        TokenLogprob::new(token, Vec::new())
    })
    .collect()
}

/// Times and words of a segment; a model's times may lie beyond the end of the recording, an answer's may not.
fn told_segment(segment: &WindowSegment, words: SegmentWords, total_seconds: f64) -> Segment {
    let inside = |seconds: f64| seconds.clamp(0.0, total_seconds.max(0.0));
    let words = words.into_iter().map(|word| Word {
        probability: Some(word.probability),
        ..Word::new(word.text.trim(), inside(word.start_seconds), inside(word.end_seconds))
    });
    Segment {
        words: words.collect(),
        ..Segment::new(inside(segment.start_seconds), inside(segment.end_seconds), "")
    }
}

/// Times the words of a window's segments and moves the segments' borders to them.
fn time_segments(
    work: &mut Work,
    sound: &Sound,
    segments: &mut [WindowSegment],
    model: &mut Model,
) -> Result<Vec<SegmentWords>> {
    let special = model.tokens.special().clone();
    let is_text = |token: &u32| *token < special.end_of_text;
    let counts: Vec<usize> = segments
        .iter()
        .map(|segment| segment.tokens.iter().copied().filter(is_text).count())
        .collect();
    let text: Vec<u32> = segments
        .iter()
        .flat_map(|segment| segment.tokens.iter().copied().filter(is_text))
        .collect();
    let (Some(states), false) = (&sound.states, text.is_empty()) else {
        return Ok(vec![Vec::new(); segments.len()]);
    };
    let start = work.transcript.start();
    let mut tokens = start.to_vec();
    tokens.push(special.no_timestamps);
    tokens.extend_from_slice(&text);
    tokens.push(special.end_of_text);
    let lane = work.lanes.first().copied().unwrap_or_default();
    let heads = model.config.alignment_heads.clone();
    let alignment = model.network.align(&tokens, (lane, work.slot), states, &heads)?;
    let rows = start.len()..tokens.len() - 1;
    let weights = AttentionWeights::new(
        &alignment.scores,
        (WINDOW_FRAMES / FRAME_STRIDE, sound.window.size / FRAME_STRIDE),
        rows.clone(),
        model.config.median_filter_width,
    );
    let vocabulary = model.config.vocabulary;
    let of_rows = alignment.logits.chunks_exact(vocabulary).skip(rows.start);
    let probabilities: Vec<f32> = text
        .iter()
        .zip(of_rows)
        .map(|(token, row)| probability(row, *token, special.end_of_text))
        .collect();
    let language = work.language.as_deref().unwrap_or("en");
    let words = model.tokens.split_to_words(&text, language);
    let timed = time_words(&weights, words, &probabilities);
    let offset_seconds = sound.window.seek as f64 / FRAMES_PER_SECOND;
    Ok(spread(
        timed,
        segments,
        &counts,
        offset_seconds,
        &mut work.last_speech_seconds,
    ))
}

/// The probability of a token among those of the text.
fn probability(logits: &[f32], token: u32, end_of_text: u32) -> f32 {
    let text = logits.get(..end_of_text as usize).unwrap_or(logits);
    let greatest = text.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = text.iter().map(|logit| (logit - greatest).exp()).sum();
    text.get(token as usize)
        .map_or(0.0, |logit| (logit - greatest).exp() / sum)
}

/// The mel frame at a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a recording are positive and few"
)]
fn frames(seconds: f64) -> usize {
    (seconds * FRAMES_PER_SECOND).round().max(0.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::whisper::decoding::Window;
    use crate::speech::whisper::tokens::tests::small;

    /// The token of a time in steps of 20 ms.
    const fn time(steps: u32) -> u32 {
        20 + steps
    }

    #[test]
    fn each_token_of_each_segment_has_its_own_probability() {
        let tokens = small();
        let decoded = Decoded {
            tokens: vec![time(0), 0, 1, time(50), time(50), 3, 9, time(120)],
            logprobs: (1..=8).map(|n| -(n as f32)).collect(),
            average_logprob: -4.5,
            no_speech_probability: 0.0,
            temperature: 0.0,
        };
        let window = Window { seek: 0, size: 3000 };
        let cut = cut(&decoded.tokens, window, tokens.special());
        let told: Vec<Vec<(String, f32)>> = cut
            .segments
            .iter()
            .map(|segment| {
                let entries = token_logprobs(segment, &decoded, &tokens).into_iter();
                let spelt = |entry: TokenLogprob| (String::from_utf8(entry.token.bytes).unwrap(), entry.token.logprob);
                entries.map(spelt).collect()
            })
            .collect();
        // Times have probabilities too, which stand between those of the text and are left out with them.
        let pair = |text: &str, logprob: f32| (text.to_owned(), logprob);
        let expected = [
            vec![pair("a", -2.0), pair("b", -3.0)],
            vec![pair(" a", -6.0), pair("c", -7.0)],
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn times_of_a_segment_end_with_the_recording() {
        let segment = WindowSegment {
            start_seconds: 1.0,
            end_seconds: 30.0,
            tokens: Vec::new(),
            first: 0,
        };
        let told = told_segment(&segment, Vec::new(), 2.5);
        assert_eq!((told.start_seconds, told.end_seconds), (1.0, 2.5));
    }
}
