use super::*;

fn config(padding: Padding, preemphasis: f32) -> MelConfig {
    // Four frequencies' worth of a transform of six samples, each a bin of its own.
    let identity: Vec<f32> = (0..16).map(|at| if at % 5 == 0 { 1.0 } else { 0.0 }).collect();
    MelConfig {
        window: vec![1.0; 4],
        fft_length: 6,
        hop_length: 2,
        padding,
        preemphasis,
        filterbank: Filterbank::from_matrix(4, &identity).unwrap(),
        logarithm: Logarithm::None,
    }
}

/// The sum of a frame's samples, squared: what the lowest frequency holds.
fn lowest(config: MelConfig, samples: &[f32], frame: usize) -> f32 {
    let front_end = MelFrontEnd::new(config).unwrap();
    front_end.log_mel(samples, frame..frame + 1).unwrap().values()[0]
}

fn assert_near(found: f32, expected: f32) {
    assert!(
        (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
        "{found} for {expected}"
    );
}

#[test]
fn a_frame_has_its_middle_at_its_hop_and_zeros_around_the_recording() {
    let samples = [1.0, 2.0, 3.0, 4.0, 5.0];
    // Four samples from two before the middle on.
    assert_near(lowest(config(Padding::Zeros, 0.0), &samples, 0), 9.0);
    assert_near(lowest(config(Padding::Zeros, 0.0), &samples, 1), 100.0);
    assert_near(lowest(config(Padding::Zeros, 0.0), &samples, 2), 144.0);
    assert_near(lowest(config(Padding::Zeros, 0.0), &samples, 9), 0.0);
}

#[test]
fn a_reflection_before_the_recording_leaves_zeros_after_it() {
    let samples = [1.0, 2.0, 3.0, 4.0, 5.0];
    // 3 2 | 1 2, and 3 4 5 | 0.
    assert_near(lowest(config(Padding::ReflectionBefore, 0.0), &samples, 0), 64.0);
    assert_near(lowest(config(Padding::ReflectionBefore, 0.0), &samples, 2), 144.0);
}

#[test]
fn preemphasis_takes_off_the_sample_before_and_leaves_the_first() {
    let samples = [1.0, 2.0, 3.0, 4.0, 5.0];
    // 1, 2 − 0.5, 3 − 1, 4 − 1.5.
    assert_near(lowest(config(Padding::Zeros, 0.5), &samples, 1), 49.0);
}

#[test]
fn powers_are_those_of_the_plain_fourier_sum() {
    let samples: Vec<f32> = (0..12_u8).map(|at| f32::from(at * 7 % 5) - 2.0).collect();
    let front_end = MelFrontEnd::new(config(Padding::Zeros, 0.0)).unwrap();
    let found = front_end.log_mel(&samples, 2..4).unwrap();
    for (frame, found) in found.values().chunks(4).enumerate() {
        for (line, found) in found.iter().enumerate() {
            // Window samples 1..5 of a transform whose first sample is three before the middle.
            let start = 2 * (frame + 2) - 3;
            let (mut real, mut imaginary) = (0.0, 0.0);
            for at in 1..5 {
                let angle = std::f64::consts::TAU * (line * at) as f64 / 6.0;
                real += f64::from(samples[start + at]) * angle.cos();
                imaginary -= f64::from(samples[start + at]) * angle.sin();
            }
            assert!((f64::from(*found) - (real * real + imaginary * imaginary)).abs() < 1e-3);
        }
    }
}

#[test]
fn a_part_of_the_frames_is_a_part_of_all_frames() {
    let samples: Vec<f32> = (0..200_u16).map(|at| f32::from(at * 37 % 101) / 50.0 - 1.0).collect();
    let front_end = MelFrontEnd::new(config(Padding::ReflectionBefore, 0.97)).unwrap();
    let all = front_end.log_mel(&samples, 0..front_end.hops(samples.len())).unwrap();
    assert_eq!(all.frames(), 100);
    let part = front_end.log_mel(&samples, 40..60).unwrap();
    assert_eq!(part.values(), &all.values()[160..240]);
}

#[test]
fn logarithms_guard_against_zero_in_their_own_way() {
    assert_near(Logarithm::NaturalPlus(1.0).of(0.0), 0.0);
    assert_near(Logarithm::NaturalAbove(1.0).of(0.5), 0.0);
    assert_near(Logarithm::Base10Above(0.1).of(0.0), -1.0);
    assert_near(Logarithm::NaturalAbove(1e-9).of(std::f32::consts::E), 1.0);
}

#[test]
fn no_samples_and_short_ones_are_silence_around_them() {
    for padding in [Padding::Zeros, Padding::ReflectionBefore] {
        assert_near(lowest(config(padding, 0.97), &[], 0), 0.0);
        assert!(lowest(config(padding, 0.97), &[1.0], 0).is_finite());
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused_with_all_of_them() {
    let good = config(Padding::Zeros, 0.0);
    for bad in [
        MelConfig {
            window: vec![1.0; 7],
            ..good.clone()
        },
        MelConfig {
            window: Vec::new(),
            ..good.clone()
        },
        MelConfig {
            hop_length: 0,
            ..good.clone()
        },
        MelConfig {
            fft_length: 8,
            ..good.clone()
        },
        MelConfig { fft_length: 0, ..good },
    ] {
        let error = MelFrontEnd::new(bad).unwrap_err();
        assert!(error.to_string().contains("do not fit one another"), "{error}");
    }
}
