//! How the next token is drawn.

/// How the next token is drawn from the model's distribution.
///
/// Every field left `None` takes the model's own default (its `generation_config.json`), and where
/// that is silent too, the neutral value. The order of application is: bias, penalties, temperature,
/// top-k, top-p, min-p, draw.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// 0..=2; 0 always takes the most probable token, ties to the lowest id.
    pub temperature: Option<f32>,
    /// Smallest set of tokens whose probabilities sum to this, (0, 1].
    pub top_p: Option<f32>,
    /// Most probable tokens kept; 0 keeps all.
    pub top_k: Option<usize>,
    /// Least probability relative to the most probable token, 0..=1.
    pub min_p: Option<f32>,
    /// Divides (or multiplies, if negative) the logits of tokens of prompt and answer; above 0, 1 is neutral.
    pub repetition_penalty: Option<f32>,
    /// Subtracted once for each time a token stands in the answer, −2..=2.
    pub frequency_penalty: Option<f32>,
    /// Subtracted once for each token that stands in the answer, −2..=2.
    pub presence_penalty: Option<f32>,
    /// Added to the logits of single tokens, −100..=100.
    pub logit_bias: Vec<(u32, f32)>,
    /// Start of the random numbers; choice `i` draws from (seed, i). `None` takes a random one.
    pub seed: Option<u64>,
}

impl Sampling {
    /// Always the most probable token.
    pub fn greedy() -> Self {
        Self::default().with_temperature(0.0)
    }

    /// Sets the temperature.
    #[must_use]
    pub fn with_temperature(self, temperature: f32) -> Self {
        Self {
            temperature: Some(temperature),
            ..self
        }
    }

    /// Sets the start of the random numbers.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..self
        }
    }
}
