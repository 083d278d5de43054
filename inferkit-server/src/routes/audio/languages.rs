//! English names of languages, as `verbose_json` tells them.

/// ISO 639-1 code and English name of each language that a speech model here may know, by code.
#[rustfmt::skip]
const NAMES: &[(&str, &str)] = &[
    ("af", "afrikaans"), ("am", "amharic"), ("ar", "arabic"), ("as", "assamese"), ("az", "azerbaijani"),
    ("ba", "bashkir"), ("be", "belarusian"), ("bg", "bulgarian"), ("bn", "bengali"), ("bo", "tibetan"),
    ("br", "breton"), ("bs", "bosnian"), ("ca", "catalan"), ("cs", "czech"), ("cy", "welsh"), ("da", "danish"),
    ("de", "german"), ("el", "greek"), ("en", "english"), ("es", "spanish"), ("et", "estonian"), ("eu", "basque"),
    ("fa", "persian"), ("fi", "finnish"), ("fo", "faroese"), ("fr", "french"), ("ga", "irish"), ("gl", "galician"),
    ("gu", "gujarati"), ("ha", "hausa"), ("haw", "hawaiian"), ("he", "hebrew"), ("hi", "hindi"), ("hr", "croatian"),
    ("ht", "haitian creole"), ("hu", "hungarian"), ("hy", "armenian"), ("id", "indonesian"), ("is", "icelandic"),
    ("it", "italian"), ("ja", "japanese"), ("jw", "javanese"), ("ka", "georgian"), ("kk", "kazakh"), ("km", "khmer"),
    ("kn", "kannada"), ("ko", "korean"), ("la", "latin"), ("lb", "luxembourgish"), ("ln", "lingala"), ("lo", "lao"),
    ("lt", "lithuanian"), ("lv", "latvian"), ("mg", "malagasy"), ("mi", "maori"), ("mk", "macedonian"),
    ("ml", "malayalam"), ("mn", "mongolian"), ("mr", "marathi"), ("ms", "malay"), ("mt", "maltese"),
    ("my", "myanmar"), ("ne", "nepali"), ("nl", "dutch"), ("nn", "nynorsk"), ("no", "norwegian"), ("oc", "occitan"),
    ("pa", "punjabi"), ("pl", "polish"), ("ps", "pashto"), ("pt", "portuguese"), ("ro", "romanian"),
    ("ru", "russian"), ("sa", "sanskrit"), ("sd", "sindhi"), ("si", "sinhala"), ("sk", "slovak"),
    ("sl", "slovenian"), ("sn", "shona"), ("so", "somali"), ("sq", "albanian"), ("sr", "serbian"),
    ("su", "sundanese"), ("sv", "swedish"), ("sw", "swahili"), ("ta", "tamil"), ("te", "telugu"), ("tg", "tajik"),
    ("th", "thai"), ("tk", "turkmen"), ("tl", "tagalog"), ("tr", "turkish"), ("tt", "tatar"), ("uk", "ukrainian"),
    ("ur", "urdu"), ("uz", "uzbek"), ("vi", "vietnamese"), ("yi", "yiddish"), ("yo", "yoruba"), ("yue", "cantonese"),
    ("zh", "chinese"),
];

/// The English name of a language; a code that is not known stands for itself.
pub(crate) fn language_name(code: &str) -> &str {
    let found = NAMES.binary_search_by_key(&code, |(code, _)| code);
    found
        .ok()
        .and_then(|index| NAMES.get(index))
        .map_or(code, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_an_unknown_one_stands_for_itself() {
        for (code, name) in NAMES {
            assert_eq!(language_name(code), *name);
        }
        assert_eq!(language_name("xx"), "xx");
    }
}
