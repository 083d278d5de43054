//! From an upload to a running transcription, with speakers where they are asked for.

use std::fs::File;
use std::time::Duration;

use inferkit::Lease;
use inferkit::ModelHandle;
use inferkit::Result;
use inferkit::audio::Recording;
use inferkit::audio::ResamplingFilter;
use inferkit::task::Samples;

use super::decoding::decoded;
use super::memory::Room;
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
    let for_speakers = diarizer.as_ref().map(|_| ResamplingFilter::Sinc);
    let transcriber = async { transcriber.ensure_loaded_within(patience).await.map_err(ApiError::from) };
    let diarizer = async {
        let Some((handle, bounds)) = diarizer else {
            return Ok(None);
        };
        let lease = handle.ensure_loaded_within(patience).await.map_err(of_diarizer)?;
        Ok::<_, ApiError>(Some((lease, bounds)))
    };
    let room = app.recordings.room();
    let recordings = for_both(app, file, channel, for_speakers, &room);
    let ((recording, voices), transcriber, diarizer) = tokio::try_join!(recordings, transcriber, diarizer)?;
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
        Some((lease, bounds)) => Some(found_speakers(lease, bounds, voices).await.map_err(of_diarizer)?),
        None => None,
    };
    let steps = holding(steps(speech, speakers, recording.duration_seconds), room);
    Ok(Heard { recording, steps })
}

/// The recording as the recogniser hears it best, and its samples as the network of speakers knows them: of one decode, and
/// the same ones where no other filter is asked.
async fn for_both(
    app: &App,
    file: File,
    channel: Option<usize>,
    for_speakers: Option<ResamplingFilter>,
    room: &Room,
) -> Result<(Recording, Samples), ApiError> {
    let Some(filter) = for_speakers else {
        let [recording] = decoded(app, file, channel, [ResamplingFilter::Steep], room).await?;
        let voices = recording.samples.clone();
        return Ok((recording, voices));
    };
    let [recording, voices] = decoded(app, file, channel, [ResamplingFilter::Steep, filter], room).await?;
    Ok((recording, voices.samples))
}

async fn found_speakers(
    lease: Lease,
    bounds: SpeakerBounds,
    samples: Samples,
) -> Result<inferkit::task::DiarizationStream> {
    let request = bounds.request(samples);
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

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::io::Write;

    use super::*;
    use crate::testing;

    /// A second at 8 kHz.
    fn recording() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&testing::audio::wav(&[0.5])).unwrap();
        file.rewind().unwrap();
        file
    }

    #[tokio::test]
    async fn speakers_of_a_transcript_are_found_in_the_samples_that_a_diarization_gets() {
        let app = testing::app("").await;
        let room = app.recordings.room();
        let for_speakers = Some(ResamplingFilter::Sinc);
        let (speech, voices) = for_both(&app, recording(), None, for_speakers, &room).await.unwrap();
        let [alone] = decoded(&app, recording(), None, [ResamplingFilter::Sinc], &room)
            .await
            .unwrap();
        assert_eq!(voices, alone.samples);
        let (plain, shared) = for_both(&app, recording(), None, None, &room).await.unwrap();
        assert_eq!((&speech, &plain.samples), (&plain, &shared));
        assert_ne!(speech.samples, voices);
    }
}
