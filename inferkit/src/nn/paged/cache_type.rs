//! How keys and values are kept: by preference, by device, and by what kernels can do.

use candle_core::DType;
use inferkit_kernels::CacheElement;

use crate::error::Error;
use crate::error::RequestFault;
use crate::error::Result;
use crate::nn::CacheDtypePreference;
use crate::nn::Placement;

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheType {
    /// As numbers of this type.
    Plain(DType),
    /// In 8 bits, with an f32 scale for the key and one for the value of each token and head.
    Int8,
}

impl From<DType> for CacheType {
    fn from(dtype: DType) -> Self {
        Self::Plain(dtype)
    }
}

impl CacheType {
    /// What a model of heads of `head_dim` numbers gets that is computed at `placement`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] (`cache_dtype`) for a type that attention does not read there.
    pub(crate) fn choose(wanted: CacheDtypePreference, placement: &Placement, head_dim: usize) -> Result<Self> {
        let usual = Self::Plain(placement.cache_dtype());
        let chosen = match wanted {
            CacheDtypePreference::Auto => usual,
            CacheDtypePreference::F32 => Self::Plain(DType::F32),
            CacheDtypePreference::Bf16 => Self::Plain(DType::BF16),
            CacheDtypePreference::Int8 => Self::Int8,
        };
        let refusal = if chosen == usual {
            return Ok(chosen);
        } else if placement.kernels.is_none() {
            "on this device attention reads the type that is computed with: leave cache_dtype at auto, or choose device cpu"
                .to_owned()
        } else if !head_dim.is_multiple_of(16) {
            format!(
                "this model's heads hold {head_dim} numbers, and it takes multiples of 16: leave cache_dtype at auto"
            )
        } else {
            return Ok(chosen);
        };
        let message = format!("keys and values cannot be kept as {wanted}: {refusal}");
        Err(Error::invalid(RequestFault::UnsupportedValue, "cache_dtype", message))
    }

    /// Bytes of the key, or of the value, of one token and head.
    pub(super) fn bytes(self, head_dim: usize) -> u64 {
        let bytes = match self {
            Self::Plain(dtype) => head_dim.checked_mul(dtype.size_in_bytes()),
            Self::Int8 => CacheElement::Int8.bytes(head_dim),
        };
        bytes.map_or(u64::MAX, |bytes| bytes as u64)
    }

    /// How the kernels call it, if they take it.
    pub(super) const fn element(self) -> Option<CacheElement> {
        match self {
            Self::Plain(DType::F32) => Some(CacheElement::F32),
            Self::Plain(DType::BF16) => Some(CacheElement::Bf16),
            Self::Plain(_) => None,
            Self::Int8 => Some(CacheElement::Int8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Device;
    use crate::nn::DevicePreference;
    use crate::nn::DtypePreference;

    fn processor(dtype: DtypePreference) -> Placement {
        let device = Device::open(DevicePreference::Cpu).unwrap();
        device.placement(dtype, DType::F32)
    }

    /// As a device without kernels of ours.
    fn elsewhere(dtype: DType) -> Placement {
        Placement {
            kernels: None,
            dtype,
            ..processor(DtypePreference::Auto)
        }
    }

    #[test]
    fn the_processor_keeps_what_is_asked_for_and_of_its_own_accord_what_it_computes_with() {
        let choose = |wanted, dtype| CacheType::choose(wanted, &processor(dtype), 64).unwrap();
        for (wanted, exact, rounding) in [
            (
                CacheDtypePreference::Auto,
                CacheType::Plain(DType::F32),
                CacheType::Plain(DType::BF16),
            ),
            (
                CacheDtypePreference::F32,
                CacheType::Plain(DType::F32),
                CacheType::Plain(DType::F32),
            ),
            (
                CacheDtypePreference::Bf16,
                CacheType::Plain(DType::BF16),
                CacheType::Plain(DType::BF16),
            ),
            (CacheDtypePreference::Int8, CacheType::Int8, CacheType::Int8),
        ] {
            assert_eq!(choose(wanted, DtypePreference::Auto), exact);
            assert_eq!(choose(wanted, DtypePreference::Bf16), rounding);
        }
    }

    #[test]
    fn what_attention_does_not_read_is_refused_with_what_to_do() {
        let refused = |wanted, placement: &Placement, head_dim| {
            let error = CacheType::choose(wanted, placement, head_dim).unwrap_err();
            assert_eq!(
                (error.code(), error.param()),
                ("unsupported_value", Some("cache_dtype"))
            );
            error.to_string()
        };
        let here = processor(DtypePreference::Auto);
        let message = refused(CacheDtypePreference::Int8, &here, 20);
        assert!(
            message.contains("heads hold 20 numbers") && message.contains("auto"),
            "{message}"
        );
        let message = refused(CacheDtypePreference::Int8, &elsewhere(DType::F32), 64);
        assert!(
            message.contains("kept as int8") && message.contains("device cpu"),
            "{message}"
        );
        refused(CacheDtypePreference::Bf16, &elsewhere(DType::F32), 64);
        let auto = CacheType::choose(CacheDtypePreference::Auto, &here, 20).unwrap();
        assert_eq!(auto, CacheType::Plain(DType::F32), "whatever the heads are");
    }

    #[test]
    fn bytes_are_those_of_numbers_and_scales() {
        assert_eq!(CacheType::Plain(DType::BF16).bytes(64), 128);
        assert_eq!(CacheType::Int8.bytes(64), 68);
        assert_eq!(CacheType::Int8.bytes(usize::MAX), u64::MAX);
    }
}
