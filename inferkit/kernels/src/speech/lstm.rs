//! The recurrent part of a long short-term memory.
//!
//! The product of all inputs with the input weights is one [`gemm`](crate::gemm) before the first step; what remains for a
//! step is the product of the hidden state with the recurrent weights, and the gates:
//!
//! ```text
//! i, f, g, o = x_t · Wᵀ + b + h · Uᵀ
//! c = sigmoid(f) * c + sigmoid(i) * tanh(g)        h = sigmoid(o) * tanh(c)
//! ```
//!
//! Gates stand in PyTorch's order: input, forget, cell, output.

mod batch;
mod single;

use crate::denormals::FlushDenormals;
use crate::simd::{Simd, float_tiers, sigmoid, tanh};
use crate::{Format, Isa, PackError, PackedWeight, Pool, Precision, Product, Rows, RowsMut, gemm};

/// The recurrent weights of one direction.
#[derive(Debug)]
pub struct Lstm {
    recurrent: PackedWeight,
}

/// What an LSTM remembers between steps, for a batch of sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct LstmState {
    /// `[batch, hidden]`.
    pub hidden: Vec<f32>,
    /// `[batch, hidden]`.
    pub cell: Vec<f32>,
}

impl LstmState {
    /// Zeros.
    pub fn new(batch: usize, hidden: usize) -> Self {
        Self {
            hidden: vec![0.0; batch * hidden],
            cell: vec![0.0; batch * hidden],
        }
    }
}

/// In which order steps are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Backward,
}

impl Lstm {
    /// Packs the recurrent weights U, `[4 * hidden, hidden]` in `format`: bfloat16 halves what a step reads.
    ///
    /// # Errors
    /// [`PackError`] as for every weight.
    pub fn pack(pool: &Pool, isa: Isa, format: Format, hidden: usize, bytes: &[u8]) -> Result<Self, PackError> {
        let rows = hidden
            .checked_mul(4)
            .ok_or(PackError::TooLarge { n: hidden, k: hidden })?;
        Ok(Self {
            recurrent: PackedWeight::pack(pool, isa, format, [rows, hidden], bytes)?,
        })
    }

    /// Width of the hidden state.
    pub fn hidden(&self) -> usize {
        self.recurrent.k()
    }

    /// Memory that the packed weights take.
    pub fn bytes(&self) -> usize {
        self.recurrent.bytes()
    }

    /// Takes all steps.
    ///
    /// * `projected`: `[t, batch, 4 * hidden]`, the inputs' products with bias; overwritten with the gates' sums
    /// * `out`: `[t, batch, ...]` of rows `out_width` apart, of which the first `hidden` values are written: both directions
    ///   of a layer share one output when the second passes a slice that begins `hidden` later
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn run(
        &self,
        projected: &mut [f32],
        state: &mut LstmState,
        direction: Direction,
        out: &mut [f32],
        out_width: usize,
    ) {
        let (batch, steps) = self.check(projected, state, out, out_width);
        let _flush = FlushDenormals::new();
        let mut order = (0..steps).map(|number| match direction {
            Direction::Forward => number,
            Direction::Backward => steps - 1 - number,
        });
        if !batch::fits(&self.recurrent) {
            return self.take_plain_steps(projected, state, &mut order, out, out_width);
        }
        let mut all = single::Steps {
            recurrent: &self.recurrent,
            gates: projected.as_mut_ptr(),
            hidden: &mut state.hidden,
            cell: &mut state.cell,
            out: out.as_mut_ptr(),
            out_width,
        };
        let isa = self.recurrent.isa();
        // SAFETY: `projected` holds four gates of `hidden` values for each step and sequence, and `out` a row of as many; both
        // were checked above. The weight has four rows for each hidden value, in whole panels, or groups of panels for a
        // single sequence. Its ISA exists.
        unsafe {
            if batch == 1 && single::fits(&self.recurrent) {
                single::take_steps(isa, &mut all, &mut order);
            } else {
                batch::take_steps(isa, &mut all, &mut order);
            }
        }
    }

    /// Sequences and steps, after the shapes of [`run`](Self::run) have been compared.
    fn check(&self, projected: &[f32], state: &LstmState, out: &[f32], out_width: usize) -> (usize, usize) {
        let hidden = self.hidden();
        let batch = state.hidden.len() / hidden;
        assert!(
            batch > 0 && state.hidden.len() == batch * hidden,
            "a state of whole rows of {hidden}"
        );
        assert_eq!(
            state.cell.len(),
            state.hidden.len(),
            "cell and hidden state have one shape"
        );
        let step = batch * 4 * hidden;
        assert!(
            projected.len().is_multiple_of(step),
            "whole steps of {batch} x 4 x {hidden}"
        );
        let steps = projected.len() / step;
        let needed = (steps * batch)
            .checked_sub(1)
            .map_or(0, |last| last * out_width + hidden);
        assert!(
            out_width >= hidden && out.len() >= needed,
            "{} values for rows of {hidden}, {out_width} apart",
            out.len()
        );
        (batch, steps)
    }

    /// Steps of weights whose rows do not fill panels: products as everywhere, and gates row by row.
    fn take_plain_steps(
        &self,
        projected: &mut [f32],
        state: &mut LstmState,
        order: &mut dyn Iterator<Item = usize>,
        out: &mut [f32],
        out_width: usize,
    ) {
        let hidden = self.hidden();
        let batch = state.hidden.len() / hidden;
        let step = batch * 4 * hidden;
        // One thread: a step is far shorter than it takes to wake a second.
        let alone = Pool::new(1);
        for t in order {
            let gates = &mut projected[t * step..(t + 1) * step];
            let epilogue = crate::Epilogue::default().with_residual(crate::Residual::Output);
            let product = Product::new(&self.recurrent, RowsMut::new(gates, 4 * hidden)).with_epilogue(epilogue);
            gemm(&alone, Rows::new(&state.hidden, hidden), Precision::F32, &mut [product]);
            for row in 0..batch {
                let gates = &gates[row * 4 * hidden..][..4 * hidden];
                let cell = &mut state.cell[row * hidden..][..hidden];
                let own = &mut state.hidden[row * hidden..][..hidden];
                // SAFETY: the four gates, cell and hidden state hold `hidden` values each. The weight's ISA exists.
                unsafe { gate_row(self.recurrent.isa(), gates.as_ptr(), cell, own.as_mut_ptr()) };
                out[(t * batch + row) * out_width..][..hidden].copy_from_slice(own);
            }
        }
    }
}

float_tiers! {
    fn gate_row(gates: *const f32, cell: &mut [f32], out: *mut f32) = gate;
}

#[inline(always)]
unsafe fn gate<S: Simd>(gates: *const f32, cell: &mut [f32], out: *mut f32) {
    let hidden = cell.len();
    let cell = cell.as_mut_ptr();
    for at in (0..hidden).step_by(S::LANES) {
        let lanes = S::LANES.min(hidden - at);
        let input = sigmoid::<S>(S::load_head(gates.add(at), lanes));
        let forget = sigmoid::<S>(S::load_head(gates.add(hidden + at), lanes));
        let candidate = tanh::<S>(S::load_head(gates.add(2 * hidden + at), lanes));
        let output = sigmoid::<S>(S::load_head(gates.add(3 * hidden + at), lanes));
        let kept = S::mul(forget, S::load_head(cell.add(at), lanes));
        let next = S::fma(input, candidate, kept);
        S::store_head(cell.add(at), lanes, next);
        S::store_head(out.add(at), lanes, S::mul(output, tanh::<S>(next)));
    }
}
