//! One file: announced, locked, fetched from where an earlier try broke off, checked, given its name.
//!
//! **Invariant:** content gets its name only after all of it is on the disk and hashes to what was announced.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::content::ContentHash;
use super::fault::Asked;
use super::fault::of_transport;
use super::http::Announced;
use super::http::Failure;
use super::http::Http;
use super::meter::Meter;
use crate::error::Error;
use crate::error::HubFault;
use crate::error::Result;
use crate::hub::listing::ListedFile;
use crate::hub::request::Patience;
use crate::hub::request::Request;
use crate::storage;

/// Parts of the body between network and disk.
const PIPE: usize = 16;

/// Longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Between two looks at a lock that another process holds.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// All that the files of one download share.
pub(super) struct Fetch<'a> {
    pub(super) http: &'a Http,
    pub(super) endpoint: &'a str,
    pub(super) patience: &'a Patience,
    pub(super) request: &'a Request<'a>,
    pub(super) commit: &'a str,
    pub(super) token: Option<SecretString>,
}

impl Fetch<'_> {
    /// Makes `file` present in the snapshot.
    pub(super) async fn file(&self, file: &ListedFile, meter: &mut Meter<'_>) -> Result<()> {
        meter.begin(file);
        let cache = self.request.cache;
        let here = file.on_disk(&cache.snapshot(self.commit));
        if let (true, Some(bytes), false) = (here.present, here.bytes, self.request.force) {
            meter.end(bytes);
            return Ok(());
        }
        let url = self.url(file)?;
        let mut tries = 0;
        let bytes = loop {
            let Failure { error, retry_after } = match self.attempt(file, &url, meter).await {
                Ok(bytes) => break bytes,
                Err(failure) => failure,
            };
            tries += 1;
            // Content that is wrong twice is wrong at the hub.
            let most = if is_wrong_content(&error) {
                2
            } else {
                self.patience.tries
            };
            if tries >= most || !error.is_retryable() {
                return Err(error);
            }
            let pause = retry_after.unwrap_or_else(|| backoff(self.patience.backoff, tries));
            tracing::warn!(file = file.path, %error, tries, "fetching a file failed; it is tried again");
            tokio::time::sleep(pause).await;
        };
        meter.end(bytes);
        Ok(())
    }

    async fn attempt(&self, file: &ListedFile, url: &Url, meter: &mut Meter<'_>) -> Result<u64, Failure> {
        let asked = self.asked(file);
        let announced = self.http.announced(url, self.token.as_ref(), &asked).await?;
        if file.bytes.is_some_and(|bytes| bytes != announced.bytes) {
            return Err(self.size_mismatch(file, announced.bytes).into());
        }
        let cache = self.request.cache;
        let blob = cache.blob(announced.hash.as_str());
        if !self.is_there(&blob, &announced).await? {
            let lock = Arc::new(self.lock(announced.hash.as_str(), meter).await?);
            // Another process may have fetched it while we waited.
            if !self.is_there(&blob, &announced).await? {
                self.transfer(file, url, &announced, lock, meter).await?;
            }
        }
        cache.publish(self.commit, &file.path, announced.hash.as_str())?;
        Ok(announced.bytes)
    }

    /// Whether the content is in the cache, by its size or, where asked to make sure, by its hash.
    async fn is_there(&self, blob: &Path, announced: &Announced) -> Result<bool> {
        if !std::fs::metadata(blob).is_ok_and(|found| found.is_file() && found.len() == announced.bytes) {
            return Ok(false);
        }
        if !self.request.force {
            return Ok(true);
        }
        let (blob, hash, bytes) = (blob.to_owned(), announced.hash.clone(), announced.bytes);
        blocking(move || {
            let failed = |error| storage::failure("a file of the model", &blob, error);
            let mut file = File::open(&blob).map_err(failed)?;
            let mut hasher = hash.hasher(bytes);
            hash_up_to(&mut file, bytes, |part| hasher.update(part)).map_err(failed)?;
            Ok(hasher.agrees_with(&hash))
        })
        .await
    }

    /// The right to fetch the content named `etag`, which only one process has at a time.
    async fn lock(&self, etag: &str, meter: &mut Meter<'_>) -> Result<File> {
        let path = self.request.cache.lock(etag);
        let failed = |error| storage::failure("a lock of the model", &path, error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::WouldBlock) => {
                    meter.wait();
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(std::fs::TryLockError::Error(error)) => {
                    // Some network file systems know no locks; the hash tells if two wrote at once.
                    tracing::debug!(%error, "the file system gives no lock");
                    return Ok(file);
                }
            }
        }
    }

    /// Fetches what is missing of the content into its part file, checks it and gives it its name.
    async fn transfer(
        &self,
        file: &ListedFile,
        url: &Url,
        announced: &Announced,
        lock: Arc<File>,
        meter: &mut Meter<'_>,
    ) -> Result<(), Failure> {
        let asked = self.asked(file);
        let cache = self.request.cache;
        let part = cache.part(announced.hash.as_str());
        let have = std::fs::metadata(&part).map_or(0, |found| found.len());
        let have = if have > announced.bytes { 0 } else { have };
        storage::check_room(&file.path, &part, announced.bytes - have, storage::space(&part))?;
        let (mut body, start) = if have == announced.bytes && have > 0 {
            (None, have)
        } else {
            let (body, start) = self.http.bytes(url, have, self.token.as_ref(), &asked).await?;
            (Some(body), start)
        };
        let target = Target {
            part,
            blob: cache.blob(announced.hash.as_str()),
            hash: announced.hash.clone(),
            bytes: announced.bytes,
            start,
            // Held until the last byte is on the disk, even if the download is cancelled before.
            _lock: lock,
        };
        let (pipe, parts) = mpsc::channel(PIPE);
        let writer = spawn_blocking(move || target.write(parts));
        let mut done = start;
        let mut broken = None;
        while let Some(answer) = &mut body {
            match answer.chunk().await {
                Ok(Some(bytes)) => {
                    done += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if done > announced.bytes {
                        broken = Some(self.size_mismatch(file, done));
                        break;
                    }
                    if pipe.send(bytes).await.is_err() {
                        break;
                    }
                    meter.at(done);
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(of_transport(&asked, error));
                    break;
                }
            }
        }
        drop(pipe);
        let written = writer
            .await
            .map_err(|error| Error::internal("a file's writer ended").with_source(error))?;
        match (written?, broken) {
            (_, Some(error)) => Err(error.into()),
            (Written::Whole, None) => Ok(()),
            (Written::Short, None) => Err(self.size_mismatch(file, done).into()),
            (Written::Wrong, None) => {
                let place = self.request.repository;
                let message = format!("{} of {place} is not what the hub announced: try again", file.path);
                Err(Error::hub(HubFault::HashMismatch, message).into())
            }
        }
    }

    fn url(&self, file: &ListedFile) -> Result<Url> {
        let base = format!("{}/{}/resolve/{}", self.endpoint, self.request.repository, self.commit);
        let mut url = Url::parse(&base).map_err(|_| self.asked(file).malformed("no address"))?;
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.extend(file.path.split('/'))),
            Err(()) => return Err(self.asked(file).malformed("no address")),
        }
        Ok(url)
    }

    fn asked<'a>(&'a self, file: &'a ListedFile) -> Asked<'a> {
        Asked {
            endpoint: self.endpoint,
            what: &file.path,
            repository: Some(self.request.repository),
            with_token: self.token.is_some(),
        }
    }

    fn size_mismatch(&self, file: &ListedFile, found: u64) -> Error {
        let expected = file
            .bytes
            .map_or_else(|| "another number".to_owned(), |bytes| bytes.to_string());
        let place = self.request.repository;
        let message = format!(
            "{} of {place} has {found} bytes where {expected} were announced: try again",
            file.path
        );
        Error::hub(HubFault::SizeMismatch, message)
    }
}

/// Where the bytes of one file go.
struct Target {
    part: PathBuf,
    blob: PathBuf,
    hash: ContentHash,
    bytes: u64,
    /// How many bytes the part file holds already.
    start: u64,
    _lock: Arc<File>,
}

/// What became of the bytes.
enum Written {
    /// All are there and right, and the content has its name.
    Whole,
    /// Some are missing; the part file holds the others.
    Short,
    /// All are there, and wrong; none is kept.
    Wrong,
}

impl Target {
    fn write(self, mut parts: mpsc::Receiver<bytes::Bytes>) -> Result<Written> {
        let failed = |error| storage::failure("a file of the model", &self.part, error);
        if let Some(folder) = self.part.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .clone();
        let mut file = options.open(&self.part).map_err(failed)?;
        file.set_len(self.start).map_err(failed)?;
        let mut hasher = self.hash.hasher(self.bytes);
        hash_up_to(&mut file, self.start, |part| hasher.update(part)).map_err(failed)?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let mut done = self.start;
        while let Some(part) = parts.blocking_recv() {
            file.write_all(&part).map_err(failed)?;
            hasher.update(&part);
            done += u64::try_from(part.len()).unwrap_or(u64::MAX);
        }
        if done < self.bytes {
            return Ok(Written::Short);
        }
        if !hasher.agrees_with(&self.hash) {
            std::fs::remove_file(&self.part).map_err(failed)?;
            return Ok(Written::Wrong);
        }
        file.sync_all().map_err(failed)?;
        std::fs::rename(&self.part, &self.blob).map_err(failed)?;
        if let Some(folder) = self.blob.parent() {
            storage::sync_folder(folder);
        }
        Ok(Written::Whole)
    }
}

/// Shows `take` the next `bytes` bytes of `file`, or fewer at its end.
fn hash_up_to(file: &mut File, bytes: u64, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut reader = file.take(bytes);
    let mut block = vec![0; 256 << 10];
    loop {
        let read = reader.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        take(block.get(..read).unwrap_or_default());
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| Error::internal("a reader of files ended").with_source(error))?
}

/// The pause before the next try: doubled each time, spread by up to a half so that many do not come at once.
fn backoff(first: Duration, tries: u32) -> Duration {
    let pause = first.saturating_mul(1 << (tries - 1).min(16)).min(MAX_BACKOFF);
    let spread = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos() % 1000);
    pause.mul_f64(1.0 - f64::from(spread) / 2000.0)
}

const fn is_wrong_content(error: &Error) -> bool {
    matches!(
        error,
        Error::Hub {
            code: HubFault::HashMismatch,
            ..
        }
    )
}
