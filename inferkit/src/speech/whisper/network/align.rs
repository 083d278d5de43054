//! Where the tokens of a text look.

use candle_core::DType;
use candle_core::Result;
use candle_core::Tensor;

use super::Alignment;
use super::decoder::Decoder;
use super::plan::DecoderStep;
use crate::nn::products;

impl Decoder {
    /// See [`super::Network::align`].
    ///
    /// Scores are computed a second time for the few heads that are asked for: attention itself never writes them down.
    pub(super) fn align(&mut self, step: &DecoderStep, states: &Tensor, heads: &[(usize, usize)]) -> Result<Alignment> {
        let mut queries: Vec<Option<Tensor>> = vec![None; self.layers.len()];
        let logits = self.run(step, |layer, of_layer| {
            if let Some(kept) = queries
                .get_mut(layer)
                .filter(|_| heads.iter().any(|(wanted, _)| *wanted == layer))
            {
                *kept = Some(of_layer.clone());
            }
        })?;
        let mut keys: Vec<Option<Tensor>> = vec![None; self.layers.len()];
        let mut scores = Vec::with_capacity(heads.len());
        for &(layer, head) in heads {
            let (Some(weights), Some(Some(queries)), Some(keys)) =
                (self.layers.get(layer), queries.get(layer), keys.get_mut(layer))
            else {
                candle_core::bail!("the decoder has no layer {layer}")
            };
            let of_layer = if let Some(keys) = keys {
                keys.clone()
            } else {
                let computed = weights.sound.split(&weights.sound.key.forward(states)?)?;
                keys.insert(computed).clone()
            };
            let of_head = |x: &Tensor| x.narrow(1, head, 1)?.squeeze(1)?.to_dtype(DType::F32)?.contiguous();
            let (queries, keys) = (of_head(queries)?, of_head(&of_layer)?);
            let scale = (queries.dim(1)? as f64).powf(-0.5);
            let products = products(&queries, &keys, self.kernels.as_ref())?;
            scores.push((products * scale)?.flatten_all()?.to_vec1()?);
        }
        Ok(Alignment { scores, logits })
    }
}
