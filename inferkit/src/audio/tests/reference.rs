//! The sound of `tests/golden/audio` by its formula (see `scripts/make-audio-fixtures.sh`).

use std::f64::consts::PI;
use std::f64::consts::TAU;

/// One second at 16 kHz.
pub(super) fn mono() -> Vec<f32> {
    at_16_khz(tones)
}

/// What the first channel of the stereo files has besides, and the second has less.
pub(super) fn side() -> Vec<f32> {
    at_16_khz(|t| 0.1 * (TAU * 700.0 * t).sin())
}

fn tones(t: f64) -> f64 {
    0.3 * (TAU * (200.0 * t + 300.0 * t * t)).sin()
        + 0.2 * (TAU * 1_500.0 * t).sin()
        + 0.1 * (TAU * (3_000.0 * t + 250.0 * t * t)).sin()
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is meant")]
fn at_16_khz(sound: impl Fn(f64) -> f64) -> Vec<f32> {
    let times = (0..16_000).map(|frame| f64::from(frame) / 16_000.0);
    times.map(|t| ((PI * t).sin().powi(2) * sound(t)) as f32).collect()
}

/// Signal over error, in dB, of `found` shifted back by `delay` samples.
pub(super) fn accuracy_db(found: &[f32], expected: &[f32], delay: usize) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let at = |frame: usize| f64::from(found.get(frame + delay).copied().unwrap_or_default());
    let signal = power(&mut expected.iter().map(|value| f64::from(*value)));
    let error = power(
        &mut expected
            .iter()
            .enumerate()
            .map(|(frame, value)| at(frame) - f64::from(*value)),
    );
    10.0 * (signal / error.max(f64::MIN_POSITIVE)).log10()
}
