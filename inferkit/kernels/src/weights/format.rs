//! How weights stand in a file.

use std::fmt;

use super::{Kind, PackError};

/// How the values of a weight stand in a file, and what they are kept as.
///
/// Quantized formats are GGUF's blocks. Source: ggml, `ggml-common.h` (layouts) and `ggml-quants.c` (meaning).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// 32-bit floats, kept as bfloat16: rounded to nearest even.
    F32AsBf16,
    /// Brain floats of 16 bits.
    Bf16,
    /// Half-precision floats, kept as bfloat16: three of eleven significant bits are rounded away.
    F16,
    /// Half-precision floats, kept as they are.
    F16Exact,
    /// 32 signed bytes and a scale.
    Q8_0,
    /// 32 values of 4 bits, offset 8, and a scale.
    Q4_0,
    /// 32 values of 4 bits, a scale and a minimum.
    Q4_1,
    /// 32 values of 5 bits, offset 16, and a scale.
    Q5_0,
    /// 32 values of 5 bits, a scale and a minimum.
    Q5_1,
    /// 256 values of 4 bits with 6-bit scales and minima for every 32.
    Q4K,
    /// 256 values of 5 bits with 6-bit scales and minima for every 32.
    Q5K,
    /// 256 values of 6 bits, offset 32, with 8-bit scales for every 16.
    Q6K,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F32AsBf16,
        Self::Bf16,
        Self::F16,
        Self::F16Exact,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Values and bytes of one block in the file; a plain number is a block of one.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 | Self::F32AsBf16 => (1, 4),
            Self::Bf16 | Self::F16 | Self::F16Exact => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// What it is kept as.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::F32,
            Self::F16Exact => Kind::F16,
            Self::F32AsBf16 | Self::Bf16 | Self::F16 => Kind::Bf16,
            Self::Q8_0 | Self::Q5_0 => Kind::Q8,
            Self::Q5_1 => Kind::Q8Min,
            Self::Q4_0 => Kind::Q4,
            Self::Q4_1 => Kind::Q4Min,
            Self::Q4K => Kind::Q4K,
            Self::Q5K => Kind::Q5K,
            Self::Q6K => Kind::Q6K,
        }
    }

    /// Bytes of a row of `k` values in the file; `n` only completes the error.
    pub(super) fn row_bytes(self, n: usize, k: usize) -> Result<usize, PackError> {
        let (values, bytes) = self.block();
        if n == 0 || k == 0 {
            return Err(PackError::Empty { n, k });
        }
        if !k.is_multiple_of(values) {
            return Err(PackError::Block {
                format: self,
                k,
                block: values,
            });
        }
        // 64 rows of a panel and four bytes a value, so that the size of a panel cannot overflow either.
        if k > isize::MAX as usize / 1024 || n > isize::MAX as usize / 2 {
            return Err(PackError::TooLarge { n, k });
        }
        Ok(k / values * bytes)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 | Self::F32AsBf16 => "F32",
            Self::Bf16 => "BF16",
            Self::F16 | Self::F16Exact => "F16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        })
    }
}
