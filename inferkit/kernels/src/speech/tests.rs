mod attention;
mod awkward;
mod lstm;
mod maps;
mod memory;

use super::{Conv1d, DepthwiseConv1d};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Activation, Format, Isa, PackedWeight, Pool, Precision};

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn a_convolution_is_the_sum_over_its_taps() {
    for isa in Isa::available() {
        for (frames, channels, taps, stride, padding, n) in [
            (1, 3, 3, 1, 1, 2),
            (20, 5, 3, 1, 1, 19),
            (21, 8, 3, 2, 1, 4),
            (9, 2, 4, 3, 0, 3),
            (2, 2, 5, 1, 2, 3),
            (2, 2, 3, 1, 0, 3),
        ] {
            let mut random = Random::new(80);
            let weight = random.floats(n * taps * channels);
            let (bias, x) = (random.floats(n), Guarded::new(&random.floats(frames * channels)));
            let shape = [n, taps * channels];
            let packed = PackedWeight::pack(&Pool::new(1), isa, Format::F32, shape, &bytes(&weight)).unwrap();
            let activation = Activation::Relu;
            let conv = Conv1d {
                weight: &packed,
                bias: Some(&bias),
                channels,
                stride,
                padding,
                activation,
            };
            let total = conv.frames_out(frames);
            assert_eq!(
                total,
                (frames + 2 * padding)
                    .checked_sub(taps)
                    .map_or(0, |rest| rest / stride + 1)
            );
            let mut out = vec![f32::NAN; total * n];
            conv.apply(&Pool::new(2), Precision::F32, &x, &mut out);
            for (i, found) in out.iter().enumerate() {
                let (t, channel_out) = (i / n, i % n);
                let mut expected = f64::from(bias[channel_out]);
                for tap in 0..taps {
                    let frame = (t * stride + tap) as isize - padding as isize;
                    if (0..frames as isize).contains(&frame) {
                        for channel in 0..channels {
                            let w = weight[(channel_out * taps + tap) * channels + channel];
                            expected += f64::from(w) * f64::from(x[frame as usize * channels + channel]);
                        }
                    }
                }
                let error = (f64::from(*found) - expected.max(0.0)).abs();
                assert!(
                    error < 3e-6,
                    "{}: frame {t} of {total} is {found}, not {expected}",
                    isa.tier()
                );
            }
        }
    }
}

#[test]
fn a_depthwise_convolution_keeps_channels_apart() {
    // The last but one has several units of work.
    let long = cut(1_100, 40);
    for isa in Isa::available() {
        for case in [
            (1, 1, 9, 4),
            (70, 33, 9, 4),
            (5, 16, 9, 8),
            (long, 33, 9, 4),
            (40, 20, 3, 0),
        ] {
            check_depthwise(isa, case);
        }
    }
}

fn check_depthwise(isa: Isa, (frames, channels, taps, padding): (usize, usize, usize, usize)) {
    let mut random = Random::new(81);
    let (weight, bias) = (random.floats(taps * channels), random.floats(channels));
    let (weight, bias) = (Guarded::new(&weight), Guarded::new(&bias));
    let x = Guarded::new(&random.floats(frames * channels));
    let conv = DepthwiseConv1d {
        weight: &weight,
        bias: &bias,
        padding,
        activation: Activation::Silu,
    };
    let run = |threads: usize| {
        let mut out = Guarded::new(&vec![f32::NAN; frames * channels]);
        conv.apply(&Pool::new(threads), isa, &x, &mut out);
        out
    };
    let out = run(3);
    for threads in [1, 2, 8] {
        assert!(same_bits(&run(threads), &out), "{}, {threads} threads", isa.tier());
    }
    for (i, found) in out.iter().enumerate() {
        let (t, channel) = (i / channels, i % channels);
        let mut sum = f64::from(bias[channel]);
        for tap in 0..taps {
            let frame = (t + tap) as isize - padding as isize;
            if (0..frames as isize).contains(&frame) {
                let x = x[frame as usize * channels + channel];
                sum += f64::from(weight[tap * channels + channel]) * f64::from(x);
            }
        }
        let expected = sum / (1.0 + (-sum).exp());
        assert!(
            (f64::from(*found) - expected).abs() < 3e-6,
            "{}: {found}, not {expected}",
            isa.tier()
        );
    }
}
