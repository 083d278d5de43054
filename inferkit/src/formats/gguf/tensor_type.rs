//! The types of tensors in a GGUF file, and how many bytes they take.

use std::fmt;

/// How the elements of a tensor are packed; block layouts as in ggml's `ggml-common.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GgmlType {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Q8K,
    /// Any other, by its number in ggml's `enum ggml_type`.
    Unknown(u32),
}

impl GgmlType {
    /// The type with that number in ggml's `enum ggml_type`.
    pub(crate) const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            15 => Self::Q8K,
            30 => Self::Bf16,
            code => Self::Unknown(code),
        }
    }

    /// Elements and bytes of one block; `None` for a type that is not known.
    pub(crate) const fn block(self) -> Option<Block> {
        let (elements, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q2K => (256, 84),
            Self::Q3K => (256, 110),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
            Self::Q8K => (256, 292),
            Self::Unknown(_) => return None,
        };
        Some(Block { elements, bytes })
    }
}

/// The unit in which a type packs the elements of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Elements of a block; rows are whole multiples.
    pub(crate) elements: usize,
    /// Bytes of a block.
    pub(crate) bytes: usize,
}

impl fmt::Display for GgmlType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Q8K => "Q8_K",
            Self::Unknown(code) => return write!(formatter, "{} ({code})", unknown_name(*code)),
        })
    }
}

/// ggml's name of a type that is not read here, for messages.
const fn unknown_name(code: u32) -> &'static str {
    match code {
        9 => "Q8_1",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => "unnamed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_sizes_that_the_reference_gives_them() {
        use candle_core::quantized::GgmlDType as Reference;
        for (code, reference) in [
            (0, Reference::F32),
            (1, Reference::F16),
            (2, Reference::Q4_0),
            (3, Reference::Q4_1),
            (6, Reference::Q5_0),
            (7, Reference::Q5_1),
            (8, Reference::Q8_0),
            (10, Reference::Q2K),
            (11, Reference::Q3K),
            (12, Reference::Q4K),
            (13, Reference::Q5K),
            (14, Reference::Q6K),
            (15, Reference::Q8K),
            (30, Reference::BF16),
        ] {
            let block = GgmlType::from_code(code).block().unwrap();
            assert_eq!(
                (block.elements, block.bytes),
                (reference.block_size(), reference.type_size()),
                "{code}"
            );
        }
    }

    #[test]
    fn a_type_that_is_not_read_is_called_by_its_name() {
        assert_eq!(GgmlType::from_code(39).to_string(), "MXFP4 (39)");
        assert_eq!(GgmlType::from_code(1234).to_string(), "unnamed (1234)");
        assert_eq!(GgmlType::from_code(20).block(), None);
    }
}
