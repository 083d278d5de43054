//! How probable a transcript says its tokens are, against the original's figures.

use super::*;

/// Rounding of one token's log-probability, which goldens tell to six places.
const LOGPROB: f64 = 1e-4;
/// That of all of a text's, as in the goldens of the search.
const SUM: f64 = 2e-3;

/// The request that a golden case stands for.
fn request_of(case: &Value) -> TranscriptionRequest {
    let (clip, slots) = (case["audio"].as_str().unwrap(), &case["slots"]);
    let language = |slot: &str| slots[slot].as_str().unwrap();
    let times = if slots["timestamp"] == "yes" {
        TimeDetail::Word
    } else {
        TimeDetail::None
    };
    TranscriptionRequest {
        punctuation: slots["pnc"].as_str().map(|switch| switch == "yes"),
        inverse_text_normalisation: slots["itn"].as_str().map(|switch| switch == "yes"),
        ..request(&self::clip(clip), language("source_lang"), language("target_lang")).with_times(times)
    }
}

/// Golden tokens of a case and their log-probabilities, without the times among them, and the sum of all.
fn expected_of(case: &Value, logprobs: &Value) -> (Vec<(u64, f64)>, f64) {
    let ids = case["beam"]["1"]["ids"].as_array().unwrap();
    let logprobs: Vec<f64> = logprobs
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    assert_eq!(logprobs.len(), ids.len() + 1, "the end has one as well");
    let ids = ids.iter().map(|id| id.as_u64().unwrap());
    // The marks of times begin with <|0|>.
    let is_text = |(id, _): &(u64, f64)| case["slots"]["timestamp"] != "yes" || !TIMES.contains(id);
    (
        ids.zip(logprobs.iter().copied()).filter(is_text).collect(),
        logprobs.iter().sum(),
    )
}

/// The ids of `<|0|>` to `<|899|>` in the golden models that write times.
const TIMES: std::ops::Range<u64> = 205..1105;

/// Whether a request can ask for it. One case tells the first model to transcribe into another language, by its task; a
/// request for another language is a translation.
fn can_be_asked(name: &str, case: &Value) -> bool {
    let slots = &case["slots"];
    name != "canary-1b" || slots["source_lang"] == slots["target_lang"] || slots["task"] == "ast"
}

async fn check(name: &str) {
    let model = load(&golden(&format!("{name}.nemo"))).await;
    let cases = golden_json(&format!("{name}.decode.json"));
    let logprobs = golden_json("token-logprobs.json");
    let (cases, logprobs) = (cases["cases"].as_array().unwrap(), logprobs[name].as_array().unwrap());
    assert_eq!(cases.len(), logprobs.len());
    let cases = cases.iter().zip(logprobs);
    for (case, logprobs) in cases.filter(|(case, _)| can_be_asked(name, case)) {
        let what = format!("{name}: {} with {}", case["audio"], case["slots"]);
        let (expected, sum) = expected_of(case, logprobs);
        let segments = segments(&model, request_of(case)).await;
        let decodings: Vec<_> = segments
            .iter()
            .map(|segment| segment.decoding.as_ref().unwrap())
            .collect();
        let ids = decodings
            .iter()
            .flat_map(|decoding| decoding.tokens.iter().copied().map(u64::from));
        let told = decodings.iter().flat_map(|decoding| &decoding.token_logprobs);
        let told: Vec<f64> = told.map(|token| f64::from(token.token.logprob)).collect();
        assert!(ids.eq(expected.iter().map(|(id, _)| *id)), "{what}");
        assert_eq!(told.len(), expected.len(), "{what}");
        for (told, (_, expected)) in told.iter().zip(&expected) {
            assert!((told - expected).abs() < LOGPROB, "{what}: {told}, not {expected}");
        }
        let tokens = logprobs.as_array().unwrap().len() as f64;
        let average = f64::from(decodings[0].average_logprob);
        assert!(
            (average * tokens - sum).abs() < SUM,
            "{what}: {average} of {sum} by {tokens}"
        );
    }
}

#[tokio::test]
async fn tokens_are_as_probable_as_the_original_says_in_canary_1b() {
    check("canary-1b").await;
}

#[tokio::test]
async fn tokens_are_as_probable_as_the_original_says_in_canary_1b_flash() {
    check("canary-1b-flash").await;
}

#[tokio::test]
async fn tokens_are_as_probable_as_the_original_says_in_canary_180m_flash() {
    check("canary-180m-flash").await;
}

#[tokio::test]
async fn tokens_are_as_probable_as_the_original_says_in_canary_1b_v2() {
    check("canary-1b-v2").await;
}

#[tokio::test]
async fn segments_with_times_have_the_tokens_that_spell_them() {
    for name in ["canary-1b-flash", "canary-180m-flash", "canary-1b-v2"] {
        let model = load(&golden(&format!("{name}.nemo"))).await;
        for (clip, language) in [("d_de", "de"), ("long", "en")] {
            let request = request(&self::clip(clip), language, language).with_times(TimeDetail::Word);
            let segments = segments(&model, request).await;
            assert!(segments.len() > 1, "{name}: {clip}");
            for segment in &segments {
                let decoding = segment.decoding.as_ref().unwrap();
                let spelt = decoding
                    .token_logprobs
                    .iter()
                    .flat_map(|token| token.token.bytes.clone());
                let spelt = String::from_utf8(spelt.collect()).unwrap();
                assert!(
                    spelt.split_whitespace().eq(segment.text.split_whitespace()),
                    "{name}: {clip}: {spelt:?}, not {:?}",
                    segment.text
                );
                assert_eq!(decoding.tokens.len(), decoding.token_logprobs.len(), "{name}: {clip}");
            }
        }
    }
}
