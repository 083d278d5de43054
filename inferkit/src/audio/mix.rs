//! Several channels to one.

use super::fault;
use crate::error::Result;

/// Appends one sample to `mono` for each frame of `interleaved`: the average, or the `channel` asked for.
///
/// * `interleaved`: `[t, channels]`, any finite values; beyond −1..=1 they are clamped, as a player does
///
/// Where a packet has fewer channels than the recording, its last one stands in for those that are not there.
///
/// # Errors
/// `invalid_audio` for a value that is no number or infinite: it would spread over the whole window.
pub(super) fn to_mono(interleaved: &[f32], channels: usize, channel: Option<usize>, mono: &mut Vec<f32>) -> Result<()> {
    if !interleaved.iter().all(|value| value.is_finite()) {
        return Err(fault::invalid(
            "the recording holds samples that are no finite numbers (NaN or infinity); write it again with real values",
        ));
    }
    let frames = interleaved.chunks_exact(channels.max(1));
    let wanted = channel.map(|channel| channel.min(channels.saturating_sub(1)));
    let scale = 1.0 / channels.max(1) as f32;
    mono.extend(frames.map(|frame| match wanted {
        Some(channel) => frame.get(channel).copied().unwrap_or_default().clamp(-1.0, 1.0),
        None => frame.iter().map(|value| value.clamp(-1.0, 1.0)).sum::<f32>() * scale,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(interleaved: &[f32], channels: usize, channel: Option<usize>) -> Vec<f32> {
        let mut mono = Vec::new();
        to_mono(interleaved, channels, channel, &mut mono).unwrap();
        mono
    }

    #[test]
    fn channels_are_averaged_unless_one_is_asked_for() {
        let stereo = [0.5, -0.5, 1.0, 0.5];
        assert_eq!(mixed(&stereo, 2, None), [0.0, 0.75]);
        assert_eq!(mixed(&stereo, 2, Some(1)), [-0.5, 0.5]);
        assert_eq!(mixed(&stereo, 1, None), stereo);
        assert_eq!(mixed(&[], 2, None), [0.0; 0]);
    }

    #[test]
    fn a_packet_with_fewer_channels_lends_its_last() {
        assert_eq!(mixed(&[0.25, 0.5], 1, Some(1)), [0.25, 0.5]);
    }

    #[test]
    fn what_exceeds_full_scale_is_clamped() {
        assert_eq!(mixed(&[3.0, -1e30], 1, None), [1.0, -1.0]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = to_mono(&[0.0, value], 2, None, &mut Vec::new()).unwrap_err();
            assert_eq!(error.code(), "invalid_audio");
            assert!(error.to_string().contains("no finite numbers"), "{error}");
        }
    }
}
