//! Files made of samples.

/// A WAV file of 16 bits of `frames`, each a sample for every channel.
pub(crate) fn wav<const CHANNELS: usize>(rate: u32, frames: &[[f32; CHANNELS]]) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "samples lie within −1..=1")]
    let data: Vec<u8> = frames
        .as_flattened()
        .iter()
        .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes())
        .collect();
    let channels = u16::try_from(CHANNELS).unwrap();
    let length = u32::try_from(data.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(channels) * 2).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend(b"\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}

/// `samples` of 16 kHz at another rate, by straight lines between them: good enough for speech.
pub(crate) fn at_rate(rate: u32, samples: &[f32]) -> Vec<f32> {
    let step = 16_000.0 / f64::from(rate);
    let count = (samples.len() as f64 / step).floor();
    let sample = |place: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in the slice"
        )]
        let before = place.floor() as usize;
        let [left, right] = [before, before + 1].map(|at| samples.get(at).copied().unwrap_or(0.0));
        #[expect(clippy::cast_possible_truncation, reason = "a share of one")]
        let share = place.fract() as f32;
        left + (right - left) * share
    };
    let mut resampled = Vec::new();
    let mut number = 0.0;
    while number < count {
        resampled.push(sample(number * step));
        number += 1.0;
    }
    resampled
}
