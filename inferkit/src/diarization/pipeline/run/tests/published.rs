//! The demo's pipeline: published segmentation and CAM++, which `scripts/fetch_demo_models.py` fetches.

use super::*;
use crate::diarization::clustering::Method;
use crate::diarization::metric::DerOptions;
use crate::diarization::metric::diarization_error;
use crate::task::read_rttm;
use crate::testing::skip;

/// The demo's folder, if it was fetched.
fn demo() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/demo/pyannote"));
    if folder.join(CONFIG).is_file() && folder.join("sample.wav").is_file() {
        return Some(folder);
    }
    skip("the demo's pyannote is not here: scripts/fetch_demo_models.py pyannote");
    None
}

fn sample(folder: &Path) -> Vec<f32> {
    let file = std::fs::File::open(folder.join("sample.wav")).unwrap();
    decode(file, &DecodeOptions::default(), &Job::new())
        .unwrap()
        .samples
        .to_vec()
}

/// Every threshold and option of one recording.
fn check_options(pipeline: &mut Pipeline, file: &str, samples: &[f32]) {
    let golden = Golden::open(&format!("real/{file}.safetensors"));
    let options = json(&format!("real/{file}.json"));
    let plan = pipeline.plan(samples).unwrap();
    let heard = pipeline.listen(samples, plan, &Patient::default()).unwrap();
    check_heard(&golden, &heard, &options, file);
    for (option, case) in options["options"].as_object().unwrap() {
        pipeline.method = Method::Agglomerative {
            threshold: case["threshold"].as_f64().unwrap(),
            min_cluster_size: 12,
        };
        let what = format!("{file} {option}");
        let bounds = bounds(&case["args"]).unwrap();
        let result = pipeline.conclude(&heard, plan, bounds, &Patient::default()).unwrap();
        check_turns(&result.turns, &case["diarization"], &what);
        check_turns(&result.exclusive_turns, &case["exclusive"], &what);
    }
}

// Takes some seconds without optimisation: networks of full size on half a minute.
#[test]
fn the_published_networks_give_the_turns_and_the_error_rate_of_the_original() {
    let Some(folder) = demo() else { return };
    let (mut pipeline, samples) = (pipeline_in(&folder), sample(&folder));
    let result = pipeline
        .run(&samples, bounds(&Value::Null).unwrap(), &Patient::default())
        .unwrap();
    let reference = read_rttm(&std::fs::read_to_string(folder.join("sample.rttm")).unwrap()).unwrap();
    let reference: Vec<SpeakerTurn> = reference.into_iter().map(|line| line.turn).collect();
    let options = DerOptions {
        evaluated: vec![(0.0, 30.0)],
        ..DerOptions::default()
    };
    let error = diarization_error(&reference, &result.turns, &options);
    let wrong = error.missed_seconds + error.false_alarm_seconds + error.confusion_seconds;
    assert!((wrong / error.total_seconds - 0.0521).abs() < 5e-5, "{error:?}");
    check_options(&mut pipeline, "sample", &samples);
}

#[test]
fn the_published_networks_agree_on_a_synthetic_conversation_too() {
    let Some(folder) = demo() else { return };
    check_options(&mut pipeline_in(&folder), "conv2", &sound("conv2"));
}

// 1e-4 of the largest value: sums of another order.
#[test]
fn the_published_scores_are_those_of_the_original() {
    let Some(folder) = demo() else { return };
    let (pipeline, samples) = (pipeline_in(&folder), sample(&folder));
    let golden = Golden::open("real/segmentation-3.0.front.safetensors");
    let part = &samples[8 * 16_000..17 * 8_000];
    let scores = pipeline.segmenter.scores(SoundWindows {
        samples: part,
        starts: &[0],
        window: part.len(),
    });
    assert_close_f32(scores.values(), &golden.f32("output"), 1e-4, "half a second");
    let starts: Vec<usize> = (0..21).map(|window| 16_000 * window).collect();
    let scores = pipeline.segmenter.scores(SoundWindows {
        samples: &samples,
        starts: &starts,
        window: 160_000,
    });
    assert_close_f32(
        scores.values(),
        &Golden::open("real/sample.safetensors").f32("scores"),
        1e-4,
        "scores",
    );
}

// 2e-4 of the largest value: some hundred layers, each with sums of another order.
#[test]
fn the_published_voices_are_those_of_the_original() {
    let Some(folder) = demo() else { return };
    let (pipeline, samples) = (pipeline_in(&folder), sample(&folder));
    let window = MaskedWindow {
        features: pipeline
            .embedder
            .fbank()
            .compute(&samples[8 * 16_000..11 * 16_000])
            .unwrap(),
        masks: vec![vec![1.0; 298]],
    };
    let vectors = pipeline
        .embedder
        .embed(vec![window], &mut EmbedderBuffers::default())
        .unwrap();
    let golden = Golden::open("real/campplus.safetensors");
    assert_close_f32(&vectors.concat().concat(), &golden.f32("embedding"), 2e-4, "vector");
}
