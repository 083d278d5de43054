//! Byte-pair encoding: neighbours are joined, the best-scored pair first, as long as the vocabulary has the result.
//!
//! Source: `src/bpe_model.cc`, `Model::SampleEncode`; arXiv 1508.07909.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::HashMap;

use super::model::Model;
use super::model::PieceKind;
use super::prefixes::Prefixes;

/// A part of the text, linked to its neighbours.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    /// Bytes; none once the part was joined to the one before it.
    length: usize,
    previous: Option<usize>,
    next: Option<usize>,
    /// A user-defined piece, which stays as it is.
    frozen: bool,
}

/// Two neighbours that may be joined.
#[derive(Debug, PartialEq)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of both; a pair is stale once one of them has changed.
    length: usize,
}

impl Eq for Pair {}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        // The best score comes first, on equal scores the leftmost pair.
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A text in the course of being joined.
struct Merger<'a> {
    model: &'a Model,
    text: &'a str,
    parts: Vec<Part>,
    agenda: BinaryHeap<Pair>,
    /// What each joined piece that is never used was made of: it falls apart again.
    halves: HashMap<&'a str, usize>,
}

/// Cuts `text`, which is normalised; returns length in bytes and id of each part.
pub(super) fn cut(model: &Model, user_defined: &Prefixes, text: &str) -> Vec<(usize, u32)> {
    let mut merger = Merger {
        model,
        text,
        parts: split(user_defined, text),
        agenda: BinaryHeap::new(),
        halves: HashMap::new(),
    };
    for right in 1..merger.parts.len() {
        merger.propose(right.checked_sub(1), Some(right));
    }
    while let Some(pair) = merger.agenda.pop() {
        merger.join(&pair);
    }
    merger.pieces()
}

/// Characters and user-defined pieces.
fn split(user_defined: &Prefixes, text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let found = user_defined.longest_of(rest.as_bytes());
        let letter = rest.chars().next().map_or(1, char::len_utf8);
        let index = parts.len();
        if let Some(last) = parts.last_mut() {
            last.next = Some(index);
        }
        let length = found.map_or(letter, |(length, _)| length);
        parts.push(Part {
            start,
            length,
            previous: index.checked_sub(1),
            next: None,
            frozen: found.is_some(),
        });
        start = start.saturating_add(length);
    }
    parts
}

impl<'a> Merger<'a> {
    fn part(&self, index: usize) -> Option<Part> {
        self.parts.get(index).copied().filter(|part| part.length > 0)
    }

    fn text_of(&self, start: usize, length: usize) -> &'a str {
        self.text.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// Puts a pair on the agenda, if the vocabulary has the piece that it would become.
    fn propose(&mut self, left: Option<usize>, right: Option<usize>) {
        let Some((left, right)) = left.zip(right) else { return };
        let Some((first, second)) = self.part(left).zip(self.part(right)) else {
            return;
        };
        if first.frozen || second.frozen {
            return;
        }
        let length = first.length.saturating_add(second.length);
        let text = self.text_of(first.start, length);
        let Some((score, kind)) = mergeable(self.model, text) else {
            return;
        };
        if kind == PieceKind::Unused {
            self.halves.insert(text, first.length);
        }
        self.agenda.push(Pair {
            score,
            left,
            right,
            length,
        });
    }

    fn join(&mut self, pair: &Pair) {
        let Some((left, right)) = self.part(pair.left).zip(self.part(pair.right)) else {
            return;
        };
        if left.length.saturating_add(right.length) != pair.length {
            return;
        }
        if let Some(joined) = self.parts.get_mut(pair.left) {
            joined.length = pair.length;
            joined.next = right.next;
        }
        if let Some(gone) = self.parts.get_mut(pair.right) {
            gone.length = 0;
        }
        if let Some(next) = right.next.and_then(|next| self.parts.get_mut(next)) {
            next.previous = Some(pair.left);
        }
        self.propose(left.previous, Some(pair.left));
        self.propose(Some(pair.left), right.next);
    }

    /// The parts that are left, as pieces of the vocabulary.
    fn pieces(&self) -> Vec<(usize, u32)> {
        let mut pieces = Vec::new();
        let mut at = self.part(0);
        while let Some(part) = at {
            let mut left = vec![(part.start, part.length)];
            while let Some((start, length)) = left.pop() {
                let text = self.text_of(start, length);
                let known = self.model.ids.get(text).copied();
                let unused = known.is_some_and(|id| kind(self.model, id) == Some(PieceKind::Unused));
                match self.halves.get(text).filter(|_| unused) {
                    Some(half) => {
                        left.push((start.saturating_add(*half), length.saturating_sub(*half)));
                        left.push((start, *half));
                    }
                    None => pieces.push((length, known.unwrap_or(self.model.unknown_id))),
                }
            }
            at = part.next.and_then(|next| self.part(next));
        }
        pieces
    }
}

fn kind(model: &Model, id: u32) -> Option<PieceKind> {
    Some(model.pieces.get(usize::try_from(id).ok()?)?.kind)
}

/// Score and kind of the piece `text`, if pairs may become it.
fn mergeable(model: &Model, text: &str) -> Option<(f32, PieceKind)> {
    let id = *model.ids.get(text)?;
    let piece = model.pieces.get(usize::try_from(id).ok()?)?;
    let usable = matches!(
        piece.kind,
        PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused
    );
    usable.then_some((piece.score, piece.kind))
}
