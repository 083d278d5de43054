//! The engine's thread: what it does in a turn.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use crate::chat::engine::EngineConfig;
use crate::chat::engine::batch;
use crate::chat::engine::outlet::Parcel;
use crate::chat::engine::pace::Pace;
use crate::chat::engine::request::Advance;
use crate::chat::engine::request::Next;
use crate::chat::engine::request::Request;
use crate::chat::engine::scheduler::Paused;
use crate::chat::engine::scheduler::Plan;
use crate::chat::engine::scheduler::Scheduler;
use crate::chat::engine::scheduler::SchedulerLimits;
use crate::chat::engine::sequence::Sequence;
use crate::chat::engine::sequence::SequenceId;
use crate::chat::engine::throughput::Throughput;
use crate::chat::runner::Runner;
use crate::chat::runner::RunnerCapabilities;
use crate::chat::runner::StepBatch;
use crate::error::Error;
use crate::error::Result;
use crate::error::UnavailableFault;
use crate::wrapper::engine::Line;
use crate::wrapper::engine::Turns;

/// What the thread is told.
pub(super) enum Command {
    /// A new request.
    Submit(Box<Arrival>),
    /// A reader has made room or gone.
    Wake,
    /// The engine is dropped.
    Stop,
}

/// A request that takes its place in line.
pub(super) struct Arrival {
    pub(super) request: Request,
    pub(super) prompt: Vec<u32>,
}

/// Owns everything that computes; lives on the engine's thread.
pub(super) struct Worker {
    runner: Box<dyn Runner>,
    capabilities: RunnerCapabilities,
    config: EngineConfig,
    commands: mpsc::Receiver<Command>,
    line: Arc<Line>,
    scheduler: Scheduler,
    pace: Pace,
    throughput: Arc<Throughput>,
    /// By the id of their first choice's sequence; the ids of the other choices follow it.
    requests: BTreeMap<SequenceId, Request>,
    next_id: u64,
    /// Whether the last turn found nothing to compute, so that only a command or a deadline brings more.
    is_stuck: bool,
    batch: StepBatch,
    logits: Vec<f32>,
}

impl Worker {
    /// A worker without requests.
    pub(super) fn new(
        runner: Box<dyn Runner>,
        config: EngineConfig,
        commands: mpsc::Receiver<Command>,
        line: Arc<Line>,
    ) -> Self {
        let capabilities = runner.capabilities();
        let scheduler = Scheduler::new(SchedulerLimits {
            block_size: capabilities.block_size,
            blocks: capabilities.blocks,
            max_running: config.max_running,
            max_step_tokens: config.max_step_tokens,
        });
        Self {
            runner,
            capabilities,
            config,
            commands,
            line,
            scheduler,
            pace: Pace::default(),
            throughput: Arc::default(),
            requests: BTreeMap::new(),
            next_id: 0,
            is_stuck: false,
            batch: StepBatch::default(),
            logits: Vec::new(),
        }
    }

    /// What the runner can take.
    pub(super) const fn capabilities(&self) -> RunnerCapabilities {
        self.capabilities
    }

    /// How fast tokens are drawn.
    pub(super) const fn throughput(&self) -> &Arc<Throughput> {
        &self.throughput
    }

    /// Blocks that no sequence holds, and all there are.
    #[cfg(test)]
    pub(super) fn free_blocks(&self) -> (usize, usize) {
        self.scheduler.free_blocks()
    }

    /// Takes in all commands; sleeps for the first if there is nothing to compute. Breaks when the engine was dropped.
    fn read_commands(&mut self) -> ControlFlow<()> {
        let mut next = if self.requests.is_empty() {
            self.commands.recv().ok()
        } else if self.is_stuck {
            self.recv_until_deadline()
        } else {
            self.commands.try_recv().ok()
        };
        if next.is_none() && self.requests.is_empty() {
            return ControlFlow::Break(());
        }
        while let Some(command) = next {
            match command {
                Command::Submit(arrival) => self.take_in(*arrival),
                Command::Wake => {}
                Command::Stop => return ControlFlow::Break(()),
            }
            next = self.commands.try_recv().ok();
        }
        ControlFlow::Continue(())
    }

    fn recv_until_deadline(&self) -> Option<Command> {
        let deadline = |request: &Request| request.deadline(self.config.queue_timeout, self.config.reader_patience);
        let Some(first) = self.requests.values().filter_map(deadline).min() else {
            return self.commands.recv().ok();
        };
        self.commands
            .recv_timeout(first.saturating_duration_since(Instant::now()))
            .ok()
    }

    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { request, prompt } = arrival;
        let first = self.next_id;
        for _ in 0..request.choices() {
            self.scheduler
                .add(Sequence::new(SequenceId(self.next_id), prompt.clone()));
            self.next_id += 1;
        }
        self.requests.insert(SequenceId(first), request);
    }

    /// Ends requests whose reader has gone and those past their deadline.
    fn end_overdue(&mut self, now: Instant) {
        let (queue_timeout, reader_patience) = (self.config.queue_timeout, self.config.reader_patience);
        let mut ended = Vec::new();
        for (&id, request) in &self.requests {
            if request.outlet.is_closed() {
                ended.push((id, None));
            } else if request
                .deadline(queue_timeout, reader_patience)
                .is_some_and(|deadline| deadline <= now)
            {
                let error = if request.is_started() {
                    let message =
                        format!("the reader took nothing for {reader_patience:?}; read the answer as it comes");
                    Error::unavailable(UnavailableFault::Timeout, message)
                } else {
                    let message = format!("the request waited {queue_timeout:?} for this model; try again later");
                    Error::unavailable(UnavailableFault::QueueTimeout, message)
                        .with_retry_after(self.line.time_to_drain())
                };
                ended.push((id, Some(Err(error))));
            }
        }
        for (id, last) in ended {
            self.end(id, last);
        }
    }

    /// The sequences of all requests whose reader leaves no room.
    fn paused(&mut self, now: Instant) -> Paused {
        let mut paused = Paused::new();
        for (&SequenceId(first), request) in &mut self.requests {
            if request.is_paused(now) {
                paused.extend((first..).take(request.choices()).map(SequenceId));
            }
        }
        paused
    }

    /// Starts the requests whose first step this is.
    fn announce(&mut self, plan: &Plan, now: Instant) {
        for row in &plan.rows {
            if let Some((_, request)) = request_of(&mut self.requests, row.id)
                && !request.is_started()
            {
                self.line.start();
                request.start(now);
            }
        }
    }

    /// Computes a step. An error ends the requests of the step.
    fn compute(&mut self, plan: &Plan) -> Result<()> {
        batch::fill(&mut self.batch, plan, &self.scheduler, self.capabilities.block_size)?;
        let began = Instant::now();
        let result = self.runner.step(&self.batch, &mut self.logits);
        self.pace.observe(plan.answers, plan.prompt_tokens, began.elapsed());
        let rows = self.batch.logit_rows.len();
        match result {
            Ok(()) if self.logits.len() == rows * self.capabilities.vocabulary => Ok(()),
            Ok(()) => Err(Error::generation_failed(format!(
                "{} logits for {rows} rows of {}",
                self.logits.len(),
                self.capabilities.vocabulary
            ))),
            Err(error) => Err(Error::generation_failed(&error).with_source(error)),
        }
    }

    /// Draws a token for each row that asks for one.
    fn draw(&mut self, plan: &Plan) {
        self.scheduler.complete(plan);
        let drawing = plan.rows.iter().filter(|row| row.draws);
        let mut logits = std::mem::take(&mut self.logits);
        let mut drawn = 0;
        for (row, logits) in drawing.zip(logits.chunks_exact_mut(self.capabilities.vocabulary)) {
            // Gone if another choice of it failed in this step.
            let Some((first, request)) = request_of(&mut self.requests, row.id) else {
                continue;
            };
            let choice = usize::try_from(row.id.0 - first.0).unwrap_or(usize::MAX);
            let Advance { events, next } = match request.advance(choice, logits, Instant::now()) {
                Ok(advance) => advance,
                Err(error) => {
                    self.end(first, Some(Err(error)));
                    continue;
                }
            };
            drawn += 1;
            match next {
                Next::RequestEnded => self.end(first, Some(Ok(events))),
                Next::ChoiceEnded => {
                    request.outlet.send(Ok(events));
                    self.scheduler.remove(row.id);
                }
                Next::Token(token) => {
                    request.outlet.send(Ok(events));
                    self.scheduler.append(row.id, token);
                }
            }
        }
        self.logits = logits;
        self.throughput.count(drawn, Instant::now());
    }

    fn end_all_of(&mut self, plan: &Plan, error: &Error) {
        tracing::error!(%error, "a step failed; its requests end");
        for row in &plan.rows {
            if let Some((first, _)) = request_of(&mut self.requests, row.id) {
                self.end(first, Some(Err(error.clone())));
            }
        }
    }

    /// Frees all that the request `first` holds, then tells its reader the `last` there is to say.
    fn end(&mut self, first: SequenceId, last: Option<Parcel>) {
        let Some(request) = self.requests.remove(&first) else {
            return;
        };
        for id in (first.0..).take(request.choices()) {
            self.scheduler.remove(SequenceId(id));
        }
        if request.is_started() {
            self.line.end(request.age(Instant::now()));
        } else {
            self.line.give_up();
        }
        if let Some(last) = last {
            request.outlet.send(last);
        }
    }
}

impl Turns for Worker {
    /// One round: commands, endings, a step.
    fn turn(&mut self) -> ControlFlow<()> {
        self.read_commands()?;
        let now = Instant::now();
        self.end_overdue(now);
        let paused = self.paused(now);
        let plan = self.scheduler.schedule(&self.pace, &paused);
        if plan.preempted > 0 {
            let (free, usable) = self.scheduler.free_blocks();
            tracing::info!(
                preempted = plan.preempted,
                free,
                usable,
                "cache is short: sequences are computed again"
            );
        }
        self.announce(&plan, now);
        self.line.set_spare(self.scheduler.spare_slots());
        self.is_stuck = plan.rows.is_empty();
        if self.is_stuck {
            return ControlFlow::Continue(());
        }
        match self.compute(&plan) {
            Ok(()) => self.draw(&plan),
            Err(error) => self.end_all_of(&plan, &error),
        }
        ControlFlow::Continue(())
    }

    fn end_all(&mut self, error: &Error) {
        for id in self.requests.keys().copied().collect::<Vec<_>>() {
            self.end(id, Some(Err(error.clone())));
        }
    }
}

/// The request of a sequence, with the id of its first choice.
fn request_of(requests: &mut BTreeMap<SequenceId, Request>, id: SequenceId) -> Option<(SequenceId, &mut Request)> {
    let (&first, request) = requests.range_mut(..=id).next_back()?;
    let belongs = id.0 - first.0 < request.choices() as u64;
    belongs.then_some((first, request))
}
