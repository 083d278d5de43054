//! A segmentation network with what its scores mean, from a checkpoint.

use std::path::Path;
use std::sync::Arc;

use crate::diarization::array::Windows;
use crate::diarization::binarize::binarize;
use crate::diarization::layers::Layers;
use crate::diarization::powerset::Powerset;
use crate::diarization::segmentation::FrameGeometry;
use crate::diarization::segmentation::PyanNet;
use crate::diarization::segmentation::PyanNetOptions;
use crate::diarization::segmentation::ScoreKind;
use crate::diarization::segmentation::SoundWindows;
use crate::error::Error;
use crate::error::Result;
use crate::formats::torch::Checkpoint;
use crate::formats::torch::Value;
use crate::nn::Device;
use crate::nn::Weights;

/// Tells the local speakers of a window apart.
#[derive(Debug, Clone)]
pub(super) struct Segmenter {
    network: PyanNet,
    meaning: Meaning,
    /// Seconds of a window.
    pub(super) duration_seconds: f64,
}

/// What scores mean.
#[derive(Debug, Clone, PartialEq)]
enum Meaning {
    /// Classes are sets of speakers, one of which is true.
    Sets(Powerset),
    /// A speaker is active above this score.
    Threshold(f64),
}

/// Who is active in windows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Activity {
    /// `[c, f, s]`
    pub(super) active: Windows<bool>,
    /// The scores behind it, `[c, f, s]`, for networks that score speakers by themselves.
    pub(super) scores: Option<Windows<f32>>,
}

/// What a checkpoint says about the task that it learned (pyannote.audio, `core/task.py`, `Specifications`).
#[derive(Debug, Clone, PartialEq)]
struct Specifications {
    problem: i64,
    duration_seconds: f64,
    classes: usize,
    powerset_max_classes: Option<usize>,
}

/// `Problem.MONO_LABEL_CLASSIFICATION`
const MONO_LABEL: i64 = 1;
/// `Problem.MULTI_LABEL_CLASSIFICATION`
const MULTI_LABEL: i64 = 2;
/// `Resolution.FRAME`
const FRAME: i64 = 1;
/// Longest window, in seconds; the published ones have ten.
const LONGEST_SECONDS: f64 = 120.0;

impl Segmenter {
    /// Opens the checkpoint at `path`. Networks without powerset need a `threshold`.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a damaged checkpoint, or one of another network or task.
    pub(super) fn open(path: &Path, device: &Device, threshold: Option<f64>) -> Result<Self> {
        let checkpoint = Arc::new(Checkpoint::open(path)?);
        let root = checkpoint.root();
        let about = root.get("pyannote.audio");
        let class = about.and_then(|about| about.get("architecture")?.get("class")?.as_text());
        if class != Some("PyanNet") {
            return Err(Error::unsupported_model(format!(
                "{}: the segmentation network is {}; only PyanNet runs here",
                checkpoint.name(),
                class.map_or_else(|| "not named".to_owned(), |class| format!("{class:?}"))
            )));
        }
        let specifications =
            Specifications::read(about.and_then(|about| about.get("specifications")), checkpoint.name())?;
        let meaning = specifications.meaning(threshold, checkpoint.name())?;
        let options = PyanNetOptions {
            sinc_stride: stride(root)?,
            scores: if specifications.problem == MONO_LABEL {
                ScoreKind::LogProbabilities
            } else {
                ScoreKind::Probabilities
            },
        };
        let weights = Weights::from_torch(Arc::clone(&checkpoint), device);
        Ok(Self {
            network: PyanNet::new(&Layers::new(weights, device), options)?,
            meaning,
            duration_seconds: specifications.duration_seconds,
        })
    }

    /// Where frames lie.
    pub(super) const fn geometry(&self) -> FrameGeometry {
        self.network.geometry()
    }

    /// Memory of its weights, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.network.bytes()
    }

    /// Who is active in each window.
    ///
    /// # Errors
    /// [`Error::BadModel`] when the network has another number of outputs than its specifications say, and as the device
    /// fails.
    pub(super) fn segment(&self, windows: SoundWindows<'_>) -> Result<Activity> {
        let scores = self.network.scores(windows)?;
        match &self.meaning {
            Meaning::Sets(powerset) => Ok(Activity {
                active: powerset.decode(&scores)?,
                scores: None,
            }),
            Meaning::Threshold(threshold) => Ok(Activity {
                active: binarize(&scores, *threshold),
                scores: Some(scores),
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn scores(&self, windows: SoundWindows<'_>) -> Windows<f32> {
        self.network.scores(windows).unwrap()
    }
}

impl Specifications {
    fn read(specifications: Option<Value<'_>>, file: &str) -> Result<Self> {
        let fields = specifications.and_then(|object| object.state().or(Some(object)));
        let field = |name: &str| {
            fields
                .and_then(|fields| fields.get(name))
                .filter(|value| !value.is_none())
        };
        // An enum is an object made of its number.
        let number = |value: Value<'_>| value.as_int().or_else(|| value.arguments()?.items()?.next()?.as_int());
        let resolution = field("resolution").and_then(number);
        let problem = field("problem").and_then(number);
        let (Some(problem @ MONO_LABEL..=MULTI_LABEL), Some(FRAME)) = (problem, resolution) else {
            return Err(Error::unsupported_model(format!(
                "{file}: its task is of problem {problem:?} and resolution {resolution:?}; segmentation models decide frame by \
                 frame (1) between sets of speakers (1) or for each of them (2)"
            )));
        };
        let duration = field("duration").and_then(Value::as_float);
        let Some(duration_seconds) = duration.filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_SECONDS) else {
            return Err(Error::bad_model(format!(
                "{file}: specifications.duration is {duration:?}, seconds of a window are expected; the file is damaged"
            )));
        };
        let most = field("powerset_max_classes").and_then(Value::as_int);
        Ok(Self {
            problem,
            duration_seconds,
            classes: field("classes").and_then(Value::items).map_or(0, Iterator::count),
            powerset_max_classes: most.and_then(|most| usize::try_from(most).ok()),
        })
    }

    fn meaning(&self, threshold: Option<f64>, file: &str) -> Result<Meaning> {
        match (self.powerset_max_classes, threshold) {
            (Some(most), _) => Ok(Meaning::Sets(Powerset::new(self.classes, most)?)),
            (None, Some(threshold)) => Ok(Meaning::Threshold(threshold)),
            (None, None) => Err(Error::bad_model(format!(
                "config.yaml: params.segmentation.threshold is missing, and {file} scores speakers by themselves; add it"
            ))),
        }
    }
}

/// Samples between filtered values, ten where the checkpoint says nothing.
fn stride(root: Value<'_>) -> Result<usize> {
    let parameters = root.get("hyper_parameters");
    let parameter = |name: &str| parameters.and_then(|parameters| parameters.get(name));
    if parameter("sample_rate")
        .and_then(Value::as_int)
        .is_some_and(|rate| rate != 16_000)
    {
        let message = "the segmentation network reads sound of another rate than 16 kHz, which does not run here";
        return Err(Error::unsupported_model(message));
    }
    let stride = parameter("sincnet").and_then(|sincnet| sincnet.get("stride"));
    let stride = stride
        .map_or(Some(10), Value::as_int)
        .and_then(|stride| usize::try_from(stride).ok());
    stride.filter(|stride| (1..=1_000).contains(stride)).ok_or_else(|| {
        Error::bad_model("hyper_parameters.sincnet.stride is no small number above zero; the file is damaged")
    })
}
