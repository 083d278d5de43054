//! What a pipeline's `config.yaml` says.

use serde_json::Value;

use super::reference::Reference;
use crate::error::Error;
use crate::error::Result;
use crate::formats::yaml;

/// A pipeline as its configuration describes it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::diarization) struct PipelineConfig {
    /// The network that tells local speakers apart.
    pub(in crate::diarization) segmentation: Reference,
    /// The network that describes voices.
    pub(in crate::diarization) embedding: Reference,
    /// From one window to the next, as a share of a window.
    pub(super) segmentation_step: f64,
    /// Whether voices are described by frames in which nobody else speaks, where there are enough.
    pub(super) exclude_overlap: bool,
    /// How local speakers of different windows become one.
    pub(in crate::diarization) clustering: ClusteringConfig,
    /// Gaps of a speaker shorter than this are filled, in seconds.
    pub(super) min_duration_off: f64,
    /// Score above which a speaker is active, for networks without powerset.
    pub(super) threshold: Option<f64>,
}

/// How local speakers of different windows become one.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::diarization) enum ClusteringConfig {
    /// By distance.
    Agglomerative { threshold: f64, min_cluster_size: usize },
    /// Into a number that the caller gives.
    KMeans,
    /// By distance, then by a model of voices.
    Vbx {
        threshold: f64,
        fa: f64,
        fb: f64,
        /// The folder of the model of voices.
        plda: Reference,
    },
}

/// What the names of pipelines that run here end in.
const PIPELINE: &str = "SpeakerDiarization";

impl PipelineConfig {
    /// Reads the content of a `config.yaml`.
    ///
    /// # Errors
    /// [`Error::BadModel`] naming the key at fault; of the kind `unsupported_model` for pipelines, clusterings and methods
    /// that do not run here.
    pub(in crate::diarization) fn read(bytes: &[u8]) -> Result<Self> {
        let config: Value = yaml::read(super::CONFIG, bytes)?;
        let pipeline = &config["pipeline"];
        let name = pipeline["name"].as_str().unwrap_or_default();
        if name.rsplit('.').next() != Some(PIPELINE) {
            return Err(Error::unsupported_model(format!(
                "config.yaml: pipeline.name is {name:?}; only pipelines of the kind {PIPELINE} run here"
            )));
        }
        let keys = Keys {
            pipeline: &pipeline["params"],
            parameters: &config["params"],
            frozen: &config["freeze"],
        };
        let reference = |key: &'static str| match keys.pipeline[key].as_str() {
            Some(text) => Reference::parse(key, text),
            None if keys.pipeline[key].is_null() => Ok(Reference::published(key)),
            None => Err(wrong(&format!("pipeline.params.{key}"), &keys.pipeline[key], "a text")),
        };
        let segmentation_step = positive(
            &keys.pipeline["segmentation_step"],
            "pipeline.params.segmentation_step",
            0.1,
        )?;
        Ok(Self {
            segmentation: reference("segmentation")?,
            embedding: reference("embedding")?,
            segmentation_step: segmentation_step.min(1.0),
            exclude_overlap: keys.pipeline["embedding_exclude_overlap"].as_bool().unwrap_or(false),
            clustering: clustering(&keys, reference)?,
            min_duration_off: keys.number("segmentation", "min_duration_off")?.unwrap_or(0.0).max(0.0),
            threshold: keys.number("segmentation", "threshold")?,
        })
    }
}

/// The parts of a configuration.
struct Keys<'a> {
    pipeline: &'a Value,
    parameters: &'a Value,
    frozen: &'a Value,
}

impl Keys<'_> {
    /// A hyper-parameter, be it free or frozen.
    fn find(&self, group: &str, key: &str) -> &Value {
        let free = &self.parameters[group][key];
        if free.is_null() { &self.frozen[group][key] } else { free }
    }

    fn number(&self, group: &str, key: &str) -> Result<Option<f64>> {
        let value = self.find(group, key);
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None if value.is_null() => Ok(None),
            None => Err(wrong(&format!("params.{group}.{key}"), value, "a number")),
        }
    }

    /// A number that has no value of its own where others are given.
    fn needed(&self, key: &str, default: f64) -> Result<f64> {
        match self.number("clustering", key)? {
            Some(number) => Ok(number),
            None if self.parameters.is_null() && self.frozen.is_null() => Ok(default),
            None => Err(missing(key)),
        }
    }
}

fn clustering(keys: &Keys<'_>, reference: impl Fn(&'static str) -> Result<Reference>) -> Result<ClusteringConfig> {
    match keys.pipeline["clustering"].as_str().unwrap_or("VBxClustering") {
        "AgglomerativeClustering" => {
            let method = keys.find("clustering", "method").as_str().unwrap_or("centroid");
            if method != "centroid" {
                return Err(Error::unsupported_model(format!(
                    "config.yaml: params.clustering.method is {method:?}; only \"centroid\" runs here"
                )));
            }
            let size = keys.find("clustering", "min_cluster_size").as_u64();
            let size = size.and_then(|size| usize::try_from(size).ok());
            Ok(ClusteringConfig::Agglomerative {
                threshold: keys
                    .number("clustering", "threshold")?
                    .ok_or_else(|| missing("threshold"))?,
                min_cluster_size: size.ok_or_else(|| missing("min_cluster_size"))?,
            })
        }
        "KMeansClustering" => Ok(ClusteringConfig::KMeans),
        "VBxClustering" => Ok(ClusteringConfig::Vbx {
            threshold: keys.needed("threshold", 0.6)?,
            fa: keys.needed("Fa", 0.07)?,
            fb: keys.needed("Fb", 0.8)?,
            plda: reference("plda")?,
        }),
        other => Err(Error::unsupported_model(format!(
            "config.yaml: pipeline.params.clustering is {other:?}; AgglomerativeClustering, VBxClustering and \
             KMeansClustering run here"
        ))),
    }
}

fn positive(value: &Value, key: &str, default: f64) -> Result<f64> {
    match value.as_f64() {
        Some(number) if number > 0.0 && number.is_finite() => Ok(number),
        None if value.is_null() => Ok(default),
        _ => Err(wrong(key, value, "a number above zero")),
    }
}

fn missing(key: &str) -> Error {
    Error::bad_model(format!(
        "config.yaml: params.clustering.{key} is not given as a number; add it as the published pipeline has it"
    ))
}

fn wrong(key: &str, value: &Value, expected: &str) -> Error {
    let shown: String = value.to_string().chars().take(80).collect();
    Error::bad_model(format!(
        "config.yaml: {key} is {shown}, {expected} is expected; correct it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diarization::golden::path;

    fn read(text: &str) -> Result<PipelineConfig> {
        PipelineConfig::read(text.as_bytes())
    }

    fn golden(repository: &str) -> PipelineConfig {
        let file = path("models").join(repository).join("config.yaml");
        PipelineConfig::read(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn the_published_configurations_are_read() {
        let config = golden("pyannote/speaker-diarization-3.1");
        assert_eq!(
            config.segmentation,
            Reference::Named("pyannote/segmentation-3.0".to_owned())
        );
        let clustering = ClusteringConfig::Agglomerative {
            threshold: 0.704_565_496_394_579_9,
            min_cluster_size: 4,
        };
        assert_eq!(config.clustering, clustering);
        assert!(config.exclude_overlap && config.threshold.is_none());

        let config = golden("pyannote/speaker-diarization-community-1");
        let plda = Reference::Beside {
            folder: "plda".to_owned(),
            revision: None,
        };
        let clustering = ClusteringConfig::Vbx {
            threshold: 0.6,
            fa: 0.07,
            fb: 0.8,
            plda,
        };
        assert_eq!(config.clustering, clustering);

        let config = golden("tiny/multilabel");
        assert_eq!(config.threshold, Some(0.444_233_366_738_175_2));
        assert_eq!(config.min_duration_off, 0.581_702_960_492_104_6);
    }

    #[test]
    fn what_is_absent_is_what_the_original_takes() {
        let config = read("pipeline: {name: pyannote.audio.pipelines.SpeakerDiarization}").unwrap();
        assert_eq!(config.segmentation, Reference::published("segmentation"));
        assert_eq!(
            (
                config.segmentation_step,
                config.exclude_overlap,
                config.min_duration_off
            ),
            (0.1, false, 0.0)
        );
        assert!(matches!(
            config.clustering,
            ClusteringConfig::Vbx {
                fa: 0.07,
                fb: 0.8,
                threshold: 0.6,
                ..
            }
        ));
    }

    #[test]
    fn frozen_values_count_where_no_free_one_stands() {
        let config = read(
            "pipeline: {name: SpeakerDiarization, params: {clustering: AgglomerativeClustering}}\n\
             params: {clustering: {threshold: 1}}\n\
             freeze: {clustering: {threshold: 2, method: centroid, min_cluster_size: 12}, segmentation: {min_duration_off: 0.5}}",
        );
        let config = config.unwrap();
        let clustering = ClusteringConfig::Agglomerative {
            threshold: 1.0,
            min_cluster_size: 12,
        };
        assert_eq!((config.clustering, config.min_duration_off), (clustering, 0.5));
    }

    #[test]
    fn what_does_not_run_here_is_refused_by_name() {
        for (text, name) in [
            (
                "pipeline: {name: pyannote.audio.pipelines.VoiceActivityDetection}",
                "VoiceActivityDetection",
            ),
            (
                "pipeline: {name: SpeakerDiarization, params: {clustering: OracleClustering}}",
                "OracleClustering",
            ),
            (
                "pipeline: {name: SpeakerDiarization, params: {clustering: AgglomerativeClustering}}\n\
                 params: {clustering: {method: average}}",
                "average",
            ),
            ("a: [1]", "\"\""),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), "unsupported_model");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_by_its_key() {
        let head = "pipeline: {name: SpeakerDiarization, params: {clustering: AgglomerativeClustering}}\n";
        for (text, key) in [
            (
                "params: {clustering: {threshold: high, min_cluster_size: 1}}",
                "params.clustering.threshold",
            ),
            (
                "params: {clustering: {threshold: 1}}",
                "params.clustering.min_cluster_size",
            ),
            (
                "params: {clustering: {threshold: 1, min_cluster_size: -1}}",
                "params.clustering.min_cluster_size",
            ),
        ] {
            let error = read(&format!("{head}{text}")).unwrap_err();
            assert_eq!(error.code(), "bad_model");
            assert!(error.to_string().contains(key), "{error}");
        }
        let error = read("pipeline: {name: SpeakerDiarization, params: {segmentation: 7}}").unwrap_err();
        assert!(
            error.to_string().contains("pipeline.params.segmentation is 7"),
            "{error}"
        );
        let error = read("pipeline: {name: SpeakerDiarization, params: {segmentation_step: 0}}").unwrap_err();
        assert!(error.to_string().contains("above zero"), "{error}");
    }
}
