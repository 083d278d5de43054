//! The outline of a recording in an answer.

use std::num::NonZeroU32;

use inferkit::audio::peaks;
use inferkit::task::Samples;
use poem_openapi::Object;
use poem_openapi::types::Base64;

use crate::body::Fields;
use crate::error::ApiError;

/// The outline of a recording, for drawing.
#[derive(Debug, Clone, Object)]
#[oai(rename = "AudioPeaks")]
pub(crate) struct PeaksView {
    /// Values per second.
    pub(crate) rate: u32,
    /// The loudest sample of each part, 0 for silence to 127 for full scale: 8-bit integers in base64.
    pub(crate) data: Base64<Vec<u8>>,
}

/// Takes `peaks`: values per second, 1 to 100; 0 is none.
pub(crate) fn peak_rate(fields: &mut Fields) -> Result<Option<NonZeroU32>, ApiError> {
    Ok(fields.number("peaks", 0..=100_u32)?.and_then(NonZeroU32::new))
}

/// The outline of `samples`, if it is wanted. Looks at each of them, which an async worker has no time for.
pub(crate) async fn outline(samples: Samples, rate: Option<NonZeroU32>) -> Result<Option<PeaksView>, ApiError> {
    let Some(rate) = rate else { return Ok(None) };
    let work = tokio::task::spawn_blocking(move || peaks(&samples, rate));
    let peaks = work.await.map_err(|cause| ApiError::internal(&cause))?;
    Ok(Some(PeaksView {
        rate: rate.get(),
        data: Base64(peaks.into_iter().map(i8::cast_unsigned).collect()),
    }))
}
