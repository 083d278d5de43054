mod attention;
mod maps;

use super::{Conv1d, DepthwiseConv1d, Direction, Lstm, LstmState};
use crate::testing::{Guarded, Random, same_bits};
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
    for isa in Isa::available() {
        for (frames, channels, taps, padding) in [(1, 1, 9, 4), (70, 33, 9, 4), (5, 16, 9, 8), (40, 20, 3, 0)] {
            let mut random = Random::new(81);
            let (weight, bias) = (random.floats(taps * channels), random.floats(channels));
            let x = Guarded::new(&random.floats(frames * channels));
            let conv = DepthwiseConv1d {
                weight: &weight,
                bias: &bias,
                padding,
                activation: Activation::Silu,
            };
            let mut out = Guarded::new(&vec![f32::NAN; frames * channels]);
            conv.apply(&Pool::new(3), isa, &x, &mut out);
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
    }
}

#[test]
fn an_lstm_follows_its_equations_in_both_directions() {
    let (steps, hidden) = (30, 20);
    for isa in Isa::available() {
        let mut random = Random::new(82);
        let recurrent: Vec<f32> = random.floats(4 * hidden * hidden).iter().map(|x| 0.3 * x).collect();
        let lstm = Lstm::pack(&Pool::new(1), isa, Format::F32, hidden, &bytes(&recurrent)).unwrap();
        let inputs = random.floats(steps * 4 * hidden);
        for (direction, offset) in [(Direction::Forward, 0), (Direction::Backward, hidden)] {
            let mut out = vec![7.0; steps * 2 * hidden];
            let mut state = LstmState::new(1, hidden);
            lstm.run(
                &mut inputs.clone(),
                &mut state,
                direction,
                &mut out[offset..],
                2 * hidden,
            );
            let (mut h, mut c) = (vec![0.0_f64; hidden], vec![0.0_f64; hidden]);
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            for number in 0..steps {
                let t = if direction == Direction::Forward {
                    number
                } else {
                    steps - 1 - number
                };
                let gate = |gate: usize, i: usize| {
                    let row = gate * hidden + i;
                    let weights = &recurrent[row * hidden..][..hidden];
                    let terms = weights.iter().zip(&h).map(|(w, h)| f64::from(*w) * h);
                    f64::from(inputs[t * 4 * hidden + row]) + terms.sum::<f64>()
                };
                let next: Vec<f64> = (0..hidden)
                    .map(|i| {
                        c[i] = sigmoid(gate(1, i)) * c[i] + sigmoid(gate(0, i)) * gate(2, i).tanh();
                        sigmoid(gate(3, i)) * c[i].tanh()
                    })
                    .collect();
                h = next;
                let found = &out[t * 2 * hidden + offset..][..hidden];
                for (found, expected) in found.iter().zip(&h) {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error < 3e-6,
                        "{} {direction:?}, step {t}: {found}, not {expected}",
                        isa.tier()
                    );
                }
            }
            assert!(
                out[hidden - offset] == 7.0,
                "the other direction's half stays as it was"
            );
        }
    }
}

#[test]
fn sequences_of_a_batch_are_what_they_are_alone() {
    // Groups of panels, panels that are no group, and half a panel.
    for (hidden, format) in [
        (128, Format::F32),
        (128, Format::F32AsBf16),
        (48, Format::F32),
        (24, Format::F32),
    ] {
        check_sequences(hidden, format);
    }
}

fn check_sequences(hidden: usize, format: Format) {
    let (steps, batch) = (12, 9);
    let mut random = Random::new(83);
    let recurrent: Vec<f32> = random.floats(4 * hidden * hidden).iter().map(|x| 0.1 * x).collect();
    let inputs = random.floats(steps * batch * 4 * hidden);
    for isa in Isa::available() {
        let lstm = Lstm::pack(&Pool::new(1), isa, format, hidden, &bytes(&recurrent)).unwrap();
        let mut together = vec![f32::NAN; steps * batch * hidden];
        let mut state = LstmState::new(batch, hidden);
        lstm.run(
            &mut inputs.clone(),
            &mut state,
            Direction::Forward,
            &mut together,
            hidden,
        );
        for row in 0..batch {
            let of_row = |values: &[f32], width: usize| -> Vec<f32> {
                values
                    .chunks(width)
                    .skip(row)
                    .step_by(batch)
                    .flatten()
                    .copied()
                    .collect()
            };
            let mut out = vec![f32::NAN; steps * hidden];
            let mut state = LstmState::new(1, hidden);
            lstm.run(
                &mut of_row(&inputs, 4 * hidden),
                &mut state,
                Direction::Forward,
                &mut out,
                hidden,
            );
            assert!(
                same_bits(&out, &of_row(&together, hidden)),
                "{}, {format:?}, hidden {hidden}, sequence {row}",
                isa.tier()
            );
        }
    }
}

#[test]
#[should_panic(expected = "whole steps of 1 x 4 x 2")]
fn half_a_step_is_refused() {
    let lstm = Lstm::pack(&Pool::new(1), Isa::best(), Format::F32, 2, &[0; 64]).unwrap();
    lstm.run(&mut [0.0; 9], &mut LstmState::new(1, 2), Direction::Forward, &mut [], 2);
}
