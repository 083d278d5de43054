use std::f64::consts::TAU;

use super::*;

/// Rates of telephones, computers, studios and one that shares no factor with 16 kHz.
const COMMON: [u32; 9] = [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 12_347];

/// `samples` at 16 kHz, handed over in pieces of `piece`.
fn converted(samples: &[f32], rate: u32, piece: usize) -> Vec<f32> {
    let mut resampler = Resampler::new(rate, ResamplingFilter::Steep).unwrap();
    let mut output = Vec::new();
    for piece in samples.chunks(piece) {
        resampler.push(piece, &mut output).unwrap();
    }
    resampler.finish(&mut output).unwrap();
    output
}

/// One second of a tone.
#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is meant")]
fn tone(hertz: f64, rate: u32) -> Vec<f32> {
    (0..rate)
        .map(|frame| (0.5 * (TAU * hertz * f64::from(frame) / f64::from(rate)).sin()) as f32)
        .collect()
}

/// Root mean square of the middle, in dB over that of the tone that was sent.
fn level_db(samples: &[f32]) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let mean = middle.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / middle.len() as f64;
    10.0 * (mean / 0.125).log10()
}

#[test]
fn the_passband_is_flat() {
    for rate in COMMON {
        for hertz in [100.0, 1_000.0, 3_500.0, 7_000.0, 7_600.0] {
            if hertz > f64::from(rate) * 0.475 {
                continue;
            }
            let level = level_db(&converted(&tone(hertz, rate), rate, 1_152));
            assert!(level.abs() < 0.01, "{hertz} Hz from {rate}: {level:.4} dB");
        }
    }
}

#[test]
fn what_lies_above_eight_kilohertz_does_not_fold_back() {
    for rate in [22_050, 32_000, 44_100, 48_000, 96_000] {
        for hertz in [8_200.0, 9_000.0, 10_500.0] {
            let level = level_db(&converted(&tone(hertz, rate), rate, 1_152));
            assert!(level < -130.0, "{hertz} Hz from {rate}: {level:.1} dB");
        }
    }
}

#[test]
fn what_lies_above_half_of_a_low_rate_stays_empty() {
    // The mirror image of a 3 kHz tone at 8 kHz lies at 5 kHz; a sum against that tone finds it.
    let samples = converted(&tone(3_000.0, 8_000), 8_000, 1_152);
    let at = |hertz: f64| {
        let middle = samples.iter().enumerate().skip(4_000).take(8_000);
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (frame, value) in middle {
            let angle = TAU * hertz * frame as f64 / 16_000.0;
            real += f64::from(*value) * angle.cos();
            imaginary += f64::from(*value) * angle.sin();
        }
        20.0 * ((real.hypot(imaginary) / 4_000.0) / 0.5).log10()
    };
    assert!(at(3_000.0).abs() < 0.01, "{}", at(3_000.0));
    assert!(at(5_000.0) < -100.0, "{}", at(5_000.0));
}

#[test]
fn an_impulse_keeps_its_place() {
    for rate in COMMON {
        let mut samples = vec![0.0; rate as usize];
        samples[rate as usize / 2] = 1.0;
        let output = converted(&samples, rate, 1_152);
        let (loudest, _) = output
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
            .unwrap();
        let expected = f64::from(rate / 2) / f64::from(rate) * 16_000.0;
        assert!(
            (loudest as f64 - expected).abs() <= 0.5,
            "{rate}: {loudest}, expected {expected}"
        );
    }
}

#[test]
fn a_tone_keeps_its_phase() {
    for rate in COMMON {
        let output = converted(&tone(1_000.0, rate), rate, 1_152);
        let expected = tone(1_000.0, 16_000);
        let furthest = output[4_000..12_000]
            .iter()
            .zip(&expected[4_000..12_000])
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // Single precision through two transforms of some thousand points.
        assert!(furthest < 2e-5, "{rate}: {furthest}");
    }
}

/// A quarter of a second of the tones that `tests/golden/resample/make.py` describes.
#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is meant")]
fn many_tones(rate: u32) -> Vec<f32> {
    let passes = |hertz: &f64| *hertz < (0.45 * f64::from(rate)).min(7_300.0) || *hertz > 8_800.0;
    let tones: Vec<(f64, f64)> = (0..213)
        .map(|number| (113.0_f64.mul_add(f64::from(number), 50.0), f64::from(number * number)))
        .take_while(|(hertz, _)| *hertz < f64::from(rate / 2))
        .filter(|(hertz, _)| passes(hertz))
        .collect();
    (0..rate / 4)
        .map(|frame| {
            let time = f64::from(frame) / f64::from(rate);
            let values = tones
                .iter()
                .map(|(hertz, phase)| 0.01 * (TAU * hertz * time + phase).sin());
            (values.sum::<f64>() * (2.0 * TAU * time).sin().powi(2)) as f32
        })
        .collect()
}

#[test]
fn many_tones_at_once_are_what_a_reference_resampler_makes_of_them() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/resample");
    for rate in [8_000, 22_050, 44_100, 48_000] {
        let bytes = std::fs::read(folder.join(format!("{rate}.f32"))).unwrap();
        let (numbers, _) = bytes.as_chunks::<4>();
        let expected: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let found = converted(&many_tones(rate), rate, 1_152);
        assert_eq!(found.len(), expected.len());
        let furthest = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        let loudest = expected.iter().map(|value| value.abs()).fold(0.0, f32::max);
        // A tone that is off by 0.01 dB, as the passband may be, would be off by 1e-3 of itself.
        assert!(furthest < 3e-4 * loudest, "{rate}: {furthest} of {loudest}");
    }
}

#[test]
fn the_length_is_that_of_the_recording() {
    for rate in COMMON {
        for frames in [1, 2, 7, 4_095, 4_096, 4_097, 10_001] {
            let expected = (frames * 16_000_usize).div_ceil(rate as usize);
            assert_eq!(
                converted(&vec![0.1; frames], rate, 1_000).len(),
                expected,
                "{frames} at {rate}"
            );
        }
    }
}

#[test]
fn how_the_samples_are_cut_changes_nothing() {
    let samples = tone(440.0, 44_100);
    let whole = converted(&samples, 44_100, samples.len());
    for piece in [1_000, 4_096, 4_410, 9_999] {
        assert_eq!(converted(&samples, 44_100, piece), whole, "pieces of {piece}");
    }
}

#[test]
fn nothing_stays_nothing_and_sixteen_kilohertz_stays_as_it_is() {
    assert_eq!(converted(&[], 48_000, 1), [0.0; 0]);
    assert_eq!(converted(&[0.25, -1.0, 0.5], 16_000, 2), [0.25, -1.0, 0.5]);
}

#[test]
fn rates_that_no_recording_has_are_refused() {
    for rate in [0, 1, 999, 384_001, u32::MAX] {
        let error = Resampler::new(rate, ResamplingFilter::Steep).err().unwrap();
        assert_eq!(error.code(), "invalid_audio");
        assert!(error.to_string().contains(&rate.to_string()), "{error}");
    }
}
