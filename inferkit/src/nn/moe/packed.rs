//! Experts packed for the processor's kernels: all of them in two products, each row prepared once.

use candle_core::Result;
use candle_core::Tensor;
use inferkit_kernels::Activation;
use inferkit_kernels::GatedExperts;
use inferkit_kernels::PackedWeight;
use inferkit_kernels::Renormalize;
use inferkit_kernels::Routes;
use inferkit_kernels::Rows;
use inferkit_kernels::RowsMut;
use inferkit_kernels::gemm_grouped;
use inferkit_kernels::gemm_grouped_gated;

use super::Routing;
use crate::nn::Linear;
use crate::nn::Mlp;
use crate::nn::kernels::Kernels;
use crate::nn::kernels::make_rows;
use crate::nn::kernels::with_rows;
use crate::nn::spare;

/// The matrices of all experts.
#[derive(Debug)]
pub(super) struct PackedExperts {
    gates: Vec<PackedWeight>,
    ups: Vec<PackedWeight>,
    downs: Vec<PackedWeight>,
    kernels: Kernels,
}

impl PackedExperts {
    /// The experts, or `experts` again where they are not all packed alike, or a router of `routing` cannot choose among them.
    pub(super) fn new(experts: Vec<Mlp>, routing: Routing) -> std::result::Result<Self, Vec<Mlp>> {
        let kernels = match experts.first().and_then(|expert| expert.gate.packed_kernels()) {
            Some(kernels) if fit(&experts, routing) => kernels.clone(),
            _ => return Err(experts),
        };
        let mut packed = Self {
            gates: Vec::with_capacity(experts.len()),
            ups: Vec::with_capacity(experts.len()),
            downs: Vec::with_capacity(experts.len()),
            kernels,
        };
        for expert in experts {
            packed.gates.extend(expert.gate.into_sole_weight());
            packed.ups.extend(expert.up.into_sole_weight());
            packed.downs.extend(expert.down.into_sole_weight());
        }
        Ok(packed)
    }

    /// `x`, `[t, d]`, to `[t, d]` by the router's `logits`, `[t, experts]`.
    pub(super) fn forward(&self, x: &Tensor, logits: &Tensor, routing: Routing) -> Result<Tensor> {
        let renormalize = if routing.normalise {
            Renormalize::Yes
        } else {
            Renormalize::No
        };
        let (_, d) = x.dims2()?;
        let routes = with_rows(logits, |logits| {
            Ok(Routes::top_k(logits, routing.per_token, renormalize))
        })?;
        let width = self.gates.first().map_or(d, PackedWeight::n);
        let mut inner = spare::floats(routes.pairs() * width);
        let mut answers = spare::floats(routes.pairs() * d);
        let sum = with_rows(x, |rows| {
            let (pool, precision) = (self.kernels.pool(), self.kernels.precision());
            let experts = GatedExperts {
                gate: &self.gates,
                up: &self.ups,
                activation: Activation::Silu,
            };
            gemm_grouped_gated(pool, rows, precision, experts, &routes, RowsMut::new(&mut inner, width));
            let (inner, out) = (Rows::new(&inner, width), RowsMut::new(&mut answers, d));
            gemm_grouped(pool, inner, precision, &self.downs, &routes, out);
            make_rows(rows.rows(), d, |out| routes.combine(pool, Rows::new(&answers, d), out))
        });
        spare::keep(inner);
        spare::keep(answers);
        sum
    }
}

/// Whether the kernels take these experts together: of one shape and kind, owned by nobody else.
fn fit(experts: &[Mlp], routing: Routing) -> bool {
    let shape = |linear: &Linear| linear.sole_shape();
    let Some(first) = experts.first() else {
        return false;
    };
    let (gate, up, down) = (shape(&first.gate), shape(&first.up), shape(&first.down));
    (1..=experts.len()).contains(&routing.per_token)
        && gate.is_some()
        && gate == up
        && gate
            .zip(down)
            .is_some_and(|(gate, down)| gate.size == [down.size[1], down.size[0]])
        && experts
            .iter()
            .all(|expert| shape(&expert.gate) == gate && shape(&expert.up) == up && shape(&expert.down) == down)
}
