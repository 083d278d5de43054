//! Beam search: the likeliest beginnings go on, in the lanes of those that do not.

use super::Attempt;
use super::Ends;
use super::LaneCopy;
use super::candidate::Candidate;
use crate::speech::whisper::decoding::rules::log_sum_exp;

/// A way to go on.
#[derive(Debug, Clone, Copy)]
struct Continuation {
    parent: usize,
    token: u32,
    /// Sum of the natural logarithms of the text's probabilities.
    total: f32,
    /// That of the token alone.
    logprob: f32,
}

impl Attempt {
    /// Keeps the `width` likeliest texts; those that end are put aside, and enough of them end the search.
    ///
    /// Source: openai/whisper, `decoding.py`, `BeamSearchDecoder` with a patience of 1.
    pub(super) fn advance_beam(&mut self, rows: &[&mut [f32]], ends: Ends, width: usize) -> Vec<LaneCopy> {
        let mut continuations = Vec::new();
        let is_first = self.candidates.iter().all(|candidate| candidate.tokens.is_empty());
        let open = self
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| !candidate.is_ended);
        for ((parent, candidate), row) in open.zip(rows) {
            let all = log_sum_exp(row);
            let best = likeliest(row, width + 1);
            continuations.extend(best.into_iter().map(|(token, logit)| Continuation {
                parent,
                token,
                total: candidate.logprob + logit - all,
                logprob: logit - all,
            }));
            // All lanes begin alike: what follows the first is all that follows.
            if is_first {
                break;
            }
        }
        continuations.sort_by(|a, b| b.total.total_cmp(&a.total));
        let mut chosen = Vec::with_capacity(width);
        for continuation in continuations {
            if continuation.token == ends.end_of_text {
                self.put_aside(continuation, width);
            } else {
                chosen.push(continuation);
                if chosen.len() == width {
                    break;
                }
            }
        }
        let is_over = self.ended.len() >= width || chosen.is_empty();
        let copies = self.go_on(&chosen, ends);
        for candidate in &mut self.candidates {
            candidate.is_ended |= is_over;
        }
        if self.ended.len() >= width {
            self.candidates
                .iter_mut()
                .for_each(|candidate| candidate.logprob = f32::NEG_INFINITY);
        }
        copies
    }

    fn put_aside(&mut self, ending: Continuation, width: usize) {
        if let Some(parent) = self.candidates.get(ending.parent).filter(|_| self.ended.len() < width) {
            self.ended.push(Candidate {
                logprob: ending.total,
                is_ended: true,
                ..parent.clone()
            });
        }
    }

    /// Replaces the candidates by what goes on. The first child of each stays in its parent's lane, the others take lanes
    /// that nobody goes on in.
    fn go_on(&mut self, chosen: &[Continuation], ends: Ends) -> Vec<LaneCopy> {
        let parents = std::mem::take(&mut self.candidates);
        let mut lanes: Vec<Option<usize>> = vec![None; chosen.len()];
        let mut is_taken = vec![false; self.lanes.len()];
        for (lane, child) in lanes.iter_mut().zip(chosen) {
            if let Some(taken) = is_taken.get_mut(child.parent).filter(|taken| !**taken) {
                *taken = true;
                *lane = Some(child.parent);
            }
        }
        let mut free = (0..is_taken.len()).filter(|lane| is_taken.get(*lane) == Some(&false));
        let mut copies = Vec::new();
        let mut placed: Vec<(usize, Candidate)> = Vec::with_capacity(chosen.len());
        for (lane, child) in lanes.into_iter().zip(chosen) {
            let Some(parent) = parents.get(child.parent) else {
                continue;
            };
            let Some(place) = lane.or_else(|| free.next()) else {
                continue;
            };
            if let (true, Some(from), Some(to)) = (
                lane.is_none(),
                self.lanes.get(child.parent).copied(),
                self.lanes.get(place).copied(),
            ) {
                copies.push(LaneCopy {
                    from,
                    to,
                    tokens: self.prompt.tokens.len() + parent.tokens.len(),
                });
            }
            let mut candidate = parent.clone();
            candidate.push(child.token, child.logprob, ends.end_of_text);
            placed.push((place, candidate));
        }
        placed.sort_by_key(|(place, _)| *place);
        // Lanes without a candidate would shift the others: they get one that is over.
        self.candidates = (0..self.lanes.len())
            .map(|lane| {
                let found = placed.iter().find(|(place, _)| *place == lane);
                found.map_or_else(Candidate::over, |(_, candidate)| candidate.clone())
            })
            .collect();
        copies
    }
}

impl Candidate {
    /// A text that is none.
    fn over() -> Self {
        Self {
            logprob: f32::NEG_INFINITY,
            is_ended: true,
            ..Self::default()
        }
    }
}

/// The `count` tokens with the highest logits, highest first.
fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (token, logit) in (0_u32..).zip(logits) {
        if best.len() == count && best.last().is_none_or(|(_, least)| logit <= least) {
            continue;
        }
        if *logit == f32::NEG_INFINITY {
            continue;
        }
        let place = best.partition_point(|(_, better)| better >= logit);
        best.insert(place, (token, *logit));
        best.truncate(count);
    }
    best
}
