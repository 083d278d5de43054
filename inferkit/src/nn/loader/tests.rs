use candle_core::Device;

use super::*;

/// Zeros of f32 under names.
struct Zeros(Vec<(&'static str, Vec<usize>, Vec<u8>)>);

fn zeros(tensors: &[(&'static str, &[usize])]) -> Zeros {
    let made = |(name, shape): &(&'static str, &[usize])| {
        let count: usize = shape.iter().product();
        (*name, shape.to_vec(), vec![0; 4 * count])
    };
    Zeros(tensors.iter().map(made).collect())
}

impl TensorSource for Zeros {
    fn find(&self, name: &str) -> Result<Option<StoredTensor<'_>>> {
        let found = self.0.iter().find(|(known, ..)| *known == name);
        found
            .map(|(name, shape, bytes)| stored(name, ElementType::F32, shape.clone(), Cow::Borrowed(bytes)))
            .transpose()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, shape, _)| shape.clone())
    }
}

fn placement() -> Placement {
    Placement {
        device: Device::Cpu,
        dtype: DType::F32,
        widen_blocks: false,
        kernels: None,
    }
}

#[test]
fn a_layer_is_made_of_the_tensors_below_its_path_which_are_counted() {
    let source = zeros(&[("a.b.weight", &[3, 2]), ("a.b.bias", &[3]), ("a.norm.weight", &[2])]);
    let job = Job::new();
    let loading = Loading::new(placement(), &job, 100);
    let loader = Loader::new(&source, &loading).at("a");
    loader.at("b").linear(&[3, 2], true).unwrap();
    assert_eq!((loading.read_bytes.get(), loading.weights_bytes.get()), (36, 36));
    let progress = job.progress().borrow().clone();
    assert_eq!((progress.done_bytes, progress.total_bytes), (36, Some(100)));
    assert!(loader.plain_if(false, "nothing", &[1]).unwrap().is_none());
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_told_by_its_whole_name() {
    let source = zeros(&[("a.norm.weight", &[2])]);
    let job = Job::new();
    let loading = Loading::new(placement(), &job, 8);
    let norm = Loader::new(&source, &loading).at("a.norm");
    let error = norm.layer_norm(2).unwrap_err();
    assert!(error.to_string().contains("tensor a.norm.bias is missing"), "{error}");
    let error = norm.plain("weight", &[3]).unwrap_err();
    assert!(error.to_string().contains("a.norm.weight"), "{error}");
}

#[test]
fn a_load_that_is_not_wanted_any_more_stops_at_the_next_tensor() {
    let source = zeros(&[("weight", &[2])]);
    let job = Job::new();
    let loading = Loading::new(placement(), &job, 8);
    job.cancel();
    let error = Loader::new(&source, &loading).plain("weight", &[2]).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn integers_are_no_weights() {
    let error = stored("steps", ElementType::I64, vec![1], Cow::Borrowed(&[0; 8])).unwrap_err();
    assert_eq!(error.code(), "unsupported_model");
    assert!(error.to_string().contains("tensor steps"), "{error}");
}
