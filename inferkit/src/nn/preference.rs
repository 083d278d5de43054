//! Which device and which number types a model gets.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::error::RequestFault;

/// Which device a model should run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DevicePreference {
    /// The best there is: CUDA, Metal, else the CPU; which one it became is told.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of that index; its absence is an error.
    Cuda(usize),
    /// Apple's GPU; its absence is an error.
    Metal,
}

#[cfg(test)]
impl DevicePreference {
    /// The device that tests of networks and models compute on: the processor, or what the variable
    /// `INFERKIT_TEST_DEVICE` names (`scripts/check-gpu.sh` sets it).
    pub(crate) fn under_test() -> Self {
        std::env::var("INFERKIT_TEST_DEVICE").map_or(Self::Cpu, |name| name.parse().unwrap())
    }
}

#[cfg(test)]
impl DtypePreference {
    /// What the device under test computes with when goldens in f32 are to be met: on the processor that is f32 whatever the
    /// file holds, elsewhere the type of the file would be taken.
    pub(crate) fn of_goldens() -> Self {
        match DevicePreference::under_test() {
            DevicePreference::Cpu => Self::Auto,
            _ => Self::F32,
        }
    }
}

impl fmt::Display for DevicePreference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(index) => write!(formatter, "cuda:{index}"),
            Self::Metal => formatter.write_str("metal"),
        }
    }
}

impl FromStr for DevicePreference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| {
                    Error::invalid(
                        RequestFault::InvalidValue,
                        "device",
                        format!("device {text:?} is unknown; use auto, cpu, cuda:0 or metal"),
                    )
                }),
        }
    }
}

/// Which type a model's weights should have in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DtypePreference {
    /// As the file has them, where the device computes with that type well.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 16-bit brain floats. On the CPU products round weights and what they meet to them, and all else stays f32.
    Bf16,
}

impl fmt::Display for DtypePreference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for DtypePreference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::invalid(
                RequestFault::InvalidValue,
                "dtype",
                format!("dtype {text:?} is unknown; use auto, f32, f16 or bf16"),
            )),
        }
    }
}

/// Which type the keys and values of a chat model should have in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheDtypePreference {
    /// The type that is computed with; on the CPU f32, or bf16 where products round to it.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats: half the memory of f32.
    Bf16,
    /// 8 bits with one f32 scale for each token, head, and key or value: little more than a quarter of the memory of f32, and a
    /// fourth of what attention reads. On the CPU only.
    Int8,
}

impl fmt::Display for CacheDtypePreference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for CacheDtypePreference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            "int8" => Ok(Self::Int8),
            _ => Err(Error::invalid(
                RequestFault::InvalidValue,
                "cache_dtype",
                format!("cache_dtype {text:?} is unknown; use auto, f32, bf16 or int8"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_reads_back_as_it_is_written() {
        for device in [
            DevicePreference::Auto,
            DevicePreference::Cpu,
            DevicePreference::Cuda(3),
            DevicePreference::Metal,
        ] {
            assert_eq!(device.to_string().parse::<DevicePreference>().unwrap(), device);
        }
        for dtype in [
            DtypePreference::Auto,
            DtypePreference::F32,
            DtypePreference::F16,
            DtypePreference::Bf16,
        ] {
            assert_eq!(dtype.to_string().parse::<DtypePreference>().unwrap(), dtype);
        }
        for dtype in [
            CacheDtypePreference::Auto,
            CacheDtypePreference::F32,
            CacheDtypePreference::Bf16,
            CacheDtypePreference::Int8,
        ] {
            assert_eq!(dtype.to_string().parse::<CacheDtypePreference>().unwrap(), dtype);
        }
    }

    #[test]
    fn an_unknown_preference_is_refused_with_the_known_ones() {
        let error = "gpu".parse::<DevicePreference>().unwrap_err();
        assert_eq!(error.param(), Some("device"));
        assert!(error.to_string().contains("auto, cpu, cuda:0 or metal"), "{error}");
        assert!("q9".parse::<DtypePreference>().is_err());
        let error = "int4".parse::<CacheDtypePreference>().unwrap_err();
        assert_eq!(error.param(), Some("cache_dtype"));
        assert!(error.to_string().contains("auto, f32, bf16 or int8"), "{error}");
    }
}
