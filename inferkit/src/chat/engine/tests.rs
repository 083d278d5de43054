//! The worker turned by hand; then the engine with its thread.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::StreamExt;
use proptest::prelude::*;

use super::fake::Before;
use super::fake::FakeAnswer;
use super::fake::FakeRunner;
use super::fake::alone;
use super::harness::Bench;
use super::harness::Reader;
use super::harness::long_prompt;
use super::harness::submission;
use super::*;
use crate::error::Error;
use crate::task::QueueDepth;
use crate::task::Usage;

#[test]
fn a_request_gets_its_events_in_order_and_its_account() {
    let mut bench = Bench::new(FakeRunner::new(4, 50, 2048), EngineConfig::default());
    let prompt = long_prompt(5);
    let mut reader = bench.ask(&prompt, 6, 2);
    assert_eq!(bench.admission.queue(), QueueDepth::new(0, 1));
    bench.turns(1);
    assert_eq!(bench.admission.queue(), QueueDepth::new(1, 0));
    bench.turns(5);
    reader.read(100);
    assert!(reader.is_over);
    assert_eq!(reader.texts[..2], [alone(&prompt, 6), alone(&prompt, 6)]);
    assert_eq!(reader.ends, [(0, FinishReason::Length), (1, FinishReason::Length)]);
    assert_eq!(reader.usage, Some(Usage::new(5, 12)));
    assert!(bench.admission.tokens_per_second() > 1.0, "tokens were drawn of late");
    bench.assert_all_is_free();
}

#[test]
fn an_end_token_ends_the_answer() {
    let mut bench = Bench::new(FakeRunner::new(4, 500, 2048), EngineConfig::default());
    let mut reader = bench.ask(&[3, 1, 4], 900, 1);
    while reader.usage.is_none() {
        bench.turns(1);
        reader.read(100);
    }
    assert_eq!(reader.ends, [(0, FinishReason::Stop)]);
    assert!(reader.texts[0].ends_with(" 0 "), "{}", reader.texts[0]);
    bench.assert_all_is_free();
}

#[test]
fn a_prompt_that_can_never_fit_is_refused_in_the_words_clients_look_for() {
    let bench = Bench::new(FakeRunner::new(4, 6, 2048), EngineConfig::default());
    let error = bench.admission.submit(submission(&[1; 20], 5, 1)).unwrap_err();
    assert_eq!(
        (error.code(), error.param()),
        ("context_length_exceeded", Some("messages"))
    );
    assert_eq!(
        error.to_string(),
        "This model's maximum context length is 20 tokens; the prompt is too long with 20 tokens \
         (context_length_exceeded)."
    );
    let error = bench.admission.submit(submission(&[], 5, 1)).unwrap_err();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("messages")));
    let error = bench.admission.submit(submission(&[1], 0, 1)).unwrap_err();
    assert_eq!((error.code(), error.param()), ("invalid_value", Some("max_tokens")));
    assert_eq!(
        bench.admission.submit(submission(&[1], 1, 0)).unwrap_err().code(),
        "internal_error"
    );
}

#[test]
fn an_answer_longer_than_the_rest_of_the_context_is_cut_to_it() {
    let mut bench = Bench::new(FakeRunner::new(4, 6, 2048), EngineConfig::default());
    let prompt = long_prompt(12);
    let mut reader = bench.ask(&prompt, 1000, 1);
    bench.turns(8);
    reader.read(100);
    assert_eq!(reader.usage, Some(Usage::new(12, 8)));
    assert_eq!(reader.texts[0], alone(&prompt, 8));
}

#[test]
fn a_reader_that_leaves_frees_its_blocks_in_line_at_work_and_while_slow() {
    let config = EngineConfig {
        max_running: 1,
        ..EngineConfig::default()
    };
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048), config);
    let prompt = long_prompt(9);
    let running = bench.ask(&prompt, 150, 1);
    let waiting = bench.ask(&prompt, 150, 1);
    bench.turns(2);
    assert_eq!(bench.admission.queue(), QueueDepth::new(1, 1));
    drop(waiting);
    bench.turns(1);
    assert_eq!(bench.admission.queue(), QueueDepth::new(1, 0));
    drop(running);
    bench.assert_all_is_free();

    let slow = bench.ask(&prompt, 150, 1);
    bench.turns(100);
    assert_eq!(bench.admission.queue(), QueueDepth::new(1, 0));
    drop(slow);
    bench.assert_all_is_free();
}

#[test]
fn a_long_prompt_ends_within_a_step_of_its_reader() {
    let mut bench = Bench::new(
        FakeRunner::new(4, 250, 36),
        EngineConfig {
            max_step_tokens: 1,
            ..EngineConfig::default()
        },
    );
    let reader = bench.ask(&[5; 900], 1, 1);
    bench.turns(2);
    let (free, usable) = bench.worker.free_blocks();
    assert_eq!(usable - free, 225, "the prompt is at work");
    drop(reader);
    bench.assert_all_is_free();
}

#[test]
fn a_slow_reader_stops_itself_and_nobody_else_and_goes_on_where_it_was() {
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048), EngineConfig::default());
    let prompt = long_prompt(5);
    let mut slow = bench.ask(&prompt, 140, 1);
    let mut quick = bench.ask(&prompt, 140, 1);
    for _ in 0..140 {
        bench.turns(1);
        quick.read(100);
    }
    assert_eq!(quick.texts[0], alone(&prompt, 140));
    bench.turns(10);
    slow.read(1);
    while slow.usage.is_none() {
        slow.read(3);
        bench.turns(1);
    }
    assert_eq!(slow.texts[0], alone(&prompt, 140));
    bench.assert_all_is_free();
}

#[test]
fn a_reader_that_takes_nothing_for_too_long_is_given_up() {
    let config = EngineConfig {
        reader_patience: Duration::ZERO,
        ..EngineConfig::default()
    };
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048), config);
    let mut slow = bench.ask(&long_prompt(5), 140, 1);
    bench.turns(70);
    let error = slow.error();
    assert_eq!(error.code(), "timeout");
    assert!(error.to_string().contains("took nothing for 0ns"), "{error}");
    bench.assert_all_is_free();
}

#[test]
fn a_request_that_waits_in_line_for_too_long_is_given_up_and_told_when_to_return() {
    let config = EngineConfig {
        max_running: 1,
        queue_timeout: Duration::ZERO,
        ..EngineConfig::default()
    };
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048), config);
    let mut late = bench.ask(&[1], 1, 1);
    bench.turns(1);
    let Error::Unavailable { retry_after, .. } = late.error() else {
        panic!("a late request is unavailable")
    };
    assert!(retry_after.is_some_and(|delay| delay >= Duration::from_secs(1)));
    assert_eq!(late.error().code(), "queue_timeout");
    assert!(!late.is_started);
    bench.assert_all_is_free();
}

#[test]
fn a_full_line_is_an_error_at_once() {
    let config = EngineConfig {
        max_running: 1,
        max_queued: 1,
        ..EngineConfig::default()
    };
    let bench = Bench::new(FakeRunner::new(4, 250, 2048), config);
    let _readers = [bench.ask(&[1], 1, 1), bench.ask(&[1], 1, 1)];
    assert_eq!(
        bench.admission.submit(submission(&[1], 1, 1)).unwrap_err().code(),
        "queue_full"
    );
}

#[test]
fn a_step_that_fails_ends_its_requests_and_no_others() {
    let config = EngineConfig {
        max_running: 1,
        ..EngineConfig::default()
    };
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048).before(Before::Fail(2)), config);
    let prompt = long_prompt(5);
    let (mut first, mut second) = (bench.ask(&prompt, 4, 1), bench.ask(&prompt, 4, 1));
    bench.turns(7);
    let error = first.error();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("generation_failed", "generation failed: the device has failed")
    );
    second.read(100);
    assert_eq!(second.texts[0], alone(&prompt, 4));
    bench.assert_all_is_free();
}

#[test]
fn a_panic_in_one_answer_ends_that_request_only() {
    let mut bench = Bench::new(FakeRunner::new(4, 250, 2048), EngineConfig::default());
    let prompt = long_prompt(5);
    let answers: Vec<Box<dyn Answer>> = vec![FakeAnswer::boxed(), Box::new(FakeAnswer { panics_at: 2, calls: 0 })];
    let broken = Submission {
        answers,
        ..submission(&prompt, 5, 1)
    };
    let mut broken = Reader::new(bench.admission.submit(broken).unwrap());
    let mut sound = bench.ask(&prompt, 5, 1);
    bench.turns(5);
    assert!(broken.error().to_string().contains("no words"));
    sound.read(100);
    assert_eq!(sound.texts[0], alone(&prompt, 5));
    bench.assert_all_is_free();
}

/// What one of many requests does.
#[derive(Debug, Clone)]
struct Visit {
    prompt: Vec<u32>,
    max_tokens: usize,
    choices: usize,
    arrives: usize,
    leaves: Option<usize>,
    /// Events read in a turn.
    appetite: usize,
    /// The turn in which it begins to read.
    awakes: usize,
}

fn visit() -> impl Strategy<Value = Visit> {
    let prompt = prop::collection::vec(1_u32..40, 1..20);
    let leaves = prop_oneof![3 => Just(None), 1 => (0_usize..60).prop_map(Some)];
    (
        prompt,
        1_usize..30,
        1_usize..4,
        0_usize..30,
        leaves,
        1_usize..4,
        0_usize..60,
    )
        .prop_map(
            |(prompt, max_tokens, choices, arrives, leaves, appetite, awakes)| Visit {
                prompt,
                max_tokens,
                choices,
                arrives,
                leaves: leaves.map(|stay| arrives + stay),
                appetite,
                awakes,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn each_request_is_answered_as_if_it_were_alone(
        visits in prop::collection::vec(visit(), 1..12),
        block_size in 1_usize..6,
        spare_blocks in 0_usize..30,
        max_running in 1_usize..8,
        max_step_tokens in 1_usize..40,
    ) {
        let blocks = 1 + 50_usize.div_ceil(block_size) + spare_blocks;
        let config = EngineConfig { max_running, max_step_tokens, ..EngineConfig::default() };
        let runner = FakeRunner::new(block_size, blocks, max_step_tokens.max(max_running + block_size));
        let mut bench = Bench::new(runner, config);
        let mut readers: Vec<Option<Reader>> = visits.iter().map(|_| None).collect();
        let mut turn = 0;
        while visits.iter().any(|visit| visit.arrives >= turn) || readers.iter().flatten().any(|reader| !reader.is_over) {
            prop_assert!(turn < 5000, "requests do not end");
            for (visit, reader) in visits.iter().zip(&mut readers) {
                if visit.arrives == turn {
                    *reader = Some(bench.ask(&visit.prompt, visit.max_tokens, visit.choices));
                }
                if visit.leaves == Some(turn) {
                    *reader = None;
                }
                if let Some(reader) = reader && turn >= visit.awakes {
                    reader.read(visit.appetite);
                }
            }
            bench.turns(1);
            turn += 1;
        }
        for (visit, reader) in visits.iter().zip(&readers) {
            let Some(reader) = reader else { continue };
            prop_assert!(reader.error.is_none(), "{:?}", reader.error);
            let expected = alone(&visit.prompt, visit.max_tokens);
            for choice in 0..visit.choices {
                prop_assert_eq!(&reader.texts[choice], &expected);
            }
            prop_assert_eq!(reader.ends.len(), visit.choices);
        }
        drop(readers);
        bench.assert_all_is_free();
    }
}

async fn engine(runner: FakeRunner) -> Engine {
    Engine::start("test", EngineConfig::default(), move || Ok(Box::new(runner) as Box<_>))
        .await
        .unwrap()
}

fn ask(engine: &Engine, prompt: &[u32], max_tokens: usize) -> Reader {
    Reader::new(engine.admission().submit(submission(prompt, max_tokens, 1)).unwrap())
}

#[tokio::test]
async fn an_engine_on_its_thread_answers_many_at_once() {
    let engine = engine(FakeRunner::new(4, 60, 2048)).await;
    assert_eq!(engine.admission().max_model_len(), 236);
    let prompts: Vec<Vec<u32>> = (1..20).map(|n| (n..=2 * n).collect()).collect();
    let readers = prompts.iter().map(|prompt| ask(&engine, prompt, 100).read_all());
    let readers = futures_util::future::join_all(readers).await;
    for (reader, prompt) in readers.iter().zip(&prompts) {
        assert_eq!(reader.texts[0], alone(prompt, 100), "{:?}", reader.error);
    }
    assert_eq!(engine.admission().queue(), QueueDepth::default());
}

#[tokio::test]
async fn a_reader_slower_than_the_engine_wakes_it_when_it_has_read() {
    let engine = engine(FakeRunner::new(4, 60, 2048)).await;
    let prompt = long_prompt(5);
    let mut reader = ask(&engine, &prompt, 140);
    while !reader.is_over {
        // The engine fills the outlet and sleeps; only the reader can wake it.
        tokio::task::yield_now().await;
        let next = reader.stream.next().await;
        reader.take(next);
    }
    assert_eq!(reader.texts[0], alone(&prompt, 140));
}

#[tokio::test]
async fn dropping_an_engine_frees_the_runner_and_ends_what_is_in_progress() {
    struct Noisy(FakeRunner, mpsc::Sender<()>);
    impl crate::chat::runner::Runner for Noisy {
        fn capabilities(&self) -> crate::chat::runner::RunnerCapabilities {
            self.0.capabilities()
        }
        fn step(&mut self, batch: &crate::chat::runner::StepBatch, logits: &mut Vec<f32>) -> Result<()> {
            self.0.step(batch, logits)
        }
    }
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.1.send(()).unwrap();
        }
    }
    let (freed, is_freed) = mpsc::channel();
    let runner = Noisy(FakeRunner::new(4, 60, 2048), freed);
    let engine = Engine::start("test", EngineConfig::default(), move || Ok(Box::new(runner) as Box<_>))
        .await
        .unwrap();
    let mut reader = ask(&engine, &long_prompt(5), 140);
    while !reader.is_started {
        let next = reader.stream.next().await;
        reader.take(next);
    }
    drop(engine);
    assert_eq!(is_freed.try_recv(), Ok(()), "the runner is gone once the engine is");
    assert_eq!(reader.read_all().await.error().code(), "model_not_loaded");
}

#[tokio::test]
async fn after_a_panic_of_the_runner_callers_are_told_to_load_the_model_again() {
    let engine = engine(FakeRunner::new(4, 60, 2048).before(Before::Panic(3))).await;
    let mut reader = ask(&engine, &long_prompt(5), 140).read_all().await;
    let message = "generation failed: the model's thread panicked (the device is on fire)";
    assert_eq!(reader.error().to_string(), message);
    assert_eq!(engine.admission().health().failure().unwrap().to_string(), message);
    let error = engine.admission().submit(submission(&[1], 1, 1)).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().contains("load it again")),
        ("model_failed", true)
    );
}

#[tokio::test]
async fn a_runner_that_cannot_be_built_is_an_error_of_the_start() {
    let start = |build: fn() -> Result<Box<dyn crate::chat::runner::Runner>>| {
        Engine::start("test", EngineConfig::default(), build)
    };
    let error = start(|| Err(Error::bad_model("model.gguf: tensor head")))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "model.gguf: tensor head");
    let error = start(|| panic!("no device")).await.unwrap_err();
    assert_eq!(error.to_string(), "loading the model panicked: no device");
}

#[tokio::test]
async fn cancelling_while_a_step_is_computed_ends_the_request_at_the_step_after() {
    let (go, gate) = mpsc::channel();
    let engine = engine(FakeRunner::new(4, 60, 2048).before(Before::Gate(gate))).await;
    let mut reader = ask(&engine, &long_prompt(5), 140);
    let started = reader.stream.next().await;
    reader.take(started);
    assert_eq!(engine.admission().queue(), QueueDepth::new(1, 0));
    drop(reader);
    go.send(()).unwrap();
    while engine.admission().queue() != QueueDepth::default() {
        tokio::task::yield_now().await;
    }
    drop(go);
}
