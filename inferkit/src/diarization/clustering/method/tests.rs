//! Whole clusterings against the original's, up to the turns that they give.

use std::num::NonZeroUsize;

use serde_json::Value;

use super::*;
use crate::diarization::finish::Finish;
use crate::diarization::golden::FILES;
use crate::diarization::golden::Golden;
use crate::diarization::golden::PIPELINES;
use crate::diarization::golden::Pipeline;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::golden::embeddings;
use crate::diarization::golden::json;
use crate::diarization::golden::layout;
use crate::diarization::golden::recording;
use crate::diarization::golden::vbx;
use crate::diarization::golden::voices;
use crate::task::DiarizationResult;
use crate::task::SpeakerTurn;

/// The bounds that the fields `num…`, `min…` and `max…` of a case ask for.
fn bounds(case: &Value, kind: &str) -> Result<SpeakerBounds> {
    let number = |bound: &str| {
        let value = case[format!("{bound}_{kind}")].as_u64()?;
        NonZeroUsize::new(usize::try_from(value).unwrap())
    };
    let both = number("num");
    SpeakerBounds::new(both.or_else(|| number("min")), both.or_else(|| number("max")))
}

/// Fails unless the clusters of active local speakers are the expected ones.
fn assert_assigned(found: &Assignment, expected: &[i16], active: &Windows<bool>, what: &str) {
    let [_, _, speakers] = active.shape();
    for (at, (found, expected)) in found.values().iter().zip(expected).enumerate() {
        let (window, speaker) = (at / speakers, at % speakers);
        if active.rows(window).any(|row| row[speaker]) {
            assert_eq!(
                *found,
                usize::try_from(*expected).ok(),
                "{what}: window {window}, speaker {speaker}"
            );
        }
    }
}

/// Runs every case of a stage and compares clusters and centroids.
fn check_stage(stage: &str, method: impl Fn(&Value) -> Method) {
    let golden = Golden::open(&format!("stages/{stage}.safetensors"));
    let cases = json(&format!("stages/{stage}.json"));
    let pool = Pool::new(2);
    let work = Work {
        pool: &pool,
        check: &|| Ok(()),
    };
    for (name, cases) in cases.as_object().unwrap() {
        let (embeddings, active) = voices(&golden, name);
        let voices = Voices {
            embeddings: &embeddings,
            active: &active,
        };
        for (number, case) in cases["cases"].as_array().unwrap().iter().enumerate() {
            let what = format!("{stage} {name} {case}");
            let found = bounds(case, "clusters").and_then(|bounds| method(case).cluster(voices, bounds, work));
            if case["error"].is_string() {
                assert_eq!(found.unwrap_err().code(), "invalid_value", "{what}");
                continue;
            }
            let found = found.unwrap();
            let expected = golden.f32(&format!("{name}.{number}.centroids"));
            assert_close_f32(found.centroids.values(), &expected, 1e-5, &what);
            assert_assigned(
                &found.assignment,
                &golden.i16(&format!("{name}.{number}.hard")),
                &active,
                &what,
            );
        }
    }
}

#[test]
fn agglomerative_clusters_are_those_of_the_original() {
    check_stage("ahc", |case| Method::Agglomerative {
        threshold: case["threshold"].as_f64().unwrap(),
        min_cluster_size: usize::try_from(case["min_cluster_size"].as_u64().unwrap()).unwrap(),
    });
}

#[test]
fn vbx_clusters_are_those_of_the_original() {
    check_stage("vbx", |case| {
        let number = |name: &str| case[name].as_f64().unwrap();
        vbx(number("threshold"), number("Fa"), number("Fb"))
    });
}

/// Turns as the goldens list them.
fn turns(expected: &Value) -> Vec<SpeakerTurn> {
    let turn = |turn: &Value| {
        SpeakerTurn::new(
            turn[2].as_str().unwrap(),
            turn[0].as_f64().unwrap(),
            turn[1].as_f64().unwrap(),
        )
    };
    expected.as_array().unwrap().iter().map(turn).collect()
}

fn assert_turns(found: &[SpeakerTurn], expected: &Value, what: &str) {
    let expected = turns(expected);
    assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
    for (found, expected) in found.iter().zip(expected) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(
            found.speaker == expected.speaker
                && near(found.start_seconds, expected.start_seconds)
                && near(found.end_seconds, expected.end_seconds),
            "{what}: {found:?}, not {expected:?}"
        );
    }
}

/// Compares the turns with and without overlaps.
fn assert_both_turns(result: &DiarizationResult, option: &Value, what: &str) {
    assert_turns(&result.turns, &option["diarization"], what);
    assert_turns(
        &result.exclusive_turns,
        &option["exclusive"],
        &format!("{what}, exclusive"),
    );
}

/// Clusters a recording of a pipeline for every number of speakers, and makes the turns.
fn check_recording(pipeline: &Pipeline, file: &str, pool: &Pool) -> usize {
    let golden = Golden::open(&format!("pipelines/{}/{file}.safetensors", pipeline.name));
    let options = json(&format!("pipelines/{}/{file}.json", pipeline.name));
    let active = recording(&golden);
    let count: Vec<usize> = golden
        .u8("speaker_count")
        .iter()
        .map(|count| usize::from(*count))
        .collect();
    if count.iter().all(|count| *count == 0) {
        return 0;
    }
    let embeddings = embeddings(&golden);
    let raw = golden.has("scores") && !pipeline.powerset;
    let scores = if raw {
        Windows::new(active.shape(), golden.f32("scores")).unwrap()
    } else {
        active.map(|active| f32::from(u8::from(active)))
    };
    let voices = Voices {
        embeddings: &embeddings,
        active: &active,
    };
    let work = Work {
        pool,
        check: &|| Ok(()),
    };
    for (name, option) in options["options"].as_object().unwrap() {
        let what = format!("{} {file} {name}", pipeline.name);
        let bounds = bounds(&option["args"], "speakers");
        let greatest = bounds.as_ref().ok().and_then(SpeakerBounds::greatest);
        let found = bounds.and_then(|bounds| pipeline.method().cluster(voices, bounds, work));
        if option["error"].is_string() {
            assert_eq!(found.unwrap_err().code(), "invalid_value", "{what}");
            continue;
        }
        let found = found.unwrap();
        assert_assigned(
            &found.assignment,
            &golden.i16(&format!("{name}.hard_clusters")),
            &active,
            &what,
        );
        let finish = Finish {
            scores: &scores,
            active: &active,
            count: &count,
            layout: layout(pipeline),
            max_speakers: greatest,
            min_duration_off: pipeline.min_duration_off,
        };
        if !raw && !pipeline.powerset {
            // Turns need the raw scores, which are not stored for this recording.
            continue;
        }
        let result = finish.result(&found);
        assert_both_turns(&result, option, &what);
        let expected = golden.f32(&format!("{name}.speaker_embeddings"));
        assert_close_f32(&result.embeddings.concat(), &expected, 2e-4, &what);
    }
    1
}

/// Checks all recordings of a pipeline; returns how many have speech in them.
fn check_pipeline(pipeline: &Pipeline) -> usize {
    let pool = Pool::new(2);
    FILES.iter().map(|file| check_recording(pipeline, file, &pool)).sum()
}

#[test]
fn recordings_become_the_turns_of_pipeline_3_1() {
    assert_eq!(check_pipeline(&PIPELINES[0]), 8);
}

#[test]
fn recordings_become_the_turns_of_community_1() {
    assert_eq!(check_pipeline(&PIPELINES[1]), 8);
}

#[test]
fn recordings_become_the_turns_of_a_pipeline_without_powerset() {
    // Its model alone hears nothing in the silence.
    assert_eq!(check_pipeline(&PIPELINES[2]), 7);
}

#[test]
fn kmeans_must_be_told_a_number_of_speakers() {
    let embeddings = Windows::new([1, 1, 1], vec![1.0]).unwrap();
    let active = Windows::new([1, 1, 1], vec![true]).unwrap();
    let voices = Voices {
        embeddings: &embeddings,
        active: &active,
    };
    let work = Work {
        pool: &Pool::new(1),
        check: &|| Ok(()),
    };
    let error = Method::KMeans
        .cluster(voices, SpeakerBounds::new(None, None).unwrap(), work)
        .unwrap_err();
    assert_eq!(error.param(), Some("num_speakers"));
    let two = SpeakerBounds::new(NonZeroUsize::new(2), NonZeroUsize::new(2)).unwrap();
    let found = Method::KMeans.cluster(voices, two, work).unwrap();
    assert_eq!(
        (found.assignment.values(), found.centroids.values()),
        ([Some(0)].as_slice(), [1.0].as_slice())
    );
}

#[test]
fn kmeans_parts_two_clear_voices() {
    let embeddings = Windows::new([2, 2, 2], vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.1, 0.1, 1.0]).unwrap();
    let active = Windows::new([2, 2, 2], [[true, false], [false, true]].concat().repeat(2)).unwrap();
    let voices = Voices {
        embeddings: &embeddings,
        active: &active,
    };
    let work = Work {
        pool: &Pool::new(1),
        check: &|| Ok(()),
    };
    let two = SpeakerBounds::new(NonZeroUsize::new(2), NonZeroUsize::new(2)).unwrap();
    let found = Method::KMeans.cluster(voices, two, work).unwrap().assignment;
    assert_eq!(found.row(0), found.row(1));
    assert_ne!(found.row(0)[0], found.row(0)[1]);
}
