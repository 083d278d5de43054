//! The text of a segment, cut between two of its words.

use crate::task::Word;

/// The text of each part of a segment; part `i` begins with word `starts[i]`, and the first with word 0.
///
/// Words are looked for in the text, so that punctuation and spacing stay as they are, in languages without spaces too.
/// Where the text holds other words than the list, the parts are made of the words.
pub(super) fn split(text: &str, words: &[Word], starts: &[usize]) -> Vec<String> {
    let Some(places) = places(text, words) else {
        return starts
            .iter()
            .enumerate()
            .map(|(part, first)| join(of_part(words, starts, part, *first)))
            .collect();
    };
    let cut = |part: usize| match starts.get(part) {
        Some(_) if part == 0 => 0,
        Some(word) => places.get(*word).copied().unwrap_or(text.len()),
        None => text.len(),
    };
    (0..starts.len())
        .map(|part| text.get(cut(part)..cut(part + 1)).unwrap_or_default().trim().to_owned())
        .collect()
}

fn of_part<'a>(words: &'a [Word], starts: &[usize], part: usize, first: usize) -> &'a [Word] {
    let end = starts.get(part + 1).copied().unwrap_or(words.len());
    words.get(first..end).unwrap_or_default()
}

/// Where each word begins in the text, if all are there in their order.
fn places(text: &str, words: &[Word]) -> Option<Vec<usize>> {
    let mut from = 0;
    let places = words.iter().map(|word| {
        let word = word.text.trim();
        let place = from + text.get(from..)?.find(word)?;
        from = place + word.len();
        Some(place)
    });
    places.collect()
}

/// The words as a text. Some models give the space before a word with it, others none at all.
fn join(words: &[Word]) -> String {
    let with_spaces = words.iter().any(|word| word.text.starts_with(char::is_whitespace));
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    texts.join(if with_spaces { "" } else { " " }).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<Word> {
        texts.iter().map(|text| Word::new(*text, 0.0, 0.0)).collect()
    }

    #[test]
    fn punctuation_and_spacing_stay_as_they_are() {
        let words = words(&[" Well", " no", " Yes"]);
        assert_eq!(split(" Well — no.  Yes!", &words, &[0, 2]), ["Well — no.", "Yes!"]);
    }

    #[test]
    fn a_language_without_spaces_is_cut_between_its_words() {
        let words = words(&["你好", "吗", "很好"]);
        assert_eq!(split("你好吗？很好。", &words, &[0, 2]), ["你好吗？", "很好。"]);
    }

    #[test]
    fn words_that_are_not_in_the_text_make_it_themselves() {
        assert_eq!(
            split("42 is it", &words(&["forty", "two", "is"]), &[0, 2]),
            ["forty two", "is"]
        );
        assert_eq!(split("?", &words(&[" a", "b", " c"]), &[0, 2]), ["ab", "c"]);
    }

    #[test]
    fn a_part_that_is_alone_is_the_whole_text() {
        assert_eq!(split(" All of it. ", &words(&["All"]), &[0]), ["All of it."]);
    }
}
