mod published;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::audio::DecodeOptions;
use crate::audio::ResamplingFilter;
use crate::audio::decode;
use crate::diarization::golden::Golden;
use crate::diarization::golden::assert_close_f32;
use crate::diarization::golden::json;
use crate::diarization::golden::path;
use crate::diarization::pipeline::CONFIG;
use crate::diarization::pipeline::Need;
use crate::diarization::pipeline::Origin;
use crate::diarization::pipeline::PartFiles;
use crate::diarization::pipeline::PipelineConfig;
use crate::diarization::pipeline::needs;
use crate::job::Job;
use crate::nn::Device;
use crate::task::SpeakerTurn;

/// Wants the result, and remembers what it was told.
#[derive(Default)]
struct Patient {
    told: RefCell<Vec<(f64, f64)>>,
}

impl Listener for Patient {
    fn progress(&self, done_seconds: f64, total_seconds: f64) {
        self.told.borrow_mut().push((done_seconds, total_seconds));
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Loses interest after so many checks.
struct Leaving(RefCell<usize>);

impl Listener for Leaving {
    fn progress(&self, _: f64, _: f64) {}

    fn check(&self) -> Result<()> {
        let left = *self.0.borrow();
        *self.0.borrow_mut() = left.checked_sub(1).ok_or_else(Error::cancelled)?;
        Ok(())
    }
}

fn pipeline(repository: &str) -> Pipeline {
    pipeline_in(&path("models").join(repository))
}

fn pipeline_in(folder: &Path) -> Pipeline {
    let config = PipelineConfig::read(&std::fs::read(folder.join(CONFIG)).unwrap()).unwrap();
    let needs = needs(&config, &Origin::Folder(folder.to_owned())).unwrap();
    let files = needs.into_iter().map(|need| match need {
        Need::Here(file) => file,
        Need::Repository { .. } => panic!("{need:?} is not among the goldens"),
    });
    let files = PartFiles::of(files.collect()).unwrap();
    Pipeline::load(&config, &files, &Device::under_test()).unwrap()
}

fn sound(name: &str) -> Vec<f32> {
    let file = std::fs::File::open(path(&format!("audio/{name}.flac"))).unwrap();
    let options = DecodeOptions::default().with_filter(ResamplingFilter::Sinc);
    decode(file, &options, &Job::new()).unwrap().samples.to_vec()
}

fn bounds(arguments: &Value) -> Result<SpeakerBounds> {
    let number = |name: &str| {
        let number = arguments[name].as_u64().or(arguments["num_speakers"].as_u64());
        NonZeroUsize::new(usize::try_from(number.unwrap_or(0)).unwrap())
    };
    SpeakerBounds::new(number("min_speakers"), number("max_speakers"))
}

fn check_turns(found: &[SpeakerTurn], expected: &Value, what: &str) {
    let expected: Vec<(f64, f64, &str)> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| {
            (
                turn[0].as_f64().unwrap(),
                turn[1].as_f64().unwrap(),
                turn[2].as_str().unwrap(),
            )
        })
        .collect();
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(turn, (start, end, speaker))| {
            turn.speaker == *speaker
                && (turn.start_seconds - start).abs() < 1e-6
                && (turn.end_seconds - end).abs() < 1e-6
        });
    assert!(same, "{what}: {found:?}, not {expected:?}");
}

/// Every option of one recording: labels equal, times to a microsecond; vectors 2e-4 of the largest value, since networks
/// sum in another order.
fn check_file(pipeline: &Pipeline, name: &str, file: &str) {
    let golden = Golden::open(&format!("pipelines/{name}/{file}.safetensors"));
    let options = json(&format!("pipelines/{name}/{file}.json"));
    let samples = sound(file);
    let plan = pipeline.plan(&samples).unwrap();
    let heard = pipeline.listen(&samples, plan, &Patient::default()).unwrap();
    check_heard(&golden, &heard, &options, &format!("{name} {file}"));
    for (option, case) in options["options"].as_object().unwrap() {
        let what = format!("{name} {file} {option}");
        let result =
            bounds(&case["args"]).and_then(|bounds| pipeline.conclude(&heard, plan, bounds, &Patient::default()));
        if case["error"].is_string() {
            assert_eq!(result.unwrap_err().code(), "invalid_value", "{what}");
            continue;
        }
        let result = result.unwrap();
        check_turns(&result.turns, &case["diarization"], &what);
        check_turns(&result.exclusive_turns, &case["exclusive"], &what);
        if option == "auto" {
            check_rttm(&result, name, file);
        }
        let voices = format!("{option}.speaker_embeddings");
        if golden.has(&voices) {
            let tolerance = if file == "stereo22k" { 5e-2 } else { 2e-4 };
            assert_close_f32(&result.embeddings.concat(), &golden.f32(&voices), tolerance, &what);
        }
    }
}

fn check_rttm(result: &DiarizationResult, name: &str, file: &str) {
    let read = |ending: &str| std::fs::read_to_string(path(&format!("pipelines/{name}/{file}.{ending}"))).unwrap();
    assert_eq!(result.to_rttm(file).unwrap(), read("rttm"));
    let exclusive = DiarizationResult {
        turns: result.exclusive_turns.clone(),
        ..DiarizationResult::default()
    };
    assert_eq!(exclusive.to_rttm(file).unwrap(), read("exclusive.rttm"));
}

fn check_heard(golden: &Golden, heard: &Heard, options: &Value, what: &str) {
    let [_, frames, speakers] = heard.active.shape();
    let uncertain: Vec<usize> = options["uncertain_frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|at| {
            usize::try_from(at[0].as_u64().unwrap()).unwrap() * frames
                + usize::try_from(at[1].as_u64().unwrap()).unwrap()
        })
        .collect();
    let mut other_masks = vec![false; heard.active.shape()[0]];
    for (at, (found, expected)) in heard.active.values().iter().zip(golden.u8("binary")).enumerate() {
        let is_uncertain = uncertain.contains(&(at / speakers));
        assert!(u8::from(*found) == expected || is_uncertain, "{what}: activity {at}");
        other_masks[at / speakers / frames] |= u8::from(*found) != expected;
    }
    if !golden.has("embeddings") {
        return;
    }
    let expected = golden.f32("embeddings");
    let [windows, _, width] = heard.embeddings.shape();
    // The original brings each window to 16 kHz for itself, which shows at its edges.
    let tolerance = if what.ends_with("stereo22k") { 5e-2 } else { 2e-4 };
    // A frame that is decided otherwise is part of another mask.
    for window in (0..windows).filter(|window| !other_masks[*window]) {
        for speaker in (0..speakers).filter(|speaker| heard.active.rows(window).any(|row| row[*speaker])) {
            let at = (window * speakers + speaker) * width;
            let found = heard.embeddings.row(window, speaker);
            let what = format!("{what}: vector of window {window}, speaker {speaker}");
            assert_close_f32(found, &expected[at..at + width], tolerance, &what);
        }
    }
}

fn check(repository: &str, name: &str, files: &[&str]) {
    let pipeline = pipeline(repository);
    for file in files {
        check_file(&pipeline, name, file);
    }
}

const SHORT: [&str; 5] = ["short", "exact10", "tail12", "silence", "stereo22k"];

#[test]
fn every_option_of_3_1_gives_the_turns_of_the_original() {
    check("pyannote/speaker-diarization-3.1", "31", &["conv2"]);
    check("pyannote/speaker-diarization-3.1", "31", &SHORT);
}

#[test]
fn every_option_of_3_1_gives_the_turns_of_the_original_for_more_voices() {
    check("pyannote/speaker-diarization-3.1", "31", &["conv3", "conv4"]);
}

#[test]
fn every_option_of_community_1_gives_the_turns_of_the_original() {
    check("pyannote/speaker-diarization-community-1", "community-1", &["conv2"]);
    check("pyannote/speaker-diarization-community-1", "community-1", &SHORT);
}

#[test]
fn every_option_of_community_1_gives_the_turns_of_the_original_for_more_voices() {
    check(
        "pyannote/speaker-diarization-community-1",
        "community-1",
        &["conv3", "conv4"],
    );
}

#[test]
fn every_option_of_a_network_without_powerset_gives_the_turns_of_the_original() {
    check("tiny/multilabel", "multilabel", &["conv2"]);
    check("tiny/multilabel", "multilabel", &SHORT);
}

#[test]
fn every_option_of_a_network_without_powerset_gives_the_turns_of_the_original_for_more_voices() {
    check("tiny/multilabel", "multilabel", &["conv3", "conv4"]);
}

// 1e-4 of the largest value: sums of another order.
#[test]
fn scores_and_masks_of_all_windows_are_those_of_the_original() {
    for (repository, name) in [
        ("pyannote/speaker-diarization-3.1", "31"),
        ("pyannote/speaker-diarization-community-1", "community-1"),
        ("tiny/multilabel", "multilabel"),
    ] {
        let pipeline = pipeline(repository);
        let golden = Golden::open(&format!("pipelines/{name}/conv2.safetensors"));
        let samples = sound("conv2");
        let plan = pipeline.plan(&samples).unwrap();
        let starts: Vec<usize> = (0..plan.count).map(|window| plan.start(window)).collect();
        let stretch = Stretch::new(&samples, &starts, plan.window);
        let windows = SoundWindows {
            samples: &stretch.samples,
            starts: &starts,
            window: plan.window,
        };
        assert_close_f32(
            pipeline.segmenter.scores(windows).values(),
            &golden.f32("scores"),
            1e-4,
            name,
        );

        let shape: [usize; 3] = golden.shape("masks").try_into().unwrap();
        let active = Windows::new(shape, golden.u8("binary")).unwrap().map(|on| on == 1);
        let rule = MaskRule::new(pipeline.exclude_overlap, shape[1], plan.window);
        let expected = golden.u8("masks");
        for window in 0..shape[0] {
            for (speaker, mask) in rule.masks(&active, window).iter().enumerate() {
                for frame in 0..shape[1] {
                    let found = mask.as_ref().is_some_and(|mask| mask[frame] > 0.5);
                    let at = (window * shape[1] + frame) * shape[2] + speaker;
                    assert_eq!(
                        found,
                        expected[at] == 1,
                        "{name}: window {window}, speaker {speaker}, frame {frame}"
                    );
                }
            }
        }
    }
}

#[test]
fn progress_grows_to_the_length_of_the_recording() {
    let listener = Patient::default();
    let pipeline = pipeline("pyannote/speaker-diarization-3.1");
    pipeline
        .run(&sound("tail12"), bounds(&Value::Null).unwrap(), &listener)
        .unwrap();
    let told = listener.told.borrow();
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!(told.first(), Some(&(0.0, 12.35)));
    assert_eq!(told.last(), Some(&(12.35, 12.35)));
}

#[test]
fn work_ends_at_the_check_that_fails() {
    let pipeline = pipeline("pyannote/speaker-diarization-3.1");
    let samples = sound("tail12");
    for checks in [0, 2] {
        let listener = Leaving(RefCell::new(checks));
        let error = pipeline
            .run(&samples, bounds(&Value::Null).unwrap(), &listener)
            .unwrap_err();
        assert!(error.is_cancelled());
    }
}

#[test]
fn a_recording_without_samples_is_an_error_and_one_sample_is_not() {
    let pipeline = pipeline("tiny/multilabel");
    let run = |samples: &[f32]| pipeline.run(samples, bounds(&Value::Null).unwrap(), &Patient::default());
    assert_eq!(run(&[]).unwrap_err().code(), "invalid_audio");
    assert!(run(&[0.1]).is_ok());
}

#[test]
fn batches_do_not_show_in_the_result() {
    let pipeline = pipeline("tiny/multilabel");
    // More windows of half a second's step than a batch holds.
    let samples = sound("conv3");
    let plan = pipeline.plan(&samples).unwrap();
    assert!(plan.count > BATCH);
    let whole = pipeline.listen(&samples, plan, &Patient::default()).unwrap();
    let late = plan.start(BATCH);
    let part = &samples[late..];
    let rest = pipeline
        .listen(part, pipeline.plan(part).unwrap(), &Patient::default())
        .unwrap();
    assert_eq!(whole.active.window(BATCH), rest.active.window(0));
    assert_eq!(whole.embeddings.window(BATCH), rest.embeddings.window(0));
}
