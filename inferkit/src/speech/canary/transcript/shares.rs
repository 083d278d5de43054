//! Which tokens of a text belong to which of its segments.

use super::Scored;

/// Most letters that are passed over in search of a segment. Windows that an aligner joins may be joined a word earlier or
/// later than their tokens are.
const MOST_SKIPPED_LETTERS: usize = 200;

/// The tokens of each segment: those that spell its text, spaces aside. None where they spell something else.
///
/// * `spelt`: tokens, and what each adds to the text
/// * `texts`: those of the segments, in their order
pub(super) fn shares(spelt: &[(Scored, Vec<u8>)], texts: &[&str]) -> Vec<Vec<Scored>> {
    let mut spelt_letters = Vec::new();
    let mut begins = Vec::with_capacity(spelt.len());
    for (_, bytes) in spelt {
        begins.push(spelt_letters.len());
        spelt_letters.extend(letters(bytes));
    }
    begins.push(spelt_letters.len());
    let mut told = 0;
    let share = |text: &&str| {
        let wanted: Vec<u8> = letters(text.as_bytes()).collect();
        let Some(place) = find(&spelt_letters, &begins, told, &wanted) else {
            return Vec::new();
        };
        told = place + wanted.len();
        let first = begins.partition_point(|begin| *begin < place);
        let behind = begins.partition_point(|begin| *begin < told);
        let own = spelt.get(first..behind).unwrap_or_default();
        own.iter().map(|(token, _)| *token).collect()
    };
    texts.iter().map(share).collect()
}

/// Where `wanted` stands in `letters`, near `from` and not before it.
///
/// * `bounds`: where tokens begin and end: a place within one is none
fn find(letters: &[u8], bounds: &[usize], from: usize, wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    let near = letters.get(from..)?;
    let near = near
        .get(..wanted.len().saturating_add(MOST_SKIPPED_LETTERS))
        .unwrap_or(near);
    let is_bound = |place: usize| bounds.binary_search(&place).is_ok();
    near.windows(wanted.len())
        .enumerate()
        .map(|(place, part)| (from + place, part))
        .find(|(place, part)| *part == wanted && is_bound(*place) && is_bound(place + wanted.len()))
        .map(|(place, _)| place)
}

/// What a text is compared by: all but spaces.
fn letters(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the tokens that each text gets.
    fn shared(tokens: &[&str], texts: &[&str]) -> Vec<Vec<u32>> {
        let scored = |(token, id): (&&str, u32)| (Scored { id, logprob: 0.0 }, token.as_bytes().to_vec());
        let spelt: Vec<_> = tokens.iter().zip(0..).map(scored).collect();
        let ids = |share: Vec<Scored>| share.iter().map(|token| token.id).collect();
        shares(&spelt, texts).into_iter().map(ids).collect()
    }

    #[test]
    fn a_segment_has_the_tokens_that_spell_it() {
        let tokens = [" Go", ".", " ", "Tu", "rn", " left", "."];
        let expected: [&[u32]; 2] = [&[0, 1], &[2, 3, 4, 5, 6]];
        assert_eq!(shared(&tokens, &["Go.", "Turn left."]), expected);
        assert_eq!(shared(&tokens, &["Go. Turn left."]), [[0, 1, 2, 3, 4, 5, 6]]);
    }

    #[test]
    fn parts_of_a_character_stay_together() {
        let spelt: Vec<_> = [&b"gr"[..], &[0xc3], &[0xbc], b"n."]
            .into_iter()
            .zip(0..)
            .map(|(bytes, id)| (Scored { id, logprob: 0.0 }, bytes.to_vec()))
            .collect();
        assert_eq!(shares(&spelt, &["grün."])[0].len(), 4);
    }

    #[test]
    fn what_no_segment_says_belongs_to_none() {
        let expected: [&[u32]; 2] = [&[0], &[2]];
        assert_eq!(shared(&[" one", " lost", " two"], &["one", "two"]), expected);
    }

    #[test]
    fn a_segment_that_is_spelt_otherwise_has_none_and_the_next_has_its_own() {
        let expected: [&[u32]; 3] = [&[0], &[], &[2]];
        assert_eq!(shared(&[" one", " tow", " three"], &["one", "two", "three"]), expected);
        // The letters of the next one stand in the one that is spelt otherwise, too.
        let expected: [&[u32]; 2] = [&[], &[2]];
        assert_eq!(shared(&[" won", " then", " on"], &["one?", "on"]), expected);
        let far = "x".repeat(MOST_SKIPPED_LETTERS + 1);
        assert_eq!(shared(&[&far, " one"], &["one"]), [[0_u32; 0]]);
    }

    #[test]
    fn nothing_is_shared_among_nobody_and_by_an_empty_text() {
        assert_eq!(shared(&[" one"], &[]), [[0_u32; 0]; 0]);
        assert_eq!(shared(&[], &["one"]), [[0_u32; 0]]);
        assert_eq!(shared(&[" one"], &["", " "]), [[0_u32; 0]; 2]);
    }
}
