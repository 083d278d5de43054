//! A model of a user's own whose every step a test decides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use inferkit::DownloadOptions;
use inferkit::Error;
use inferkit::FileInventory;
use inferkit::Health;
use inferkit::Job;
use inferkit::LoadOptions;
use inferkit::Loaded;
use inferkit::MemoryUse;
use inferkit::ModelFile;
use inferkit::ModelInfo;
use inferkit::ModelWrapper;
use inferkit::Progress;
use inferkit::Result;
use inferkit::Source;
use inferkit::Threads;
use inferkit::task::ChatEvent;
use inferkit::task::ChatLimits;
use inferkit::task::ChatModel;
use inferkit::task::ChatRequest;
use inferkit::task::ChatStream;
use inferkit::task::QueueDepth;
use inferkit::task::Task;
use inferkit::task::Timings;
use inferkit::task::Usage;
use tokio::sync::Semaphore;

/// Bytes a fake takes: half of them weights.
pub(crate) const BYTES: u64 = 100;

/// What a duty of the wrapper does when it is called. Once the script is used up, it succeeds.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Succeed,
    Fail(Error),
    Panic,
    /// Waits for ever.
    Hang,
    /// Waits until the test opens the gate, or for cancellation.
    Wait,
    /// Waits until the test opens the gate, deaf to cancellation.
    WaitDeaf,
    /// Holds its thread until the test opens the gate.
    Block,
    /// Reports progress that many times, as fast as it can.
    Report(u64),
    /// Says that it is done and leaves files missing.
    Lie,
}

/// A model that does what its script says.
pub(crate) struct Fake {
    repository: String,
    present: AtomicBool,
    download_script: Mutex<VecDeque<Act>>,
    load_script: Mutex<VecDeque<Act>>,
    /// How often files were fetched.
    pub(crate) downloads: AtomicUsize,
    /// How often the model was loaded.
    pub(crate) loads: AtomicUsize,
    /// What the last load was told to compute with.
    pub(crate) threads: Mutex<Option<Threads>>,
    /// Opened by the test for acts that wait.
    pub(crate) gate: Semaphore,
    /// Of the newest load.
    health: Mutex<Health>,
    memory: Arc<Memory>,
    /// Duties at work, and the most there ever were at once.
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
}

/// In memory for as long as it lives, and slow to leave, as weights are.
struct Weights(Arc<Memory>);

/// What of a fake is in memory.
#[derive(Default)]
struct Memory {
    weights: AtomicUsize,
    most_weights: AtomicUsize,
    /// Whether weights stay although nothing holds them any more.
    stays: AtomicBool,
}

impl Weights {
    fn new(memory: &Arc<Memory>) -> Self {
        let weights = memory.weights.fetch_add(1, Ordering::SeqCst) + 1;
        memory.most_weights.fetch_max(weights, Ordering::SeqCst);
        Self(Arc::clone(memory))
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        // A test that fails leaves them for no longer than this.
        for _ in 0..10_000 {
            std::thread::sleep(Duration::from_millis(1));
            if !self.0.stays.load(Ordering::SeqCst) {
                break;
            }
        }
        self.0.weights.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    /// A model without files.
    pub(crate) fn cold() -> Arc<Self> {
        Self::new("owner/fake", false)
    }

    /// A model whose files are present.
    pub(crate) fn present() -> Arc<Self> {
        Self::new("owner/fake", true)
    }

    pub(crate) fn new(repository: &str, present: bool) -> Arc<Self> {
        Arc::new(Self {
            repository: repository.to_owned(),
            present: AtomicBool::new(present),
            download_script: Mutex::default(),
            load_script: Mutex::default(),
            downloads: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            threads: Mutex::default(),
            gate: Semaphore::new(0),
            health: Mutex::default(),
            memory: Arc::default(),
            at_work: AtomicUsize::new(0),
            most_at_work: AtomicUsize::new(0),
        })
    }

    pub(crate) fn on_download(self: Arc<Self>, acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        self.download_script.lock().unwrap().extend(acts);
        self
    }

    pub(crate) fn on_load(self: Arc<Self>, acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        self.load_script.lock().unwrap().extend(acts);
        self
    }

    pub(crate) fn set_present(&self, present: bool) {
        self.present.store(present, Ordering::SeqCst);
    }

    /// The health of the newest load, as a thread of the model would hold it.
    pub(crate) fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }

    /// Lets one waiting act go on.
    pub(crate) fn open(&self) {
        self.gate.add_permits(1);
    }

    /// Whether weights are in memory.
    pub(crate) fn in_memory(&self) -> bool {
        self.memory.weights.load(Ordering::SeqCst) > 0
    }

    /// The most weights that were ever in memory at once.
    pub(crate) fn most_in_memory(&self) -> usize {
        self.memory.most_weights.load(Ordering::SeqCst)
    }

    /// Whether weights stay in memory when nothing holds them any more.
    pub(crate) fn set_stays(&self, stays: bool) {
        self.memory.stays.store(stays, Ordering::SeqCst);
    }

    /// The most duties that were ever at work at once.
    pub(crate) fn most_at_work(&self) -> usize {
        self.most_at_work.load(Ordering::SeqCst)
    }

    /// Times the download and the load began.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.downloads.load(Ordering::SeqCst), self.loads.load(Ordering::SeqCst))
    }

    async fn act(&self, act: Act, job: &Job) -> Result<()> {
        let at_work = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_work.fetch_max(at_work, Ordering::SeqCst);
        let result = self.perform(act, job).await;
        self.at_work.fetch_sub(1, Ordering::SeqCst);
        result
    }

    async fn perform(&self, act: Act, job: &Job) -> Result<()> {
        match act {
            Act::Succeed | Act::Lie => Ok(()),
            Act::Fail(error) => Err(error),
            Act::Panic => panic!("the fake was told to panic"),
            Act::Hang => std::future::pending().await,
            Act::Wait => {
                job.report(Progress::phase("waiting").with_bytes(1, Some(2)));
                tokio::select! {
                    _ = self.pass() => Ok(()),
                    () = job.cancelled() => Err(Error::bad_model("the file ends early")),
                }
            }
            Act::WaitDeaf => self.pass().await,
            Act::Block => {
                while self
                    .gate
                    .try_acquire()
                    .map(tokio::sync::SemaphorePermit::forget)
                    .is_err()
                {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            Act::Report(times) => {
                for done in 1..=times {
                    job.report(Progress::phase("counting").with_bytes(done, Some(times)));
                }
                Ok(())
            }
        }
    }

    async fn pass(&self) -> Result<()> {
        self.gate.acquire().await.unwrap().forget();
        Ok(())
    }
}

fn next(script: &Mutex<VecDeque<Act>>) -> Act {
    script.lock().unwrap().pop_front().unwrap_or(Act::Succeed)
}

#[async_trait]
impl ModelWrapper for Fake {
    fn describe(&self) -> ModelInfo {
        ModelInfo::new("fake", Task::Chat, Source::hub(&self.repository))
    }

    async fn files(&self) -> Result<FileInventory> {
        let present = self.present.load(Ordering::SeqCst);
        let file = if present {
            ModelFile::present("w.bin", BYTES)
        } else {
            ModelFile::missing("w.bin", Some(BYTES))
        };
        Ok(FileInventory::new(vec![file], present))
    }

    async fn download(&self, _: &DownloadOptions, job: &Job) -> Result<()> {
        self.downloads.fetch_add(1, Ordering::SeqCst);
        let act = next(&self.download_script);
        self.act(act.clone(), job).await?;
        if !matches!(act, Act::Lie) {
            self.set_present(true);
        }
        Ok(())
    }

    async fn load(&self, options: &LoadOptions, job: &Job) -> Result<Loaded> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.threads.lock().unwrap().clone_from(&options.threads);
        self.act(next(&self.load_script), job).await?;
        let weights = Weights::new(&self.memory);
        let memory = MemoryUse::new(BYTES / 2, BYTES / 2);
        let health = Health::new();
        *self.health.lock().unwrap() = health.clone();
        Ok(Loaded::new("cpu", "f32", memory)
            .with_health(health)
            .with_chat(Arc::new(Mute { _weights: weights })))
    }
}

/// Answers nothing.
struct Mute {
    _weights: Weights,
}

#[async_trait]
impl ChatModel for Mute {
    fn limits(&self) -> ChatLimits {
        ChatLimits::new(64, 2)
    }

    fn queue(&self) -> QueueDepth {
        QueueDepth::default()
    }

    async fn chat(&self, _: ChatRequest) -> Result<ChatStream> {
        let done = ChatEvent::Done {
            usage: Usage::default(),
            timings: Timings::default(),
        };
        Ok(stream::iter([Ok(done)]).boxed())
    }
}
