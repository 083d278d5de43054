//! The measure against the original's, and by hand.

use serde_json::Value;

use super::*;
use crate::diarization::golden::json;

fn turn(speaker: &str, start: f64, end: f64) -> SpeakerTurn {
    SpeakerTurn::new(speaker, start, end)
}

fn turns(listed: &Value) -> Vec<SpeakerTurn> {
    let number = |turn: &Value, at: usize| turn[at].as_f64().unwrap();
    let listed = listed.as_array().unwrap().iter();
    listed
        .map(|listed| turn(listed[2].as_str().unwrap(), number(listed, 0), number(listed, 1)))
        .collect()
}

#[test]
fn errors_are_those_of_the_original() {
    let mut compared = 0;
    for case in json("stages/der.json").as_array().unwrap() {
        let (reference, hypothesis) = (turns(&case["reference"]), turns(&case["hypothesis"]));
        let evaluated = case["uem"]
            .as_array()
            .map(|uem| (uem[0].as_f64().unwrap(), uem[1].as_f64().unwrap()));
        for result in case["results"].as_array().unwrap() {
            let options = DerOptions {
                collar_seconds: result["collar"].as_f64().unwrap(),
                skip_overlap: result["skip_overlap"].as_bool().unwrap(),
                evaluated: evaluated.into_iter().collect(),
                pairing: if result["greedy"] == true {
                    Pairing::Greedy
                } else {
                    Pairing::Optimal
                },
            };
            let found = diarization_error(&reference, &hypothesis, &options);
            for (name, found) in [
                ("total", found.total_seconds),
                ("correct", found.correct_seconds),
                ("confusion", found.confusion_seconds),
                ("missed detection", found.missed_seconds),
                ("false alarm", found.false_alarm_seconds),
                ("diarization error rate", found.rate()),
            ] {
                let expected = result[name].as_f64().unwrap();
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{} {result}: {name} is {found}",
                    case["name"]
                );
                compared += 1;
            }
        }
        let mapping = diarization_error(&reference, &hypothesis, &DerOptions::default()).mapping;
        let expected = case["mapping"].as_object().unwrap();
        let expected = expected
            .iter()
            .map(|(from, to)| (from.clone(), to.as_str().unwrap().to_owned()));
        assert_eq!(mapping, expected.collect(), "{}", case["name"]);
    }
    assert_eq!(compared, 8 * 12 * 6);
}

#[test]
fn a_perfect_answer_has_no_errors_whatever_its_names() {
    let reference = [turn("ann", 0.0, 2.0), turn("bob", 1.0, 3.0)];
    let hypothesis = [turn("x", 1.0, 3.0), turn("y", 0.0, 2.0)];
    let error = diarization_error(&reference, &hypothesis, &DerOptions::default());
    assert_eq!(
        (error.rate(), error.total_seconds, error.mapping["x"].as_str()),
        (0.0, 4.0, "bob")
    );
}

#[test]
fn each_kind_of_error_is_counted_by_hand() {
    let reference = [turn("ann", 0.0, 4.0), turn("bob", 4.0, 6.0)];
    // A second late, bob's first second to the wrong one, bob's last missed, and a second made up.
    let hypothesis = [turn("x", 1.0, 5.0), turn("y", 8.0, 9.0)];
    let error = diarization_error(&reference, &hypothesis, &DerOptions::default());
    assert_eq!(error.correct_seconds, 3.0);
    assert_eq!(error.confusion_seconds, 1.0);
    assert_eq!(error.missed_seconds, 2.0);
    assert_eq!(error.false_alarm_seconds, 1.0);
    assert_eq!(error.rate(), 4.0 / 6.0);
}

#[test]
fn without_speech_anything_found_is_an_error_of_one() {
    let nothing = diarization_error(&[], &[], &DerOptions::default());
    assert_eq!((nothing.rate(), nothing.total_seconds), (0.0, 0.0));
    assert_eq!(
        diarization_error(&[], &[turn("x", 0.0, 1.0)], &DerOptions::default()).rate(),
        1.0
    );
}
