//! Order statistics of measured values.

/// Measured values, sorted.
#[derive(Debug, Clone)]
pub struct Figures {
    sorted: Vec<f64>,
}

impl Figures {
    /// Sorts `values`, which must be finite.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { sorted: values }
    }

    /// The value below which `share` (0..=1) of all values lie; NaN without values.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list of measurements"
        )]
        let place = (share * last as f64).round() as usize;
        self.sorted.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The middle value.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The least value.
    pub fn least(&self) -> f64 {
        self.quantile(0.0)
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let figures = Figures::new(vec![3.0, 1.0, 2.0, 5.0, 4.0]);
        assert_eq!(
            (figures.least(), figures.median(), figures.quantile(1.0)),
            (1.0, 3.0, 5.0)
        );
        assert!(Figures::new(Vec::new()).median().is_nan());
    }
}
