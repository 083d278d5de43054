//! From an upload to a running diarization.

use std::fs::File;
use std::time::Duration;

use inferkit::ModelHandle;
use inferkit::audio::Recording;
use inferkit::audio::ResamplingFilter;
use inferkit::task::DiarizationStream;

use super::decoding::decoded;
use super::speakers::SpeakerBounds;
use crate::app::App;
use crate::error::ApiError;
use crate::routes::holding;
use crate::routes::until_ended;

/// A diarization to be done.
pub(crate) struct Diarizing {
    pub(crate) diarizer: ModelHandle,
    pub(crate) bounds: SpeakerBounds,
    /// The channel to take, from 0; `None` is their average.
    pub(crate) channel: Option<usize>,
    /// Longest wait for the model.
    pub(crate) patience: Duration,
}

/// Decodes `file` while the model is brought up, then hands it the recording.
///
/// # Errors
/// Those of decoding, of bringing the model up, and what the model refuses.
pub(crate) async fn diarized(
    app: &App,
    file: File,
    work: Diarizing,
) -> Result<(Recording, DiarizationStream), ApiError> {
    let lease = async { work.diarizer.ensure_loaded_within(work.patience).await };
    let room = app.recordings.room();
    let recording = decoded(app, file, work.channel, [ResamplingFilter::Sinc], &room);
    let ([recording], lease) = tokio::try_join!(recording, lease)?;
    let request = work.bounds.request(recording.samples.clone());
    let stream = lease.diarization()?.diarize(request).await?;
    Ok((recording, holding(until_ended(stream, lease), room)))
}
