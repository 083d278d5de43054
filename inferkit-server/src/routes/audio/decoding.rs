//! Decoding off the async threads, a bounded number at a time, and no longer than somebody waits.

use std::fs::File;
use std::sync::Arc;

use inferkit::Error;
use inferkit::Job;
use inferkit::Result;
use inferkit::audio::DecodeOptions;
use inferkit::audio::Meter;
use inferkit::audio::Recording;
use inferkit::audio::ResamplingFilter;
use inferkit::audio::decode_by;
use tokio::sync::Semaphore;
use tracing::Span;

use super::memory::Room;
use crate::app::App;

/// Cancels the job when nobody waits for it any more.
struct CancelOnDrop(Job);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The places for recordings that are decoded at the same time: two for each core.
pub(crate) fn places() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(2 * cores))
}

/// Decodes `file` once; `channel` is the one to take in place of the average, each of `filters` brings other rates to 16 kHz.
/// The samples take `room`, which has to be kept as long as they are.
///
/// # Errors
/// Those of [`decode_by`] and [`Room::hold`].
pub(crate) async fn decoded<const N: usize>(
    app: &App,
    file: File,
    channel: Option<usize>,
    filters: [ResamplingFilter; N],
    room: &Room,
) -> Result<[Recording; N]> {
    let place = app.decodings.clone().acquire_owned().await;
    let place = place.map_err(|_| Error::internal("the places for decoding were closed"))?;
    let mut options = DecodeOptions::default().with_max_seconds(app.config.limits.max_audio_seconds.as_secs_f64());
    options.channel = channel;
    let room = room.clone();
    options.meter = Some(Meter::new(move |bytes| room.hold(bytes)));
    let job = Job::new();
    let waiting = CancelOnDrop(job.clone());
    let span = Span::current();
    let work = tokio::task::spawn_blocking(move || {
        let _held = place;
        span.in_scope(|| decode_by(file, &options, filters, &job))
    });
    let recordings = work
        .await
        .map_err(|cause| Error::internal("decoding ended without a result").with_source(cause))?;
    drop(waiting);
    recordings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_with_the_one_who_waits_for_it() {
        let job = Job::new();
        drop(CancelOnDrop(job.clone()));
        assert!(job.is_cancelled());
    }
}
