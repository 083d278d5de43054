//! Which languages a model understands.

use super::text::CanaryTokenizer;

/// Languages that models with one tokenizer for all were trained in. Their vocabulary names many more.
///
/// Source: model card of nvidia/canary-1b-v2.
const PUBLISHED: [&str; 25] = [
    "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "lv", "mt", "nl", "pl", "pt",
    "ro", "ru", "sk", "sl", "sv", "uk",
];

/// ISO 639-1 codes, sorted: those with a tokenizer of their own, or those that the one tokenizer was published for.
pub(super) fn languages(tokenizer: &CanaryTokenizer) -> Vec<String> {
    let mut languages = tokenizer.languages();
    if tokenizer.single().is_some() {
        languages.retain(|language| PUBLISHED.contains(&language.as_str()));
    }
    languages
}
