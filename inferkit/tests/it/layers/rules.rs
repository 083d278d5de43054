//! The rules, each as a function from text to what breaks it; tried on text that does.

use std::path::Path;

use super::code::Source;

/// The library's modules by floor, from the ground up; `lib.rs` stands above them all.
const FLOORS: &[&[&str]] = &[
    &["error", "job", "panics", "storage"],
    &["hub", "formats", "audio", "nn", "monitor"],
    &["wrapper", "task"],
    &["registry", "doctor"],
    &["chat", "speech", "diarization"],
    &["catalog", "meeting"],
    &["fuzzing"],
];

/// The ways between rooms of one floor that the drawing shows: from, to.
const DOORS: &[(&str, &str)] = &[
    ("job", "error"),
    ("panics", "error"),
    ("storage", "error"),
    ("nn", "formats"),
    ("wrapper", "task"),
];

/// Crates that belong to the server.
const FOREIGN: &[&str] = &["poem", "poem-openapi", "clap", "hyper", "axum"];

/// Longest file, in lines.
const LONGEST: usize = 500;

/// What ends a program on purpose. The insides of strings are blank, hence the form of `expect`.
pub(crate) const PANICS: &[&str] = &[
    ".unwrap()",
    ".expect(\"",
    "panic!(",
    "todo!(",
    "unimplemented!(",
    "unreachable!(",
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&module))
}

/// Why the module `from` may not use `to`, if it may not.
fn objection(from: &str, to: &str) -> Option<&'static str> {
    match (floor(from), floor(to)) {
        _ if from == to || DOORS.contains(&(from, to)) => None,
        (None, _) => Some("the first is on no floor: give it one"),
        (_, None) => Some("the second is on no floor: name the module, not what lib.rs shows"),
        (Some(from), Some(to)) if from < to => Some("the second is above"),
        (Some(from), Some(to)) if from == to => Some("the second is beside it"),
        (Some(_), Some(_)) => None,
    }
}

/// The uses of other modules that the floors do not allow.
pub(crate) fn imports(source: &Source) -> Vec<String> {
    let module = source.module();
    let Some(from) = module.first() else { return Vec::new() };
    let above = "super::".repeat(module.len());
    let roots = ["crate::", above.as_str()];
    let uses = roots
        .iter()
        .flat_map(|root| occurrences(&source.code, root).map(|at| (at, at + root.len())));
    uses.filter_map(|(at, end)| {
        let to: String = source.code[end..]
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect();
        // Short of the root, `super::` stays inside the module.
        let objection = if to == "super" { None } else { objection(from, &to) };
        objection.map(|why| format!("{}:{}: {from} uses {to}: {why}", source.path.display(), source.line(at)))
    })
    .collect()
}

/// The places where one of `words` stands in the code.
pub(crate) fn words(source: &Source, words: &[&str]) -> Vec<String> {
    let found = words.iter().flat_map(|word| {
        occurrences(&source.code, word).map(move |at| format!("{}:{}: {word}", source.path.display(), source.line(at)))
    });
    found.collect()
}

/// Where `word` stands in `code`, not as the part of a longer one.
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let goes_on = |letter: Option<char>, end: Option<char>| letter.is_some_and(is_part) && end.is_some_and(is_part);
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let continues_a_path = word.ends_with("::") && code[..*at].ends_with("::");
        !goes_on(before, word.chars().next()) && !goes_on(word.chars().next_back(), after) && !continues_a_path
    })
}

/// The dependencies that belong to the server, in a manifest's text.
pub(crate) fn foreign_dependencies(manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            in_dependencies = section.ends_with("dependencies");
            let alone = section.rsplit_once("dependencies.").map(|(_, name)| name);
            found.extend(alone.filter(|name| FOREIGN.contains(name)).map(str::to_owned));
        } else if in_dependencies {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.extend(FOREIGN.contains(&name).then(|| line.to_owned()));
        }
    }
    found
}

/// Says so if the file is too long.
pub(crate) fn too_long(path: &Path, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST).then(|| format!("{}: {lines} lines", path.display()))
}

mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<String> {
        imports(&Source::new(Path::new(path), text))
    }

    #[test]
    fn what_the_floors_allow_is_allowed() {
        for (path, text) in [
            (
                "registry/slot.rs",
                "use crate::error::Error;\nuse crate::wrapper::Job;\nuse crate::registry::Event;",
            ),
            ("wrapper/loaded.rs", "use crate::task::ChatModel;"),
            (
                "chat/text/template.rs",
                "use super::super::engine::Queue;\nuse super::tokens;",
            ),
            ("catalog.rs", "let wrapper = crate::chat::QwenModel::new();"),
            (
                "hub/mod.rs",
                "//! See [`crate::chat`].\nconst NAME: &str = \"crate::chat\";",
            ),
            ("hub/mod.rs", "#[cfg(test)]\nmod tests { use crate::chat::Engine; }"),
            ("lib.rs", "pub use chat::QwenModel; use crate::chat::QwenModel;"),
            ("hub/mod.rs", "use hf::crate::chat; pub(crate) use other_crate::chat;"),
        ] {
            assert_eq!(broken(path, text), [""; 0], "{path}: {text}");
        }
    }

    #[test]
    fn what_the_floors_forbid_is_found_with_its_place() {
        for (path, text, why) in [
            (
                "registry/slot.rs",
                "use crate::chat::QwenModel;",
                "registry uses chat: the second is above",
            ),
            (
                "hub/download.rs",
                "let job = crate::wrapper::Job::new();",
                "hub uses wrapper: the second is above",
            ),
            (
                "chat/mod.rs",
                "use crate::speech::Canary;",
                "chat uses speech: the second is beside it",
            ),
            (
                "formats/gguf.rs",
                "use crate::nn::Dtype;",
                "formats uses nn: the second is beside it",
            ),
            (
                "registry/mod.rs",
                "use super::chat::QwenModel;",
                "registry uses chat: the second is above",
            ),
            (
                "nn/a/b.rs",
                "use super::super::super::task::Task;",
                "nn uses task: the second is above",
            ),
            (
                "hub/mod.rs",
                "use crate::Error;",
                "hub uses Error: the second is on no floor",
            ),
            (
                "hub/mod.rs",
                "use crate::{chat::A, nn::B};",
                "hub uses : the second is on no floor",
            ),
            (
                "attic/mod.rs",
                "use crate::error::Error;",
                "attic uses error: the first is on no floor",
            ),
        ] {
            let found = broken(path, &format!("\n{text}"));
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("{path}:2: {why}")),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn forbidden_words_are_found_in_code_only() {
        let text =
            "// unsafe\nfn f() { unsafe { g() } }\n#[deny(unsafe_code)]\nx.unwrap(); y.expect(\"z\"); \"panic!()\"";
        let source = Source::new(Path::new("a.rs"), text);
        assert_eq!(words(&source, &["unsafe"]), ["a.rs:2: unsafe"]);
        assert_eq!(words(&source, PANICS), ["a.rs:4: .unwrap()", "a.rs:4: .expect(\""]);
        let harmless = Source::new(Path::new("a.rs"), "x.unwrap_or(1); parser.expect(b'{'); y.expect_err()");
        assert_eq!(words(&harmless, PANICS), [""; 0]);
    }

    #[test]
    fn a_servers_crate_is_found_in_any_section() {
        for manifest in [
            "[dependencies]\npoem.workspace = true",
            "[dev-dependencies]\nclap = \"4\"",
            "[target.'cfg(unix)'.dependencies]\nhyper = { version = \"1\" }",
            "[dependencies.poem-openapi]\nversion = \"5\"",
        ] {
            assert_eq!(foreign_dependencies(manifest).len(), 1, "{manifest}");
        }
        assert_eq!(
            foreign_dependencies("[package]\nname = \"poem\"\n[dependencies]\npoems = \"1\""),
            [""; 0]
        );
    }

    #[test]
    fn a_file_may_have_five_hundred_lines_and_no_more() {
        assert_eq!(too_long(Path::new("a.rs"), &"x\n".repeat(500)), None);
        assert_eq!(
            too_long(Path::new("a.rs"), &"x\n".repeat(501)).as_deref(),
            Some("a.rs: 501 lines")
        );
    }
}
