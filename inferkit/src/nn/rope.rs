//! Rotary positions: each pair of a head's numbers is turned by an angle that grows with the position.
//!
//! Pairs are half-split, `(i, i + d/2)`, as in the published checkpoints of Llama and Qwen. Angles are
//! computed in f64 from the whole position and rounded once to f32, so that they are as good at position
//! 100,000 as at 1; candle's own models compute them in the type of the model.

mod frequencies;

use std::sync::Arc;

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::RowsMut;
use inferkit_kernels::ops::RopeTable;

use super::kernels::Kernels;
use super::kernels::with_rows;

pub(crate) use frequencies::RopeConfig;
pub(crate) use frequencies::RopeScaling;

/// Positions whose angles are computed at once when the table grows.
const GROWTH: usize = 256;

/// Cosine and sine of every position up to the longest sequence seen.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    /// Turn per position of each pair, radians.
    frequencies: Vec<f64>,
    /// Factor on cosine and sine; 1 except with YaRN.
    magnitude: f64,
    /// `[positions, d/2]`; empty where kernels turn.
    cosines: Vec<f32>,
    /// `[positions, d/2]`; empty where kernels turn.
    sines: Vec<f32>,
    kernels: Option<(Kernels, Arc<RopeTable>)>,
}

/// The angles of one step's tokens.
#[derive(Debug, Clone)]
pub(crate) struct Rotation(Angles);

#[derive(Debug, Clone)]
enum Angles {
    /// Cosine and sine, each `[t, d/2]`.
    Tensors { cosines: Tensor, sines: Tensor },
    /// Looked up by the processor's kernels, by position.
    Table {
        kernels: Kernels,
        table: Arc<RopeTable>,
        positions: Vec<u32>,
    },
}

impl RotaryTable {
    /// A table for heads of `head_dim` numbers, an even count; `kernels` do the turning, where they are given.
    pub(crate) fn new(config: &RopeConfig, head_dim: usize, kernels: Option<&Kernels>) -> Self {
        let (frequencies, magnitude) = (config.frequencies(head_dim), config.magnitude());
        let table = || Arc::new(RopeTable::from_frequencies(&frequencies, magnitude, GROWTH));
        let kernels = kernels.map(|kernels| (kernels.clone(), table()));
        Self {
            frequencies,
            magnitude,
            cosines: Vec::new(),
            sines: Vec::new(),
            kernels,
        }
    }

    /// The rotation of tokens at `positions`; the table grows as far as the largest of them.
    pub(crate) fn rotation(&mut self, positions: &[u32], dtype: DType, device: &Device) -> Result<Rotation> {
        let pairs = self.frequencies.len();
        let needed = positions.iter().max().map_or(0, |last| *last as usize + 1);
        if let Some((kernels, table)) = &mut self.kernels {
            if table.positions() < needed {
                // Doubled, so that a long answer makes few tables.
                let positions = needed.next_power_of_two();
                *table = Arc::new(RopeTable::from_frequencies(
                    &self.frequencies,
                    self.magnitude,
                    positions,
                ));
            }
            return Ok(Rotation(Angles::Table {
                kernels: kernels.clone(),
                table: Arc::clone(table),
                positions: positions.to_vec(),
            }));
        }
        self.grow(needed);
        let gather = |table: &[f32]| {
            let mut rows = Vec::with_capacity(positions.len() * pairs);
            for position in positions {
                let start = *position as usize * pairs;
                rows.extend_from_slice(&table[start..start + pairs]);
            }
            Tensor::from_vec(rows, (positions.len(), pairs), device)?.to_dtype(dtype)
        };
        Ok(Rotation(Angles::Tensors {
            cosines: gather(&self.cosines)?,
            sines: gather(&self.sines)?,
        }))
    }

    fn grow(&mut self, positions: usize) {
        let known = self.cosines.len() / self.frequencies.len().max(1);
        if positions <= known {
            return;
        }
        for position in known..positions.next_multiple_of(GROWTH) {
            for frequency in &self.frequencies {
                let angle = position as f64 * frequency;
                self.cosines.push(rounded(angle.cos() * self.magnitude));
                self.sines.push(rounded(angle.sin() * self.magnitude));
            }
        }
    }
}

impl Rotation {
    /// Turns the heads of `x`, `[t, h, d]`, by the angles of their tokens.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Angles::Tensors { cosines, sines } => {
                candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, cosines, sines)?.squeeze(0)
            }
            Angles::Table {
                kernels,
                table,
                positions,
            } => {
                let (rows, heads, head_dim) = x.dims3()?;
                let mut turned = with_rows(&x.flatten_from(1)?, |rows| {
                    let mut numbers = Vec::with_capacity(rows.rows() * rows.width());
                    (0..rows.rows()).for_each(|row| numbers.extend_from_slice(rows.row(row)));
                    Ok(numbers)
                })?;
                let out = RowsMut::new(&mut turned, heads * head_dim);
                table.apply(kernels.pool(), kernels.isa(), out, head_dim, positions);
                Tensor::from_vec(turned, (rows, heads, head_dim), &Device::Cpu)
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding to f32")]
fn rounded(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(kernels: Option<&Kernels>) -> RotaryTable {
        let config = RopeConfig {
            theta: 100.0,
            scaling: RopeScaling::None,
        };
        RotaryTable::new(&config, 4, kernels)
    }

    /// A table of tensors, and one of the processor's kernels.
    fn tables() -> [RotaryTable; 2] {
        [table(None), table(Some(&Kernels::open().unwrap()))]
    }

    fn turned(table: &mut RotaryTable, positions: &[u32], x: &Tensor) -> Vec<Vec<Vec<f32>>> {
        let rotation = table.rotation(positions, DType::F32, &Device::Cpu).unwrap();
        rotation.apply(x).unwrap().to_vec3().unwrap()
    }

    #[test]
    fn pairs_are_half_split_and_turn_by_position_times_frequency() {
        let x = Tensor::new(&[[[1_f32, 1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]], &Device::Cpu).unwrap();
        for mut table in tables() {
            let turned = turned(&mut table, &[0, 2], &x);
            assert_eq!(turned[0][0], [1.0, 1.0, 0.0, 0.0], "position 0 stays");
            // frequencies 1 and 100^(-1/2): angles 2 and 0.2
            for (found, expected) in turned[1][0]
                .iter()
                .zip([2_f32.cos(), 0.2_f32.cos(), 2_f32.sin(), 0.2_f32.sin()])
            {
                assert!((found - expected).abs() < 1e-6, "{turned:?}");
            }
        }
    }

    #[test]
    fn growing_does_not_change_the_angles_that_are_known() {
        let x = Tensor::new(&[[[1_f32, 0.5, 0.25, 2.0]]], &Device::Cpu).unwrap();
        for mut grown in tables() {
            let early = turned(&mut grown, &[3], &x);
            turned(&mut grown, &[100_000], &x);
            assert_eq!(early, turned(&mut grown, &[3], &x));
        }
    }

    #[test]
    fn no_token_needs_no_angle() {
        for mut table in tables() {
            assert!(table.rotation(&[], DType::F32, &Device::Cpu).is_ok());
        }
    }
}
