//! Stored tensors and how they become weights: the bytes of a file on one side, a device's memory on the other.
//!
//! **Invariant:** a tensor's shape and length are checked here, before a byte is copied; the tensor library
//! panics on lengths that do not fit.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::DType;
use candle_core::Tensor;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::QStorage;
use candle_core::quantized::QTensor;
use inferkit_kernels::Format;
use inferkit_kernels::PackedWeight;

use crate::error::Error;
use crate::error::Result;
use crate::nn::Kernels;
use crate::nn::device_fault;
use crate::nn::kernels::with_rows;
use crate::nn::packed::PackedMatrix;

/// How a file stores the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One number after the other: f32, f16 or bf16.
    Plain(DType),
    /// Blocks of numbers that share scales.
    Blocks(GgmlDType),
}

impl Encoding {
    /// The encoding's spelling in status and log: `bf16`, `q4_1`, `q6k`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Plain(dtype) => dtype.as_str().to_owned(),
            Self::Blocks(dtype) => format!("{dtype:?}").to_lowercase(),
        }
    }
}

/// A tensor as a file holds it.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor<'a> {
    /// Its name in the file.
    pub(crate) name: Cow<'a, str>,
    /// How its numbers are stored.
    pub(crate) encoding: Encoding,
    /// Its shape, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Its bytes, little endian, row-major.
    pub(crate) bytes: Cow<'a, [u8]>,
}

/// Where weights go and what they become there.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// The device that holds them.
    pub(crate) device: candle_core::Device,
    /// The type that is computed with.
    pub(crate) dtype: DType,
    /// Whether blocks are widened to `dtype` rather than kept as they are.
    pub(crate) widen_blocks: bool,
    /// What computes on the processor; none on other devices.
    pub(crate) kernels: Option<Kernels>,
}

/// What a stored matrix becomes.
enum Becomes<'a> {
    /// Packed from its bytes.
    Packed(&'a Kernels, Format),
    /// Packed from its numbers, which are f32.
    Widened(&'a Kernels, Format),
    /// Blocks of the tensor library.
    Blocks,
    /// A tensor of the computing type.
    Plain,
}

impl Placement {
    /// The same place for the few weights that are computed with in f32 whatever the rest is.
    pub(crate) fn in_f32(&self) -> Self {
        Self {
            device: self.device.clone(),
            dtype: DType::F32,
            widen_blocks: true,
            kernels: self.kernels.clone().map(Kernels::exact),
        }
    }

    /// The type of keys and values. On the CPU it is f32, or bf16 where products round to it: attention reads nothing else.
    pub(crate) fn cache_dtype(&self) -> DType {
        match &self.kernels {
            _ if !self.device.is_cpu() => self.dtype,
            Some(kernels) if kernels.rounds() => DType::BF16,
            Some(_) | None => DType::F32,
        }
    }

    /// The kernels, if layers compute with them: on the processor, in f32.
    pub(crate) fn layer_kernels(&self) -> Option<&Kernels> {
        self.kernels.as_ref().filter(|_| self.dtype == DType::F32)
    }

    fn becomes(&self, encoding: Encoding) -> Becomes<'_> {
        let Some(kernels) = self.layer_kernels() else {
            return match encoding {
                Encoding::Blocks(_) if !self.widen_blocks => Becomes::Blocks,
                Encoding::Blocks(_) | Encoding::Plain(_) => Becomes::Plain,
            };
        };
        let rounds = kernels.rounds();
        match (encoding, packed_format(encoding, rounds)) {
            (Encoding::Plain(DType::F32 | DType::F16), Some(format)) => Becomes::Packed(kernels, format),
            (Encoding::Plain(DType::BF16), Some(format)) if rounds => Becomes::Packed(kernels, format),
            (_, Some(format)) if !self.widen_blocks => Becomes::Packed(kernels, format),
            (Encoding::Blocks(_), None) if !self.widen_blocks => Becomes::Blocks,
            _ => Becomes::Widened(kernels, format_of_floats(rounds)),
        }
    }

    /// Bytes that a tensor of `shape` takes here: a matrix or a stack of them as a weight, a vector as plain numbers.
    pub(crate) fn resident_bytes(&self, tensor: &StoredTensor<'_>) -> u64 {
        let product = |sizes: &[usize]| sizes.iter().fold(1_u64, |all, size| all.saturating_mul(*size as u64));
        let [stack @ .., rows, columns] = tensor.shape.as_slice() else {
            return product(&tensor.shape).saturating_mul(self.dtype.size_in_bytes() as u64);
        };
        let packed = |kernels: &Kernels, format| {
            let bytes = PackedWeight::bytes_for(kernels.isa(), format, [*rows, *columns]).unwrap_or(usize::MAX);
            product(stack).saturating_mul(bytes as u64)
        };
        match self.becomes(tensor.encoding) {
            Becomes::Packed(kernels, format) | Becomes::Widened(kernels, format) => packed(kernels, format),
            Becomes::Blocks => tensor.bytes.len() as u64,
            Becomes::Plain => product(&tensor.shape).saturating_mul(self.dtype.size_in_bytes() as u64),
        }
    }

    /// What weights that are stored as `encoding` become here, as status and log spell it.
    pub(crate) fn name_of(&self, encoding: Encoding) -> String {
        match (self.becomes(encoding), encoding) {
            (_, Encoding::Blocks(_)) if !self.widen_blocks => encoding.name(),
            (
                Becomes::Packed(_, Format::Bf16 | Format::F16 | Format::F32AsBf16)
                | Becomes::Widened(_, Format::F32AsBf16),
                _,
            ) => DType::BF16.as_str().to_owned(),
            _ => self.dtype.as_str().to_owned(),
        }
    }
}

/// What the kernels pack such numbers from. 16-bit floats are kept exactly, unless products round to bf16: then all plain
/// numbers are kept as bf16. `None` for what they lack.
const fn packed_format(encoding: Encoding, rounds: bool) -> Option<Format> {
    Some(match encoding {
        Encoding::Plain(DType::F32) => format_of_floats(rounds),
        Encoding::Plain(DType::F16) if rounds => Format::F16,
        Encoding::Plain(DType::F16) => Format::F16Exact,
        Encoding::Plain(DType::BF16) => Format::Bf16,
        Encoding::Blocks(GgmlDType::Q4_0) => Format::Q4_0,
        Encoding::Blocks(GgmlDType::Q4_1) => Format::Q4_1,
        Encoding::Blocks(GgmlDType::Q5_0) => Format::Q5_0,
        Encoding::Blocks(GgmlDType::Q5_1) => Format::Q5_1,
        Encoding::Blocks(GgmlDType::Q8_0) => Format::Q8_0,
        Encoding::Blocks(GgmlDType::Q4K) => Format::Q4K,
        Encoding::Blocks(GgmlDType::Q5K) => Format::Q5K,
        Encoding::Blocks(GgmlDType::Q6K) => Format::Q6K,
        Encoding::Plain(_) | Encoding::Blocks(_) => return None,
    })
}

/// What f32 numbers are packed from.
const fn format_of_floats(rounds: bool) -> Format {
    if rounds { Format::F32AsBf16 } else { Format::F32 }
}

/// A weight in a device's memory.
#[derive(Debug, Clone)]
pub(crate) enum Weight {
    /// Packed for the processor's kernels.
    Packed(PackedMatrix),
    /// Plain numbers of the computing type.
    Plain(Tensor),
    /// Blocks as in the file, multiplied without widening.
    Blocks(Arc<QTensor>),
}

impl Weight {
    /// A weight of numbers that were computed from what a file holds, `[n, k]`; messages call it `name`.
    pub(crate) fn of_tensor(name: &str, tensor: &Tensor, placement: &Placement) -> Result<Self> {
        if placement.layer_kernels().is_none() {
            return Ok(Self::Plain(tensor.clone()));
        }
        let bytes = tensor.flatten_all().and_then(|numbers| {
            let numbers = numbers.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            Ok(numbers
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect::<Vec<u8>>())
        });
        let stored = StoredTensor {
            name: Cow::Borrowed(name),
            encoding: Encoding::Plain(DType::F32),
            shape: tensor.dims().to_vec(),
            bytes: Cow::Owned(bytes.map_err(device_fault)?),
        };
        stored.to_weight(placement)
    }
}

impl StoredTensor<'_> {
    /// Fails unless the tensor has the shape that the configuration calls for.
    ///
    /// # Errors
    /// [`Error::BadModel`] with the tensor's name, the shape found and the shape expected.
    pub(crate) fn expect_shape(&self, expected: &[usize]) -> Result<()> {
        if self.shape == expected {
            return Ok(());
        }
        Err(Error::bad_model(format!(
            "tensor {}: shape {:?} in the file, {expected:?} by the configuration; the two belong to different models",
            self.name, self.shape
        )))
    }

    /// Copies the tensor to the device as plain numbers of `placement.dtype`, whatever its encoding.
    pub(crate) fn to_plain(&self, placement: &Placement) -> Result<Tensor> {
        self.expect_length()?;
        let tensor = match self.encoding {
            Encoding::Plain(dtype) => {
                Tensor::from_raw_buffer(&self.bytes, dtype, &self.shape, &candle_core::Device::Cpu)
            }
            Encoding::Blocks(_) => self
                .to_blocks(&candle_core::Device::Cpu)?
                .dequantize(&candle_core::Device::Cpu),
        };
        tensor
            .and_then(|tensor| tensor.to_dtype(placement.dtype))
            .and_then(|tensor| tensor.to_device(&placement.device))
            .map_err(device_fault)
    }

    /// Copies a matrix to the device: packed, as blocks, or as plain numbers.
    pub(crate) fn to_weight(&self, placement: &Placement) -> Result<Weight> {
        self.expect_length()?;
        match placement.becomes(self.encoding) {
            Becomes::Packed(kernels, format) => self.pack(kernels, format, &self.bytes),
            Becomes::Widened(kernels, format) => {
                let numbers = self.to_plain(placement)?.flatten_all().map_err(device_fault)?;
                let bytes = with_rows(&numbers, |rows| {
                    let mut bytes = Vec::with_capacity(4 * rows.width());
                    for number in rows.row(0) {
                        bytes.extend_from_slice(&number.to_le_bytes());
                    }
                    Ok(bytes)
                });
                self.pack(kernels, format, &bytes.map_err(device_fault)?)
            }
            Becomes::Blocks => Ok(Weight::Blocks(Arc::new(self.to_blocks(&placement.device)?))),
            Becomes::Plain => self.to_plain(placement).map(Weight::Plain),
        }
    }

    fn pack(&self, kernels: &Kernels, format: Format, bytes: &[u8]) -> Result<Weight> {
        let &[rows, columns] = self.shape.as_slice() else {
            let message = format!("tensor {}: shape {:?} is no matrix", self.name, self.shape);
            return Err(Error::bad_model(message));
        };
        let packed = PackedMatrix::pack(kernels, format, [rows, columns], bytes)
            .map_err(|error| Error::bad_model(format!("tensor {}: {error}", self.name)))?;
        Ok(Weight::Packed(packed))
    }

    /// Splits a stack of matrices `[n, …]` into its `n` parts, without copying.
    pub(crate) fn unstack(&self) -> Result<Vec<StoredTensor<'_>>> {
        self.expect_length()?;
        let (&count, rest) = self
            .shape
            .split_first()
            .filter(|(count, rest)| **count > 0 && !rest.is_empty())
            .ok_or_else(|| Error::bad_model(format!("tensor {}: shape {:?} is no stack", self.name, self.shape)))?;
        let part_bytes = self.bytes.len() / count;
        if part_bytes == 0 {
            return Err(Error::bad_model(format!(
                "tensor {}: shape {:?} holds nothing",
                self.name, self.shape
            )));
        }
        let parts = self.bytes.chunks_exact(part_bytes).enumerate();
        let part = |(index, bytes)| StoredTensor {
            name: Cow::Owned(format!("{}[{index}]", self.name)),
            encoding: self.encoding,
            shape: rest.to_vec(),
            bytes: Cow::Borrowed(bytes),
        };
        Ok(parts.map(part).collect())
    }

    /// Reorders the rows of each head from interleaved to half-split rotation.
    ///
    /// GGUF files of the architecture `llama` hold row `2·j + i` of a head where the published checkpoints
    /// hold row `i·head_dim/2 + j` (llama.cpp, `convert_hf_to_gguf.py`, `permute`). Rows are whole blocks,
    /// hence quantized ones can be moved too. Works for biases, whose rows are single numbers.
    pub(crate) fn into_half_split(self, head_dim: usize) -> Result<Self> {
        self.expect_length()?;
        let rows = self.shape.first().copied().unwrap_or(0);
        let half = head_dim / 2;
        if rows == 0 || half == 0 || !rows.is_multiple_of(head_dim) || !self.bytes.len().is_multiple_of(rows) {
            let message = format!("tensor {}: {rows} rows are no whole heads of {head_dim}", self.name);
            return Err(Error::bad_model(message));
        }
        let row_bytes = self.bytes.len() / rows;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for head in self.bytes.chunks_exact(row_bytes * head_dim) {
            for part in 0..2 {
                for row in head.chunks_exact(row_bytes).skip(part).step_by(2) {
                    bytes.extend_from_slice(row);
                }
            }
        }
        Ok(Self {
            bytes: Cow::Owned(bytes),
            ..self
        })
    }

    fn to_blocks(&self, device: &candle_core::Device) -> Result<QTensor> {
        let Encoding::Blocks(dtype) = self.encoding else {
            return Err(Error::internal(format!("tensor {} is not stored in blocks", self.name)));
        };
        // Blocks begin with 16- or 32-bit scales; the tensor library panics where they are not aligned.
        let aligned = if self.bytes.as_ptr().align_offset(align_of::<u32>()) == 0 {
            Cow::Borrowed(self.bytes.as_ref())
        } else {
            Cow::Owned(self.bytes.to_vec())
        };
        QStorage::from_data(aligned, device, dtype)
            .and_then(|storage| QTensor::new(storage, self.shape.as_slice()))
            .map_err(device_fault)
    }

    fn expect_length(&self) -> Result<()> {
        let numbers = self
            .shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size));
        let expected = match self.encoding {
            Encoding::Plain(dtype) => numbers.and_then(|numbers| numbers.checked_mul(dtype.size_in_bytes())),
            Encoding::Blocks(dtype) => numbers
                .filter(|_| {
                    self.shape
                        .last()
                        .is_some_and(|row| row.is_multiple_of(dtype.block_size()))
                })
                .and_then(|numbers| (numbers / dtype.block_size()).checked_mul(dtype.type_size())),
        };
        if expected == Some(self.bytes.len()) {
            return Ok(());
        }
        Err(Error::bad_model(format!(
            "tensor {}: {} bytes do not make {:?} of {}; the file is damaged, download it again",
            self.name,
            self.bytes.len(),
            self.shape,
            self.encoding.name()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> StoredTensor<'static> {
        StoredTensor {
            name: Cow::Borrowed("w"),
            encoding: Encoding::Plain(DType::F32),
            shape: shape.to_vec(),
            bytes: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }

    fn on_cpu() -> Placement {
        Placement {
            device: candle_core::Device::Cpu,
            dtype: DType::F32,
            widen_blocks: false,
            kernels: None,
        }
    }

    #[test]
    fn interleaved_rows_become_half_split_head_by_head() {
        let stored = floats(&[8, 1], &[0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]);
        let tensor = stored.clone().into_half_split(4).unwrap().to_plain(&on_cpu()).unwrap();
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0]);
        assert!(stored.into_half_split(3).is_err(), "8 rows are no heads of 3");
    }

    #[test]
    fn a_wrong_shape_names_the_tensor_and_both_shapes() {
        let error = floats(&[2, 3], &[0.0; 6]).expect_shape(&[3, 2]).unwrap_err();
        assert_eq!(error.code(), "bad_model");
        assert!(
            error.to_string().contains("tensor w: shape [2, 3] in the file, [3, 2]"),
            "{error}"
        );
    }

    #[test]
    fn bytes_that_do_not_fit_the_shape_are_an_error_and_not_a_panic() {
        for shape in [vec![5], vec![usize::MAX, usize::MAX], vec![0]] {
            let error = floats(&shape, &[0.0; 6]).to_plain(&on_cpu()).unwrap_err();
            assert!(error.to_string().contains("24 bytes do not make"), "{error}");
        }
        let blocks = StoredTensor {
            encoding: Encoding::Blocks(GgmlDType::Q8_0),
            ..floats(&[3, 31], &[0.0; 6])
        };
        assert!(blocks.to_weight(&on_cpu()).is_err(), "31 is no multiple of 32");
    }

    #[test]
    fn blocks_at_an_odd_address_are_read_like_any_others() {
        let mut bytes = [0_u8; 35];
        bytes[1..3].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        bytes[3] = 4;
        let blocks = StoredTensor {
            name: Cow::Borrowed("w"),
            encoding: Encoding::Blocks(GgmlDType::Q8_0),
            shape: vec![1, 32],
            bytes: Cow::Borrowed(&bytes[1..]),
        };
        let values = blocks
            .to_plain(&on_cpu())
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!((values[0] - 2.0).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn a_stack_splits_into_its_matrices() {
        let stack = floats(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let parts = stack.unstack().unwrap();
        let second = parts[1].to_plain(&on_cpu()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!((parts.len(), second), (2, vec![vec![3.0, 4.0]]));
        assert!(floats(&[2], &[1.0, 2.0]).unstack().is_err(), "a vector is no stack");
    }
}
