//! The fuzz corpus: every input is replayed through its reader, and changed a little.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str, read: fn(&[u8])) {
    let inputs = corpus(target);
    assert!(!inputs.is_empty(), "the corpus of {target} is empty");
    for (path, input) in inputs {
        eprintln!("replaying {}", path.display());
        read(&input);
    }
}

/// An input of the corpus with a few bytes replaced, and perhaps cut short.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let inputs = corpus(target).into_iter().map(|(_, input)| input);
    let inputs: Vec<Vec<u8>> = inputs.filter(|input| !input.is_empty()).collect();
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let cut = prop::option::of(any::<prop::sample::Index>());
    (prop::sample::select(inputs), flips, cut).prop_map(|(mut input, flips, cut)| {
        for (at, byte) in flips {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        input
    })
}

#[test]
fn every_configuration_of_the_corpus_is_read_or_refused() {
    replay("configuration", configuration);
}

#[test]
fn every_form_of_the_corpus_is_read_or_refused() {
    replay("form", form);
}

#[test]
fn every_chat_of_the_corpus_is_read_or_refused() {
    replay("chat", chat);
}

#[test]
fn the_corpus_holds_an_input_of_each_kind_that_is_accepted() {
    let accepted = |target: &str, is_accepted: fn(&[u8]) -> bool| {
        assert!(corpus(target).iter().any(|(_, input)| is_accepted(input)), "{target}");
    };
    accepted("configuration", |text| {
        configured(str::from_utf8(text).unwrap_or("\0"), BTreeMap::new()).is_ok()
    });
    accepted("form", |body| {
        RUNTIME.with(|runtime| received(runtime, &body[1..], 7)).is_ok()
    });
    accepted("chat", |body| chats::completion(body).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_configuration_breaks_a_promise(text in mutated("configuration")) {
        configuration(&text);
    }

    #[test]
    fn no_change_to_a_form_breaks_a_promise(body in mutated("form")) {
        form(&body);
    }

    #[test]
    fn no_change_to_a_chat_breaks_a_promise(body in mutated("chat")) {
        chat(&body);
    }
}
