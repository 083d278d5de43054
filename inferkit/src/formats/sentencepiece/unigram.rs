//! The unigram model: of all ways to cut a text, the one whose pieces have the largest sum of scores.
//!
//! Source: `src/unigram_model.cc`, `Model::EncodeOptimized`; arXiv 1804.10959.

use super::model::Model;
use super::model::PieceKind;
use super::prefixes::Prefixes;

/// How much worse than the worst piece a character is that no piece covers (`kUnkPenalty`).
const UNKNOWN_PENALTY: f32 = 10.0;

/// What the original takes from the bonus of user-defined pieces.
const USER_DEFINED_LOSS: f64 = 0.1;

/// Scores of pieces.
#[derive(Debug)]
pub(super) struct Unigram {
    lowest: f32,
    highest: f32,
}

/// The best way to a place in the text.
#[derive(Debug, Clone, Copy)]
struct Way {
    start: usize,
    id: u32,
    score: f32,
}

impl Unigram {
    /// What `model` needs for cutting.
    pub(super) fn new(model: &Model) -> Self {
        let normal = || model.pieces.iter().filter(|piece| piece.kind == PieceKind::Normal);
        let scores = || normal().map(|piece| piece.score);
        Self {
            lowest: scores().fold(f32::MAX, f32::min),
            highest: scores().fold(f32::MIN_POSITIVE, f32::max),
        }
    }

    /// Cuts `text`, which is normalised; returns length in bytes and id of each part.
    pub(super) fn cut(&self, model: &Model, pieces: &Prefixes, text: &str) -> Vec<(usize, u32)> {
        // ways[i] is how the first i bytes are cut best.
        let mut ways: Vec<Option<Way>> = vec![None; text.len().saturating_add(1)];
        for (start, letter) in text.char_indices() {
            let so_far = match ways.get(start) {
                Some(Some(way)) => way.score,
                Some(None) if start == 0 => 0.0,
                // No cut falls here.
                _ => continue,
            };
            let mut covered = false;
            let rest = text.as_bytes().get(start..).unwrap_or_default();
            for (length, id) in pieces.of(rest) {
                let Some(score) = self.score(model, id, length) else {
                    continue;
                };
                improve(&mut ways, start, length, id, f64::from(so_far) + score);
                covered |= length == letter.len_utf8();
            }
            if !covered {
                let score = f64::from(so_far) + f64::from(self.lowest - UNKNOWN_PENALTY);
                improve(&mut ways, start, letter.len_utf8(), model.unknown_id, score);
            }
        }
        backtrack(&ways)
    }

    /// The score of a piece of `length` bytes; `None` if it is never used.
    fn score(&self, model: &Model, id: u32, length: usize) -> Option<f64> {
        let piece = model.pieces.get(usize::try_from(id).ok()?)?;
        match piece.kind {
            PieceKind::Unused => None,
            PieceKind::UserDefined => Some(f64::from(length as f32 * self.highest) - USER_DEFINED_LOSS),
            _ => Some(f64::from(piece.score)),
        }
    }
}

/// Notes a way to the place `start + length`, if it is the first or better than the one that is there.
fn improve(ways: &mut [Option<Way>], start: usize, length: usize, id: u32, score: f64) {
    let Some(place) = ways.get_mut(start.saturating_add(length)) else {
        return;
    };
    if place.is_none_or(|way| score > f64::from(way.score)) {
        #[expect(clippy::cast_possible_truncation, reason = "the original keeps sums as f32")]
        let score = score as f32;
        *place = Some(Way { start, id, score });
    }
}

fn backtrack(ways: &[Option<Way>]) -> Vec<(usize, u32)> {
    let mut parts = Vec::new();
    let mut end = ways.len().saturating_sub(1);
    while let Some(Some(way)) = ways.get(end) {
        parts.push((end.saturating_sub(way.start), way.id));
        // Each way begins before it ends, hence this comes to an end at the start of the text.
        end = way.start;
    }
    parts.reverse();
    parts
}
