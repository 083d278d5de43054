//! Triangular filters from powers of a spectrum to mel bins.

use std::ops::Range;

use crate::error::Error;
use crate::error::Result;

/// A matrix `[m, f]` of which only the part of each row that is not zero is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filterbank {
    spectrum: usize,
    filters: Vec<Filter>,
}

/// One row: its numbers from `start` on.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    start: usize,
    weights: Vec<f32>,
}

impl Filterbank {
    /// A filterbank of `bins` rows, as model files store it.
    ///
    /// * `matrix`: `[bins, f]`, row-major
    ///
    /// # Errors
    /// [`Error::BadModel`] when the numbers are not whole rows, or not all finite.
    pub(crate) fn from_matrix(bins: usize, matrix: &[f32]) -> Result<Self> {
        let spectrum = matrix.len().checked_div(bins).unwrap_or(0);
        let whole = spectrum > 0 && matrix.len().is_multiple_of(bins);
        if !whole || matrix.iter().any(|weight| !weight.is_finite()) {
            return Err(Error::bad_model(format!(
                "features: {} numbers are no filterbank of {bins} rows; the model's files are damaged",
                matrix.len()
            )));
        }
        let filters = matrix.chunks_exact(spectrum).map(Filter::new).collect();
        Ok(Self { spectrum, filters })
    }

    /// Triangles that overlap by half, equally spaced on Slaney's mel scale from 0 Hz to half the rate, each of unit area.
    ///
    /// Source: M. Slaney, Auditory Toolbox (1998), as computed by librosa's `filters.mel` with its defaults.
    ///
    /// # Errors
    /// As [`from_matrix`](Self::from_matrix).
    pub(crate) fn slaney(bins: usize, fft_length: usize, sample_rate_hz: f64) -> Result<Self> {
        let spectrum = fft_length / 2 + 1;
        let highest = mel(sample_rate_hz / 2.0);
        let corner = |number: usize| hertz(highest * number as f64 / (bins + 1) as f64);
        let mut matrix = Vec::with_capacity(bins.saturating_mul(spectrum));
        for bin in 0..bins {
            let [low, middle, high] = [corner(bin), corner(bin + 1), corner(bin + 2)];
            let area = 2.0 / (high - low);
            matrix.extend((0..spectrum).map(|line| {
                let frequency = line as f64 * sample_rate_hz / fft_length as f64;
                let rising = (frequency - low) / (middle - low);
                let falling = (high - frequency) / (high - middle);
                #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what is wanted")]
                let weight = (rising.min(falling).max(0.0) * area) as f32;
                weight
            }));
        }
        Self::from_matrix(bins, &matrix)
    }

    /// Rows.
    pub(crate) fn bins(&self) -> usize {
        self.filters.len()
    }

    /// Frequencies that a row covers.
    pub(crate) const fn spectrum(&self) -> usize {
        self.spectrum
    }

    /// One sum a row; `power` has one value a frequency.
    pub(super) fn apply<'a>(&'a self, power: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.filters.iter().map(|filter| {
            let seen = power.get(filter.range()).unwrap_or_default();
            seen.iter()
                .zip(&filter.weights)
                .map(|(power, weight)| power * weight)
                .sum()
        })
    }
}

impl Filter {
    fn new(row: &[f32]) -> Self {
        let start = row.iter().position(|weight| *weight != 0.0).unwrap_or(0);
        let end = row
            .iter()
            .rposition(|weight| *weight != 0.0)
            .map_or(start, |last| last + 1);
        Self {
            start,
            weights: row.get(start..end).unwrap_or_default().to_vec(),
        }
    }

    fn range(&self) -> Range<usize> {
        self.start..self.start + self.weights.len()
    }
}

/// Where Slaney's scale turns from linear to logarithmic.
const CORNER_HZ: f64 = 1000.0;
/// Hertz of a mel below the corner.
const LINEAR_HZ: f64 = 200.0 / 3.0;
/// Mels in which a frequency grows by the factor 6.4 above the corner.
const STEPS: f64 = 27.0;

fn mel(hertz: f64) -> f64 {
    if hertz < CORNER_HZ {
        hertz / LINEAR_HZ
    } else {
        CORNER_HZ / LINEAR_HZ + (hertz / CORNER_HZ).ln() * STEPS / 6.4_f64.ln()
    }
}

fn hertz(mel: f64) -> f64 {
    let corner = CORNER_HZ / LINEAR_HZ;
    if mel < corner {
        mel * LINEAR_HZ
    } else {
        CORNER_HZ * ((mel - corner) * 6.4_f64.ln() / STEPS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_sums_the_powers_that_it_weighs() {
        let bank = Filterbank::from_matrix(2, &[0.0, 1.0, 2.0, 0.0, 0.5, 0.0, 0.0, 0.0]).unwrap();
        let sums: Vec<f32> = bank.apply(&[10.0, 3.0, 4.0, 100.0]).collect();
        assert_eq!(sums, [11.0, 5.0]);
    }

    #[test]
    fn a_row_of_zeros_gives_zero() {
        let bank = Filterbank::from_matrix(1, &[0.0, 0.0]).unwrap();
        assert_eq!(bank.apply(&[5.0, 5.0]).collect::<Vec<_>>(), [0.0]);
    }

    #[test]
    fn numbers_that_are_no_whole_finite_rows_are_refused() {
        for (bins, matrix) in [(0, &[1.0][..]), (2, &[1.0, 2.0, 3.0]), (1, &[f32::NAN]), (1, &[])] {
            let error = Filterbank::from_matrix(bins, matrix).unwrap_err();
            assert!(error.to_string().contains("no filterbank"), "{error}");
        }
    }

    #[test]
    fn the_scale_is_linear_to_1000_hertz_and_there_and_back_is_the_same() {
        assert!((mel(1000.0) - 15.0).abs() < 1e-12);
        assert!((mel(6400.0) - 42.0).abs() < 1e-12);
        for frequency in [0.0, 440.0, 1000.0, 7999.0] {
            assert!((hertz(mel(frequency)) - frequency).abs() < 1e-9);
        }
    }

    #[test]
    fn each_triangle_has_the_area_of_one() {
        let bank = Filterbank::slaney(8, 4096, 16_000.0).unwrap();
        let line_hz = 16_000.0 / 4096.0;
        for filter in &bank.filters {
            let area: f32 = filter.weights.iter().sum::<f32>() * line_hz;
            assert!((area - 1.0).abs() < 0.01, "{area}");
        }
    }
}
