//! The front end: which numbers of `preprocessor` differ among published files, and which must not.

use super::SAMPLE_RATE_HZ;
use super::Section;
use super::Shapes;
use super::shape;
use crate::audio::Logarithm;
use crate::error::Result;

/// Name of the window among the tensors.
pub(in crate::speech::canary) const WINDOW: &str = "preprocessor.featurizer.window";
/// Name of the filterbank among the tensors.
pub(in crate::speech::canary) const FILTERBANK: &str = "preprocessor.featurizer.fb";

/// From samples to features, but for window and filterbank, which are tensors.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::speech::canary) struct FeatureConfig {
    /// Mel bins.
    pub(in crate::speech::canary) bins: usize,
    /// Samples of the window.
    pub(in crate::speech::canary) window_length: usize,
    /// Samples of a transform.
    pub(in crate::speech::canary) fft_length: usize,
    /// Samples from one frame to the next.
    pub(in crate::speech::canary) hop_length: usize,
    /// Part of the sample before that is taken off each sample.
    pub(in crate::speech::canary) preemphasis: f64,
    /// What a bin becomes.
    pub(in crate::speech::canary) logarithm: Logarithm,
    /// Whether each bin gets mean zero and deviation one.
    pub(in crate::speech::canary) standardised: bool,
}

impl FeatureConfig {
    /// Reads `preprocessor`.
    pub(in crate::speech::canary) fn read(section: &Section<'_>, shapes: Shapes<'_>) -> Result<Self> {
        let [_, bins, spectrum] = shape(shapes, FILTERBANK)?;
        let [window_length] = shape(shapes, WINDOW)?;
        let fft_length = 2 * (spectrum - 1);
        section.expect_size("features", bins)?;
        section.expect_size("n_fft", fft_length)?;
        section.expect_size("sample_rate", SAMPLE_RATE_HZ)?;
        section.expect_text("window", "hann")?;
        section.expect_flag("exact_pad", false)?;
        if section.count("frame_splicing")?.is_some_and(|frames| frames != 1) {
            return Err(section.unsupported("frame_splicing", "1"));
        }
        if section
            .number("mag_power")?
            .is_some_and(|power| (power - 2.0).abs() > f64::EPSILON)
        {
            return Err(section.unsupported("mag_power", "2.0"));
        }
        let stride_seconds = section.number("window_stride")?.unwrap_or(0.01);
        let hop = (stride_seconds * SAMPLE_RATE_HZ as f64).round();
        if !(1.0..=SAMPLE_RATE_HZ as f64).contains(&hop) {
            return Err(section.unsupported("window_stride", "a stride of up to one second"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        let hop_length = hop as usize;
        Ok(Self {
            bins,
            window_length,
            fft_length,
            hop_length,
            preemphasis: section.number("preemph")?.unwrap_or(0.97),
            logarithm: logarithm(section)?,
            standardised: match section.text("normalize") {
                Some("per_feature") => true,
                None if section.value("normalize").is_none() => true,
                _ => return Err(section.unsupported("normalize", "per_feature")),
            },
        })
    }
}

fn logarithm(section: &Section<'_>) -> Result<Logarithm> {
    /// 2⁻²⁴, what is added where nothing else is said.
    const GUARD: f32 = 5.960_464_5e-8;
    if section.flag("log")? == Some(false) {
        return Ok(Logarithm::None);
    }
    let guard = match section.text("log_zero_guard_value") {
        Some("tiny") => f32::MIN_POSITIVE,
        Some("eps") => f32::EPSILON,
        Some(_) | None => {
            #[expect(clippy::cast_possible_truncation, reason = "features are f32")]
            let stated = section.number("log_zero_guard_value")?.map(|value| value as f32);
            stated.unwrap_or(GUARD)
        }
    };
    match section.text("log_zero_guard_type") {
        Some("add") | None => Ok(Logarithm::NaturalPlus(guard)),
        Some("clamp") => Ok(Logarithm::NaturalAbove(guard)),
        Some(_) => Err(section.unsupported("log_zero_guard_type", "add or clamp")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use serde_json::json;

    fn shapes(name: &str) -> Option<Vec<usize>> {
        match name {
            WINDOW => Some(vec![400]),
            FILTERBANK => Some(vec![1, 128, 257]),
            _ => None,
        }
    }

    fn read(preprocessor: &Value) -> Result<FeatureConfig> {
        let tree = json!({ "preprocessor": preprocessor });
        FeatureConfig::read(&Section::root("c.yaml", &tree).section("preprocessor"), &shapes)
    }

    #[test]
    fn sizes_come_from_the_tensors_and_defaults_are_those_of_the_original() {
        let config = read(&json!({})).unwrap();
        let expected = FeatureConfig {
            bins: 128,
            window_length: 400,
            fft_length: 512,
            hop_length: 160,
            preemphasis: 0.97,
            logarithm: Logarithm::NaturalPlus(2.0_f32.powi(-24)),
            standardised: true,
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_stated_is_taken() {
        let config = read(&json!({
            "window_stride": 0.02, "preemph": 0.5, "log_zero_guard_type": "clamp", "log_zero_guard_value": "1e-5",
        }));
        let config = config.unwrap();
        assert_eq!(
            (config.hop_length, config.logarithm),
            (320, Logarithm::NaturalAbove(1e-5))
        );
        assert!((config.preemphasis - 0.5).abs() < 1e-12);
        let guard = |value: &str| read(&json!({ "log_zero_guard_value": value })).unwrap().logarithm;
        assert_eq!(guard("tiny"), Logarithm::NaturalPlus(f32::MIN_POSITIVE));
        assert_eq!(guard("eps"), Logarithm::NaturalPlus(f32::EPSILON));
        assert_eq!(read(&json!({"log": false})).unwrap().logarithm, Logarithm::None);
    }

    #[test]
    fn unsupported_choices_are_errors_that_name_the_key() {
        for (preprocessor, text) in [
            (json!({"window": "hamming"}), "preprocessor.window is \"hamming\""),
            (json!({"exact_pad": true}), "preprocessor.exact_pad is true"),
            (json!({"frame_splicing": 2}), "preprocessor.frame_splicing is 2"),
            (json!({"mag_power": 1.0}), "preprocessor.mag_power is 1"),
            (json!({"window_stride": 0.0}), "preprocessor.window_stride is 0"),
            (json!({"window_stride": 1.5}), "preprocessor.window_stride is 1.5"),
            (
                json!({"normalize": "all_features"}),
                "preprocessor.normalize is \"all_features\"",
            ),
            (json!({"normalize": false}), "preprocessor.normalize is false"),
            (
                json!({"log_zero_guard_type": "max"}),
                "preprocessor.log_zero_guard_type is \"max\"",
            ),
        ] {
            let error = read(&preprocessor).unwrap_err();
            assert_eq!(error.code(), "unsupported_model", "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn sizes_that_are_not_the_tensors_are_errors_that_name_the_key() {
        for (preprocessor, text) in [
            (json!({"features": 80}), "preprocessor.features is 80"),
            (json!({"n_fft": 1024}), "preprocessor.n_fft is 1024"),
            (json!({"sample_rate": 8000}), "preprocessor.sample_rate is 8000"),
            (json!({"preemph": "strong"}), "preprocessor.preemph is \"strong\""),
        ] {
            let error = read(&preprocessor).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
