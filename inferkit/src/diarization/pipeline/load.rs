//! From a pipeline's files to a pipeline that runs.

use std::path::Path;
use std::sync::Arc;

use inferkit_kernels::Pool;

use super::config::ClusteringConfig;
use super::config::PipelineConfig;
use super::parts::PartFiles;
use super::segmenter::Segmenter;
use crate::diarization::array::Matrix;
use crate::diarization::clustering::Method;
use crate::diarization::clustering::Plda;
use crate::diarization::clustering::PldaParameters;
use crate::diarization::embedding::Embedder;
use crate::diarization::layers::Layers;
use crate::error::Error;
use crate::error::Result;
use crate::formats::npz::Array;
use crate::formats::npz::NpzArchive;
use crate::formats::torch::Checkpoint;
use crate::formats::torch::Value;
use crate::nn::Device;
use crate::nn::Weights;

/// A pipeline that runs.
#[derive(Debug)]
pub(in crate::diarization) struct Pipeline {
    pub(super) segmenter: Segmenter,
    pub(super) embedder: Embedder,
    pub(super) method: Method,
    pub(super) segmentation_step: f64,
    pub(super) exclude_overlap: bool,
    pub(super) min_duration_off: f64,
    pub(super) pool: Arc<Pool>,
}

impl Pipeline {
    /// Opens the networks of `config` in `files` on `device`.
    ///
    /// # Errors
    /// [`Error::BadModel`] for files that are damaged, do not fit each other, or hold networks that do not run here.
    pub(in crate::diarization) fn load(config: &PipelineConfig, files: &PartFiles, device: &Device) -> Result<Self> {
        let embedder = embedder(&files.embedding, device)?;
        let method = method(config, files)?;
        if let Method::Vbx { plda, .. } = &method
            && plda.width() != embedder.width()
        {
            return Err(Error::bad_model(format!(
                "the embedding network gives vectors of {}, the model of voices reads {}; the two belong to different pipelines",
                embedder.width(),
                plda.width()
            )));
        }
        Ok(Self {
            segmenter: Segmenter::open(&files.segmentation, device, config.threshold)?,
            embedder,
            method,
            segmentation_step: config.segmentation_step,
            exclude_overlap: config.exclude_overlap,
            min_duration_off: config.min_duration_off,
            pool: device.pool(),
        })
    }

    /// Memory of its weights, in bytes.
    pub(in crate::diarization) fn bytes(&self) -> usize {
        self.segmenter.bytes() + self.embedder.bytes()
    }
}

/// The network that describes voices: by the class that its checkpoint names, or by its tensors where it names none.
fn embedder(path: &Path, device: &Device) -> Result<Embedder> {
    let checkpoint = Arc::new(Checkpoint::open(path)?);
    let root = checkpoint.root();
    let about = root.get("pyannote.audio");
    let class = about.and_then(|about| about.get("architecture")?.get("class")?.as_text());
    let layers = Layers::new(Weights::from_torch(Arc::clone(&checkpoint), device), device);
    match class {
        Some("WeSpeakerResNet34") => Embedder::wespeaker(&layers, mel_bins(root, checkpoint.name())?),
        None if about.is_none() && layers.contains("xvector.tdnn.linear.weight") => Embedder::campplus(&layers),
        other => Err(Error::unsupported_model(format!(
            "{}: the embedding network is {}; WeSpeakerResNet34 and CAM++ run here",
            checkpoint.name(),
            other.map_or_else(|| "not named".to_owned(), |class| format!("{class:?}"))
        ))),
    }
}

/// Values of a feature frame, once it is sure that features are taken as they are taken here.
fn mel_bins(root: Value<'_>, file: &str) -> Result<usize> {
    let parameters = root.get("hyper_parameters");
    let parameter = |name: &str| {
        parameters
            .and_then(|parameters| parameters.get(name))
            .filter(|value| !value.is_none())
    };
    let refuse = |name: &str| {
        Err(Error::unsupported_model(format!(
            "{file}: hyper_parameters.{name} is not what the published network has; only features of 16 kHz sound in Hamming \
             windows of 25 ms every 10 ms run here"
        )))
    };
    for (name, expected) in [
        ("sample_rate", 16_000.0),
        ("num_channels", 1.0),
        ("frame_length", 25.0),
        ("frame_shift", 10.0),
    ] {
        let found = parameter(name).and_then(Value::as_float);
        if found.is_some_and(|found| (found - expected).abs() > 1e-9) {
            return refuse(name);
        }
    }
    if parameter("window_type").is_some_and(|window| window.as_text() != Some("hamming")) {
        return refuse("window_type");
    }
    if parameter("fbank_centering_span").is_some() {
        return refuse("fbank_centering_span");
    }
    let bins = parameter("num_mel_bins").map_or(Some(80), Value::as_int);
    match bins
        .and_then(|bins| usize::try_from(bins).ok())
        .filter(|bins| (1..=256).contains(bins))
    {
        Some(bins) => Ok(bins),
        None => refuse("num_mel_bins"),
    }
}

fn method(config: &PipelineConfig, files: &PartFiles) -> Result<Method> {
    match &config.clustering {
        ClusteringConfig::Agglomerative {
            threshold,
            min_cluster_size,
        } => Ok(Method::Agglomerative {
            threshold: *threshold,
            min_cluster_size: *min_cluster_size,
        }),
        ClusteringConfig::KMeans => Ok(Method::KMeans),
        ClusteringConfig::Vbx { threshold, fa, fb, .. } => {
            let Some([transform, plda]) = &files.plda else {
                return Err(Error::internal("a pipeline with a model of voices without its files"));
            };
            Ok(Method::Vbx {
                threshold: *threshold,
                fa: *fa,
                fb: *fb,
                plda: Box::new(Plda::new(plda_parameters(transform, plda)?)?),
            })
        }
    }
}

fn plda_parameters(transform: &Path, plda: &Path) -> Result<PldaParameters> {
    let (transform, plda) = (NpzArchive::open(transform)?, NpzArchive::open(plda)?);
    Ok(PldaParameters {
        mean1: transform.array("mean1")?.values,
        mean2: transform.array("mean2")?.values,
        lda: matrix("lda", transform.array("lda")?)?,
        mu: plda.array("mu")?.values,
        tr: matrix("tr", plda.array("tr")?)?,
        psi: plda.array("psi")?.values,
    })
}

fn matrix(name: &str, array: Array) -> Result<Matrix<f64>> {
    match array.shape[..] {
        [rows, columns] => Matrix::new(rows, columns, array.values),
        _ => Err(Error::bad_model(format!(
            "array {name} of the model of voices has the shape {:?}, a matrix is expected; the file is damaged",
            array.shape
        ))),
    }
}

#[cfg(test)]
mod tests;
