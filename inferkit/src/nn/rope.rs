//! Rotary positions: each pair of a head's numbers is turned by an angle that grows with the position.
//!
//! Pairs are half-split, `(i, i + d/2)`, as in the published checkpoints of Llama and Qwen. Angles are
//! computed in f64 from the whole position and rounded once to f32, so that they are as good at position
//! 100,000 as at 1; candle's own models compute them in the type of the model.

mod frequencies;

use candle_core::DType;
use candle_core::Device;
use candle_core::Result;
use candle_core::Tensor;

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
    /// `[positions, d/2]`.
    cosines: Vec<f32>,
    /// `[positions, d/2]`.
    sines: Vec<f32>,
}

/// Cosine and sine of one step's tokens, each `[t, d/2]`.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

impl RotaryTable {
    /// A table for heads of `head_dim` numbers, an even count.
    pub(crate) fn new(config: &RopeConfig, head_dim: usize) -> Self {
        Self {
            frequencies: config.frequencies(head_dim),
            magnitude: config.magnitude(),
            cosines: Vec::new(),
            sines: Vec::new(),
        }
    }

    /// The rotation of tokens at `positions`; the table grows as far as the largest of them.
    pub(crate) fn rotation(&mut self, positions: &[u32], dtype: DType, device: &Device) -> Result<Rotation> {
        let pairs = self.frequencies.len();
        self.grow(positions.iter().max().map_or(0, |last| *last as usize + 1));
        let gather = |table: &[f32]| {
            let mut rows = Vec::with_capacity(positions.len() * pairs);
            for position in positions {
                let start = *position as usize * pairs;
                rows.extend_from_slice(&table[start..start + pairs]);
            }
            Tensor::from_vec(rows, (positions.len(), pairs), device)?.to_dtype(dtype)
        };
        Ok(Rotation {
            cosines: gather(&self.cosines)?,
            sines: gather(&self.sines)?,
        })
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
        candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, &self.cosines, &self.sines)?.squeeze(0)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding to f32")]
fn rounded(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RotaryTable {
        RotaryTable::new(
            &RopeConfig {
                theta: 100.0,
                scaling: RopeScaling::None,
            },
            4,
        )
    }

    #[test]
    fn pairs_are_half_split_and_turn_by_position_times_frequency() {
        let rotation = table().rotation(&[0, 2], DType::F32, &Device::Cpu).unwrap();
        let x = Tensor::new(&[[[1_f32, 1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]]], &Device::Cpu).unwrap();
        let turned = rotation.apply(&x).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!(turned[0][0], [1.0, 1.0, 0.0, 0.0], "position 0 stays");
        // frequencies 1 and 100^(-1/2): angles 2 and 0.2
        for (found, expected) in turned[1][0]
            .iter()
            .zip([2_f32.cos(), 0.2_f32.cos(), 2_f32.sin(), 0.2_f32.sin()])
        {
            assert!((found - expected).abs() < 1e-6, "{turned:?}");
        }
    }

    #[test]
    fn growing_does_not_change_the_angles_that_are_known() {
        let mut grown = table();
        let early = grown
            .rotation(&[3], DType::F32, &Device::Cpu)
            .unwrap()
            .cosines
            .to_vec2::<f32>()
            .unwrap();
        grown.rotation(&[100_000], DType::F32, &Device::Cpu).unwrap();
        let late = grown
            .rotation(&[3], DType::F32, &Device::Cpu)
            .unwrap()
            .cosines
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(early, late);
    }

    #[test]
    fn no_token_needs_no_angle() {
        assert_eq!(
            table().rotation(&[], DType::F32, &Device::Cpu).unwrap().cosines.dims(),
            [0, 2]
        );
    }
}
