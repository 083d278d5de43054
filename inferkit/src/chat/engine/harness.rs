//! For tests: the worker turned by hand, without a thread or a clock, and a reader of its answers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::StreamExt;

use super::admission::Admission;
use super::fake::FakeAnswer;
use super::fake::FakeRunner;
use super::fake::alone;
use super::worker::Command;
use super::worker::Worker;
use super::*;
use crate::error::Error;
use crate::task::ChatEvent;
use crate::task::QueueDepth;
use crate::task::Usage;
use crate::wrapper::engine::Line;
use crate::wrapper::engine::Turns;

/// A worker and its door.
pub(super) struct Bench {
    pub(super) worker: Worker,
    pub(super) admission: Admission,
    inbox: mpsc::Sender<Command>,
}

impl Bench {
    pub(super) fn new(runner: FakeRunner, config: EngineConfig) -> Self {
        let (inbox, commands) = mpsc::channel();
        let line = Arc::new(Line::new(config.max_queued, config.max_running));
        let worker = Worker::new(Box::new(runner), config, commands, Arc::clone(&line));
        let admission = Admission::new(
            inbox.clone(),
            line,
            (worker.capabilities(), Arc::clone(worker.throughput())),
        );
        Self {
            worker,
            admission,
            inbox,
        }
    }

    pub(super) fn ask(&self, prompt: &[u32], max_tokens: usize, choices: usize) -> Reader {
        Reader::new(self.admission.submit(submission(prompt, max_tokens, choices)).unwrap())
    }

    /// One turn that never sleeps.
    pub(super) fn turn(&mut self) -> ControlFlow<()> {
        self.inbox.send(Command::Wake).unwrap();
        self.worker.turn()
    }

    pub(super) fn turns(&mut self, number: usize) {
        for _ in 0..number {
            assert_eq!(self.turn(), ControlFlow::Continue(()));
        }
    }

    pub(super) fn assert_all_is_free(&mut self) {
        self.turns(1);
        let (free, usable) = self.worker.free_blocks();
        assert_eq!(free, usable, "blocks are still held");
        assert_eq!(self.admission.queue(), QueueDepth::default());
    }
}

pub(super) fn submission(prompt: &[u32], max_tokens: usize, choices: usize) -> Submission {
    Submission {
        prompt: prompt.to_vec(),
        max_tokens: Some(max_tokens),
        answers: (0..choices).map(|_| FakeAnswer::boxed()).collect(),
        called: Instant::now(),
    }
}

/// A reader and what it has read.
pub(super) struct Reader {
    pub(super) stream: AnswerStream,
    pub(super) texts: Vec<String>,
    pub(super) ends: Vec<(usize, FinishReason)>,
    pub(super) is_started: bool,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<Error>,
    pub(super) is_over: bool,
}

impl Reader {
    pub(super) fn new(stream: AnswerStream) -> Self {
        let (texts, ends) = (vec![String::new(); 8], Vec::new());
        Self {
            stream,
            texts,
            ends,
            is_started: false,
            usage: None,
            error: None,
            is_over: false,
        }
    }

    /// Reads what is there, at most `limit` events.
    pub(super) fn read(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some(next) = self.stream.next().now_or_never() else {
                return;
            };
            self.take(next);
        }
    }

    pub(super) async fn read_all(mut self) -> Self {
        while !self.is_over {
            let next = self.stream.next().await;
            self.take(next);
        }
        self
    }

    pub(super) fn take(&mut self, next: Option<Result<ChatEvent>>) {
        assert!(
            next.is_none() || (self.usage.is_none() && self.error.is_none()),
            "something follows the end"
        );
        match next {
            None => self.is_over = true,
            Some(Err(error)) => self.error = Some(error),
            Some(Ok(ChatEvent::Started { .. })) => self.is_started = true,
            Some(Ok(ChatEvent::Done { usage, .. })) => self.usage = Some(usage),
            Some(Ok(ChatEvent::Finished { choice, reason })) => self.ends.push((choice, reason)),
            Some(Ok(ChatEvent::Delta { choice, delta, .. })) => {
                assert!(self.is_started, "text before the start");
                let Delta::Content(text) = delta else {
                    panic!("only content is said here")
                };
                self.texts[choice] += &text;
            }
        }
    }

    pub(super) fn error(&mut self) -> &Error {
        self.read(1000);
        self.error.as_ref().expect("the stream should have ended with an error")
    }
}

/// A prompt whose answer is long enough to be caught in the middle.
pub(super) fn long_prompt(tokens: u32) -> Vec<u32> {
    let candidates = (1..1000).map(|salt| (0..tokens).map(|n| n % 30 + salt).collect::<Vec<_>>());
    candidates
        .into_iter()
        .find(|prompt| alone(prompt, 200).split(' ').count() > 150)
        .unwrap()
}
