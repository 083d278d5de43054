//! The recurrent kernels against the equations in f64, and sequences of a batch against single ones.

use super::bytes;
use crate::speech::{Direction, Lstm, LstmState};
use crate::testing::{Guarded, Random, cut, same_bits};
use crate::{Format, Isa, Pool};

/// Recurrent weights and projected inputs of some sequences.
struct Case {
    hidden: usize,
    batch: usize,
    steps: usize,
    recurrent: Vec<f32>,
    /// `[steps][batch][4 * hidden]`.
    inputs: Vec<f32>,
}

impl Case {
    fn new([hidden, batch, steps]: [usize; 3], size: f32) -> Self {
        let mut random = Random::new(82);
        Self {
            hidden,
            batch,
            steps,
            recurrent: random.floats(4 * hidden * hidden).iter().map(|x| size * x).collect(),
            inputs: random.floats(steps * batch * 4 * hidden),
        }
    }

    fn pack(&self, isa: Isa, format: Format) -> Lstm {
        Lstm::pack(&Pool::new(1), isa, format, self.hidden, &bytes(&self.recurrent)).unwrap()
    }

    fn step_of(&self, direction: Direction, number: usize) -> usize {
        match direction {
            Direction::Forward => number,
            Direction::Backward => self.steps - 1 - number,
        }
    }

    /// Hidden states by the equations, `[steps][batch][hidden]`, with the weights that the format keeps.
    fn reference(&self, format: Format, direction: Direction) -> Vec<f64> {
        let (hidden, width) = (self.hidden, 4 * self.hidden);
        let keep = |w: &f32| match format {
            Format::F32AsBf16 => half::bf16::from_f32(*w).to_f64(),
            _ => f64::from(*w),
        };
        let weights: Vec<f64> = self.recurrent.iter().map(keep).collect();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut out = vec![0.0; self.steps * self.batch * hidden];
        for sequence in 0..self.batch {
            let (mut h, mut c) = (vec![0.0_f64; hidden], vec![0.0_f64; hidden]);
            for number in 0..self.steps {
                let row = self.step_of(direction, number) * self.batch + sequence;
                let gates: Vec<f64> = weights
                    .chunks(hidden)
                    .zip(&self.inputs[row * width..][..width])
                    .map(|(w, x)| f64::from(*x) + w.iter().zip(&h).map(|(w, h)| w * h).sum::<f64>())
                    .collect();
                for i in 0..hidden {
                    let [input, forget, candidate, output] = [0, 1, 2, 3].map(|gate| gates[gate * hidden + i]);
                    c[i] = sigmoid(forget) * c[i] + sigmoid(input) * candidate.tanh();
                    h[i] = sigmoid(output) * c[i].tanh();
                }
                out[row * hidden..][..hidden].copy_from_slice(&h);
            }
        }
        out
    }

    /// One direction in its half of an output of both, whose rows end at a guard page.
    fn check(&self, isa: Isa, format: Format, direction: Direction, expected: &[f64], tolerance: f64) {
        let (hidden, rows) = (self.hidden, self.steps * self.batch);
        let offset = if direction == Direction::Forward { 0 } else { hidden };
        let mut out = Guarded::new(&vec![7.0_f32; rows * 2 * hidden]);
        let mut inputs = Guarded::new(&self.inputs);
        let mut state = LstmState::new(self.batch, hidden);
        let lstm = self.pack(isa, format);
        lstm.run(&mut inputs, &mut state, direction, &mut out[offset..], 2 * hidden);
        for (row, (both, expected)) in out.chunks(2 * hidden).zip(expected.chunks(hidden)).enumerate() {
            for (found, expected) in both[offset..].iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error < tolerance,
                    "{} {format:?} {direction:?}, hidden {hidden}, row {row}: {found}, not {expected}",
                    isa.tier()
                );
            }
            let other = &both[hidden - offset..][..hidden];
            assert!(
                other.iter().all(|&x| x == 7.0),
                "the other direction's half stays as it was"
            );
        }
    }
}

/// Hidden values that fill groups of panels on every tier: kernels of their own for single sequences and for batches.
const WHOLE: usize = cut(128, 32);

const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Backward];

#[test]
fn an_lstm_follows_its_equations_in_both_directions() {
    let case = Case::new([20, 1, 30], 0.3);
    for direction in DIRECTIONS {
        let expected = case.reference(Format::F32, direction);
        for isa in Isa::available() {
            case.check(isa, Format::F32, direction, &expected, 3e-6);
        }
    }
}

#[test]
fn whole_panels_follow_the_equations_too() {
    for batch in [1, 7] {
        let case = Case::new([WHOLE, batch, cut(10, 2)], 0.2);
        for format in [Format::F32, Format::F32AsBf16] {
            for direction in DIRECTIONS {
                let expected = case.reference(format, direction);
                for isa in Isa::available() {
                    // Sums of 129 terms of size one, whose last digits are worth up to 5e-7, on their way through ten steps;
                    // bfloat16 weights are widened exactly, and states are never rounded.
                    case.check(isa, format, direction, &expected, 5e-6);
                }
            }
        }
    }
}

#[test]
fn an_input_that_is_no_number_spoils_what_follows_in_its_sequence_only() {
    let (hidden, steps) = (WHOLE, 5);
    for (batch, sequence) in [(1, 0), (3, 1)] {
        let mut case = Case::new([hidden, batch, steps], 0.2);
        for (isa, format) in Isa::available().flat_map(|isa| [(isa, Format::F32), (isa, Format::F32AsBf16)]) {
            let lstm = case.pack(isa, format);
            let run = |inputs: &[f32]| {
                let mut out = vec![7.0; steps * batch * hidden];
                let mut state = LstmState::new(batch, hidden);
                lstm.run(&mut inputs.to_vec(), &mut state, Direction::Forward, &mut out, hidden);
                out
            };
            let clean = run(&case.inputs);
            let place = (2 * batch + sequence) * 4 * hidden + 9;
            let kept = std::mem::replace(&mut case.inputs[place], f32::NAN);
            let found = run(&case.inputs);
            case.inputs[place] = kept;
            for (row, (found, clean)) in found.chunks(hidden).zip(clean.chunks(hidden)).enumerate() {
                let what = format!("{} {format:?}, row {row} of {batch} sequences", isa.tier());
                match row / batch {
                    // At first one gate of one value, then everything that its state reaches.
                    2 if row % batch == sequence => assert!(found[9].is_nan(), "{what}"),
                    3.. if row % batch == sequence => assert!(found.iter().all(|x| x.is_nan()), "{what}"),
                    _ => assert!(same_bits(found, clean), "{what}"),
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "the mode of processors is not interpreted")]
fn denormal_states_count_as_zero() {
    // The first step lets in so little that it is a denormal number, which the recurrent weights would make a large one.
    for (hidden, batch) in [(128, 1), (128, 3), (20, 1), (20, 3)] {
        let recurrent = bytes(&vec![1e38; 4 * hidden * hidden]);
        let first: Vec<f32> = (0..4 * hidden).map(|i| [-88.0, 0.0, 10.0, 0.0][i / hidden]).collect();
        let mut inputs = first.repeat(batch);
        inputs.resize(2 * batch * 4 * hidden, 0.0);
        for (isa, format) in Isa::available().flat_map(|isa| [(isa, Format::F32), (isa, Format::F32AsBf16)]) {
            let lstm = Lstm::pack(&Pool::new(1), isa, format, hidden, &recurrent).unwrap();
            let mut out = vec![7.0; 2 * batch * hidden];
            let mut state = LstmState::new(batch, hidden);
            lstm.run(&mut inputs.clone(), &mut state, Direction::Forward, &mut out, hidden);
            assert!(
                out.iter().all(|&x| x == 0.0),
                "{} {format:?}, hidden {hidden}, {batch} sequences: {out:?}",
                isa.tier()
            );
        }
    }
}

#[test]
fn sequences_of_a_batch_are_what_they_are_alone() {
    // Groups of panels, panels that are no group, and half a panel.
    for (hidden, format) in [
        (WHOLE, Format::F32),
        (WHOLE, Format::F32AsBf16),
        (48, Format::F32),
        (24, Format::F32),
    ] {
        check_sequences(hidden, format);
    }
}

fn check_sequences(hidden: usize, format: Format) {
    let (steps, batch) = (cut(12, 3), 9);
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
