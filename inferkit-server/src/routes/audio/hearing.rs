//! From an upload to a running transcription, with speakers where they are asked for.

use std::fs::File;
use std::time::Duration;

use inferkit::Lease;
use inferkit::ModelHandle;
use inferkit::Result;
use inferkit::audio::Recording;
use inferkit::audio::ResamplingFilter;

use super::decoding::decoded;
use super::speakers::SpeakerBounds;
use super::steps::Steps;
use super::steps::steps;
use super::wishes::Wishes;
use crate::app::App;
use crate::error::ApiError;
use crate::routes::holding;
use crate::routes::until_ended;

/// A transcription to be done.
pub(crate) struct Hearing {
    pub(crate) transcriber: ModelHandle,
    /// Finds the speakers, within these bounds.
    pub(crate) diarizer: Option<(ModelHandle, SpeakerBounds)>,
    pub(crate) wishes: Wishes,
    /// The channel to take, from 0; `None` is their average.
    pub(crate) channel: Option<usize>,
    /// Longest wait for each model.
    pub(crate) patience: Duration,
}

/// A transcription that runs.
pub(crate) struct Heard {
    pub(crate) recording: Recording,
    pub(crate) steps: Steps,
}

/// Decodes `file` while the models are brought up, then hands them the recording.
///
/// Everything that can be wrong with the request is found before this returns; later errors are the models'.
///
/// # Errors
/// Those of decoding and of bringing a model up (`param` `diarization` for the diarizer), and refused wishes.
pub(crate) async fn heard(app: &App, file: File, hearing: Hearing) -> Result<Heard, ApiError> {
    let Hearing {
        transcriber,
        diarizer,
        wishes,
        channel,
        patience,
    } = hearing;
    let transcriber = async { transcriber.ensure_loaded_within(patience).await.map_err(ApiError::from) };
    let diarizer = async {
        let Some((handle, bounds)) = diarizer else {
            return Ok(None);
        };
        let lease = handle.ensure_loaded_within(patience).await.map_err(of_diarizer)?;
        Ok::<_, ApiError>(Some((lease, bounds)))
    };
    let room = app.recordings.room();
    let recording = async {
        decoded(app, file, channel, ResamplingFilter::Steep, &room)
            .await
            .map_err(ApiError::from)
    };
    let (recording, transcriber, diarizer) = tokio::try_join!(recording, transcriber, diarizer)?;
    let model = transcriber.transcription()?;
    let mut wishes = wishes;
    let able = model.capabilities();
    if diarizer.is_some() && able.word_times {
        // A change of speakers within a segment is found by its words.
        wishes.times = inferkit::task::TimeDetail::Word;
    }
    wishes.check(&able)?;
    let speech = model.transcribe(wishes.request(recording.samples.clone())).await?;
    let speech = until_ended(speech, transcriber);
    let speakers = match diarizer {
        Some((lease, bounds)) => Some(found_speakers(lease, bounds, &recording).await.map_err(of_diarizer)?),
        None => None,
    };
    let steps = holding(steps(speech, speakers, recording.duration_seconds), room);
    Ok(Heard { recording, steps })
}

async fn found_speakers(
    lease: Lease,
    bounds: SpeakerBounds,
    recording: &Recording,
) -> Result<inferkit::task::DiarizationStream> {
    let request = bounds.request(recording.samples.clone());
    let stream = lease.diarization()?.diarize(request).await?;
    Ok(until_ended(stream, lease))
}

/// An error about the second model, told from the first.
fn of_diarizer(error: inferkit::Error) -> ApiError {
    let error = ApiError::from(error);
    if error.param.as_deref().is_none_or(|param| param == "model") {
        return error.with_param("diarization");
    }
    error
}
