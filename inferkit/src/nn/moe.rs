//! A mixture of experts: a router picks a few feed-forward blocks for each token.
//!
//! ```text
//! x [t, d] ─ router ─▶ softmax over all experts, f32 ─▶ the best few a token ─▶ rows grouped by expert
//!                                   y [t, d] ◀─ weighted sum, experts ascending ◀─ each expert once
//! ```
//!
//! On the processor the kernels do all of this at once ([`packed`]); elsewhere each expert is a feed-forward block.
//!
//! **Invariant:** a token's sum adds its experts in ascending order, whatever else is in the batch.

mod packed;

use candle_core::DType;
use candle_core::Result;
use candle_core::Tensor;

use self::packed::PackedExperts;
use crate::nn::Linear;
use crate::nn::Mlp;

/// How the router chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routing {
    /// Experts a token goes to.
    pub(crate) per_token: usize,
    /// Whether the chosen experts' weights are scaled to a sum of one.
    pub(crate) normalise: bool,
}

/// A router and its experts.
#[derive(Debug)]
pub(crate) struct Mixture {
    router: Linear,
    experts: Experts,
    routing: Routing,
}

#[derive(Debug)]
enum Experts {
    Packed(PackedExperts),
    Single(Vec<Mlp>),
}

/// An expert's share of a step: which rows it works on and how much its answer counts there.
#[derive(Debug, Default, PartialEq)]
struct Share {
    rows: Vec<u32>,
    weights: Vec<f32>,
}

impl Mixture {
    /// A mixture whose `router` is f32 and gives one logit an expert.
    pub(crate) fn new(router: Linear, experts: Vec<Mlp>, routing: Routing) -> Self {
        Self {
            router,
            experts: PackedExperts::new(experts, routing).map_or_else(Experts::Single, Experts::Packed),
            routing,
        }
    }

    /// `[t, d]` to `[t, d]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let logits = self.router.forward(&x.to_dtype(DType::F32)?)?;
        let experts = match &self.experts {
            Experts::Packed(experts) => return experts.forward(x, &logits, self.routing),
            Experts::Single(experts) => experts,
        };
        let probabilities = candle_nn::ops::softmax_last_dim(&logits)?.to_vec2::<f32>()?;
        let shares = route(&probabilities, experts.len(), self.routing);
        let mut sum = x.zeros_like()?;
        for (expert, share) in experts.iter().zip(&shares).filter(|(_, share)| !share.rows.is_empty()) {
            let rows = Tensor::new(share.rows.as_slice(), x.device())?;
            let weights = Tensor::new(share.weights.as_slice(), x.device())?
                .unsqueeze(1)?
                .to_dtype(x.dtype())?;
            let answer = expert.forward(&x.index_select(&rows, 0)?)?.broadcast_mul(&weights)?;
            sum = sum.index_add(&rows, &answer, 0)?;
        }
        Ok(sum)
    }
}

/// Groups the rows of `probabilities`, `[t][experts]`, by expert.
fn route(probabilities: &[Vec<f32>], experts: usize, routing: Routing) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..experts).map(|_| Share::default()).collect();
    for (row, probabilities) in (0_u32..).zip(probabilities) {
        for (expert, weight) in choose(probabilities, routing) {
            if let Some(share) = shares.get_mut(expert) {
                share.rows.push(row);
                share.weights.push(weight);
            }
        }
    }
    shares
}

/// The most probable experts of one token with their weights; a tie goes to the lower index.
fn choose(probabilities: &[f32], routing: Routing) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = probabilities.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(routing.per_token);
    if routing.normalise {
        let sum: f32 = ranked.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut ranked {
            *weight /= sum;
        }
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::weight::Weight;
    use candle_core::Device;

    #[test]
    fn a_tie_goes_to_the_lower_index_and_weights_may_be_normalised() {
        let routing = Routing {
            per_token: 2,
            normalise: false,
        };
        assert_eq!(choose(&[0.1, 0.3, 0.3, 0.3], routing), [(1, 0.3), (2, 0.3)]);
        let normalised = choose(
            &[0.1, 0.3, 0.3, 0.3],
            Routing {
                normalise: true,
                ..routing
            },
        );
        assert_eq!(normalised, [(1, 0.5), (2, 0.5)]);
    }

    #[test]
    fn each_row_is_the_weighted_sum_of_its_experts() {
        let linear =
            |rows: Vec<Vec<f32>>| Linear::new(&Weight::Plain(Tensor::new(rows, &Device::Cpu).unwrap()), None).unwrap();
        let expert = |scale: f32| Mlp {
            gate: linear(vec![vec![1.0, 1.0]]),
            up: linear(vec![vec![1.0, 1.0]]),
            down: linear(vec![vec![scale], vec![0.0]]),
        };
        let mixture = Mixture::new(
            linear(vec![vec![9.0, 0.0], vec![0.0, 9.0]]),
            vec![expert(1.0), expert(10.0)],
            Routing {
                per_token: 1,
                normalise: true,
            },
        );
        let x = Tensor::new(&[[1_f32, 0.0], [0.0, 1.0], [1.0, 0.0]], &Device::Cpu).unwrap();
        let y = mixture.forward(&x).unwrap().to_vec2::<f32>().unwrap();
        // silu(1) · 1 = 0.731059, scaled by the chosen expert
        for (row, scale) in y.iter().zip([1.0, 10.0, 1.0]) {
            assert!((row[0] - scale * 0.731_059).abs() < 1e-4 && row[1] == 0.0, "{y:?}");
        }
    }

    /// Two layers' worth of numbers that are unlike one another.
    fn experts(weight: impl Fn(&[f32], [usize; 2]) -> Weight) -> Mixture {
        let numbers: Vec<f32> = (0..512_u16).map(|i| f32::from(i * 37 % 101) / 50.0 - 1.0).collect();
        let linear = |seed: usize, size: [usize; 2]| {
            let numbers: Vec<f32> = numbers
                .iter()
                .cycle()
                .skip(seed)
                .take(size[0] * size[1])
                .copied()
                .collect();
            Linear::new(&weight(&numbers, size), None).unwrap()
        };
        let expert = |seed| Mlp {
            gate: linear(seed, [6, 4]),
            up: linear(seed + 7, [6, 4]),
            down: linear(seed + 13, [4, 6]),
        };
        let routing = Routing {
            per_token: 2,
            normalise: true,
        };
        Mixture::new(linear(3, [3, 4]), vec![expert(0), expert(50), expert(90)], routing)
    }

    #[test]
    fn packed_experts_give_what_single_ones_give() {
        let kernels = crate::nn::kernels::Kernels::open().unwrap();
        let packed = experts(|numbers, size| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let format = inferkit_kernels::Format::F32;
            Weight::Packed(crate::nn::packed::PackedMatrix::pack(&kernels, format, size, &bytes).unwrap())
        });
        assert!(matches!(packed.experts, Experts::Packed(_)));
        let single =
            experts(|numbers, [n, k]| Weight::Plain(Tensor::from_slice(numbers, (n, k), &Device::Cpu).unwrap()));
        let x = Tensor::arange(0_f32, 20.0, &Device::Cpu)
            .unwrap()
            .reshape((5, 4))
            .unwrap();
        let x = (x / 10.0).unwrap();
        // Rows of logits, of the sum, of answers and of inner values: what is left over in memory must not show.
        for size in [5 * 3, 5 * 4, 10 * 4, 10 * 6] {
            crate::nn::spare::keep(vec![f32::NAN; size]);
        }
        let difference = (packed.forward(&x).unwrap() - single.forward(&x).unwrap()).unwrap();
        let difference = difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-4, "{difference}");
    }
}
