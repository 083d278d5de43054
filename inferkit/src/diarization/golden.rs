//! Reference data of the original for this module's tests.

use std::io::Read;
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::SafeTensors;

use crate::diarization::aggregate::Layout;
use crate::diarization::array::Matrix;
use crate::diarization::array::Windows;
use crate::diarization::clustering::Method;
use crate::diarization::clustering::Plda;
use crate::diarization::clustering::PldaParameters;
use crate::diarization::grid::Grid;

/// A file of the diarization goldens.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/pyannote")).join(name)
}

/// A JSON file of the goldens.
pub(super) fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// A file of named arrays.
pub(super) struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    pub(super) fn open(name: &str) -> Self {
        Self {
            bytes: std::fs::read(path(name)).unwrap(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file().tensor(name).is_ok()
    }

    pub(super) fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    pub(super) fn f32(&self, name: &str) -> Vec<f32> {
        self.words(name, Dtype::F32, f32::from_le_bytes)
    }

    pub(super) fn f64(&self, name: &str) -> Vec<f64> {
        self.words(name, Dtype::F64, f64::from_le_bytes)
    }

    pub(super) fn i32(&self, name: &str) -> Vec<i32> {
        self.words(name, Dtype::I32, i32::from_le_bytes)
    }

    pub(super) fn i16(&self, name: &str) -> Vec<i16> {
        self.words(name, Dtype::I16, i16::from_le_bytes)
    }

    pub(super) fn u8(&self, name: &str) -> Vec<u8> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        assert!(matches!(tensor.dtype(), Dtype::U8 | Dtype::I8), "{name}");
        tensor.data().to_vec()
    }

    fn words<T, const N: usize>(&self, name: &str, dtype: Dtype, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), dtype, "{name}");
        let (words, rest) = tensor.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{name}");
        words.iter().map(|word| read(*word)).collect()
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }
}

/// Fails unless all values agree within `tolerance · max(1, greatest expected)`.
pub(super) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: another number of values");
    let scale = expected.iter().fold(1.0_f64, |scale, value| scale.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found == expected || found.is_nan() && expected.is_nan();
        assert!(
            same || (found - expected).abs() <= tolerance * scale,
            "{what}[{at}]: {found}, not {expected}"
        );
    }
}

/// The same in f32.
pub(super) fn assert_close_f32(found: &[f32], expected: &[f32], tolerance: f64, what: &str) {
    let widen = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
    assert_close(&widen(found), &widen(expected), tolerance, what);
}

/// One of the reference pipelines, with the values of its `config.yaml`.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) name: &'static str,
    pub(super) window_seconds: f64,
    pub(super) min_duration_off: f64,
    /// Whether scores are sets of speakers, so that activity is all there is to them.
    pub(super) powerset: bool,
}

pub(super) const PIPELINES: [Pipeline; 3] = [
    Pipeline {
        name: "31",
        window_seconds: 10.0,
        min_duration_off: 0.0,
        powerset: true,
    },
    Pipeline {
        name: "community-1",
        window_seconds: 10.0,
        min_duration_off: 0.0,
        powerset: true,
    },
    Pipeline {
        name: "multilabel",
        window_seconds: 5.0,
        min_duration_off: 0.581_702_960_492_104_6,
        powerset: false,
    },
];

/// The recordings that were run.
pub(super) const FILES: [&str; 8] = [
    "conv2",
    "conv3",
    "conv4",
    "exact10",
    "short",
    "silence",
    "stereo22k",
    "tail12",
];

impl Pipeline {
    /// How it clusters.
    pub(super) fn method(&self) -> Method {
        let threshold = 0.704_565_496_394_579_9;
        match self.name {
            "community-1" => vbx(0.6, 0.07, 0.8),
            "31" => Method::Agglomerative {
                threshold,
                min_cluster_size: 4,
            },
            _ => Method::Agglomerative {
                threshold,
                min_cluster_size: 2,
            },
        }
    }
}

/// VBx with the golden model of voices.
pub(super) fn vbx(threshold: f64, fa: f64, fb: f64) -> Method {
    Method::Vbx {
        threshold,
        fa,
        fb,
        plda: Box::new(Plda::new(plda()).unwrap()),
    }
}

/// Where windows and frames of a pipeline lie.
pub(super) fn layout(pipeline: &Pipeline) -> Layout {
    Layout {
        windows: Grid {
            step_seconds: 0.1 * pipeline.window_seconds,
            duration_seconds: pipeline.window_seconds,
        },
        frames: Grid {
            step_seconds: 270.0 / 16000.0,
            duration_seconds: 991.0 / 16000.0,
        },
    }
}

fn three(golden: &Golden, name: &str) -> [usize; 3] {
    golden.shape(name).try_into().unwrap()
}

/// Who is active in a recording of the pipelines' goldens.
pub(super) fn recording(golden: &Golden) -> Windows<bool> {
    let active = golden.u8("binary").iter().map(|on| *on == 1).collect();
    Windows::new(three(golden, "binary"), active).unwrap()
}

/// The voices of a recording of the pipelines' goldens.
pub(super) fn embeddings(golden: &Golden) -> Windows<f32> {
    Windows::new(three(golden, "embeddings"), golden.f32("embeddings")).unwrap()
}

/// Embeddings and activity of a clustering case.
pub(super) fn voices(golden: &Golden, name: &str) -> (Windows<f32>, Windows<bool>) {
    let embeddings = format!("{name}.embeddings");
    let activity = format!("{name}.segmentations");
    let active = golden.u8(&activity).iter().map(|on| *on == 1).collect();
    (
        Windows::new(three(golden, &embeddings), golden.f32(&embeddings)).unwrap(),
        Windows::new(three(golden, &activity), active).unwrap(),
    )
}

/// The golden model of voices.
pub(super) fn plda() -> PldaParameters {
    let folder = "models/pyannote/speaker-diarization-community-1/plda";
    let transform = format!("{folder}/xvec_transform.npz");
    let model = format!("{folder}/plda.npz");
    let matrix = |file: &str, name: &str| {
        let (shape, values) = npy(file, name);
        Matrix::new(shape[0], shape[1], values).unwrap()
    };
    PldaParameters {
        mean1: npy(&transform, "mean1").1,
        mean2: npy(&transform, "mean2").1,
        lda: matrix(&transform, "lda"),
        mu: npy(&model, "mu").1,
        tr: matrix(&model, "tr"),
        psi: npy(&model, "psi").1,
    }
}

/// Shape and values of an array of f64 in an archive of numpy's.
fn npy(file: &str, name: &str) -> (Vec<usize>, Vec<f64>) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path(file)).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive
        .by_name(&format!("{name}.npy"))
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (head, data) = bytes.split_at(10 + header);
    let head = String::from_utf8_lossy(head);
    assert!(head.contains("'<f8'") && head.contains("False"), "{file}: {head}");
    let shape = head.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    (
        shape,
        data.as_chunks::<8>()
            .0
            .iter()
            .map(|word| f64::from_le_bytes(*word))
            .collect(),
    )
}
