//! What this processor can do, found once.
//!
//! An [`Isa`] can only be made by asking the processor: holding one *is* the proof that its instructions exist, and
//! every unsafe call of a vector kernel rests on that.
//!
//! | `INFERKIT_KERNELS` | processor and system | 8-bit products | bfloat16 products |
//! |---|---|---|---|
//! | `portable` | any | plain Rust | plain Rust, in f32 |
//! | `neon` | aarch64 | SMULL | in f32 |
//! | `neon_dot` | and FEAT_DotProd | SDOT | in f32 |
//! | `neon_i8mm` | and FEAT_I8MM | SMMLA | in f32 |
//! | `neon_bf16` | and FEAT_BF16 | the same | BFMMLA |
//! | `avx2` | x86-64 with AVX2, FMA, F16C | VPMADDWD | in f32 |
//! | `avx_vnni` | and AVX-VNNI | VPDPBUSD, 256 bits | in f32 |
//! | `avx512` | `avx2` and AVX-512 F, BW, VL, DQ | VPMADDWD, 512 bits | in f32 |
//! | `avx512_vnni` | and AVX512_VNNI | VPDPBUSD, 512 bits | in f32 |
//! | `avx512_bf16` | and AVX512_BF16 | the same | VDPBF16PS |
//! | `amx_bf16` | and AMX-BF16, on Linux | the same | TDPBF16PS |
//!
//! There is no tier for the bytes of AMX. A scale for every 32 values leaves half of a tile's depth empty and is applied by
//! vectors, which brings TDPBSUD below VPDPBUSD: 290 against 390 G/s on one core of a processor that has both (Q8_0, 512
//! rows), and behind it for every format from 8 to 512 rows, the best of two runs.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;

use std::fmt;
use std::sync::OnceLock;

/// A set of instructions that kernels are written for, from the slowest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Plain Rust, the definition of every kernel.
    Portable,
    /// NEON, which every aarch64 processor has; 8-bit products widened to 16 bits.
    Neon,
    /// NEON with SDOT.
    NeonDot,
    /// NEON with SMMLA, which multiplies two rows with two columns at once.
    NeonI8mm,
    /// NEON with SMMLA and BFMMLA, which does the same for bfloat16.
    NeonBf16,
    /// AVX2, FMA and F16C; 8-bit products widened to 16 bits.
    Avx2,
    /// AVX2 with the 256-bit form of VPDPBUSD.
    AvxVnni,
    /// AVX-512 F, BW, VL and DQ.
    Avx512,
    /// AVX-512 with VPDPBUSD.
    Avx512Vnni,
    /// AVX-512 with VPDPBUSD and VDPBF16PS.
    Avx512Bf16,
    /// That and the tile registers of AMX for products of bfloat16.
    AmxBf16,
}

impl Tier {
    /// Every tier, slowest first.
    pub const ALL: [Self; 11] = [
        Self::Portable,
        Self::Neon,
        Self::NeonDot,
        Self::NeonI8mm,
        Self::NeonBf16,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::AmxBf16,
    ];

    /// The name that `INFERKIT_KERNELS` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::NeonDot => "neon_dot",
            Self::NeonI8mm => "neon_i8mm",
            Self::NeonBf16 => "neon_bf16",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx_vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512_vnni",
            Self::Avx512Bf16 => "avx512_bf16",
            Self::AmxBf16 => "amx_bf16",
        }
    }

    /// Whether activations that are rounded to bfloat16 stay so: there are instructions for their products.
    pub(crate) fn multiplies_bf16(self) -> bool {
        matches!(self, Self::NeonBf16 | Self::Avx512Bf16 | Self::AmxBf16)
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        macro_rules! has {
            ($($feature:tt),*) => { true $(&& is_x86_feature_detected!($feature))* };
        }
        match self {
            Self::Portable => true,
            Self::Neon | Self::NeonDot | Self::NeonI8mm | Self::NeonBf16 => false,
            Self::Avx2 => has!("avx2", "fma", "f16c"),
            Self::AvxVnni => Self::Avx2.is_available() && has!("avxvnni"),
            Self::Avx512 => Self::Avx2.is_available() && has!("avx512f", "avx512bw", "avx512vl", "avx512dq"),
            Self::Avx512Vnni => Self::Avx512.is_available() && has!("avx512vnni"),
            Self::Avx512Bf16 => Self::Avx512Vnni.is_available() && has!("avx512bf16"),
            #[cfg(all(target_os = "linux", not(miri)))]
            Self::AmxBf16 => Self::Avx512Bf16.is_available() && amx::multiplies_bf16(),
            #[cfg(any(not(target_os = "linux"), miri))]
            Self::AmxBf16 => false,
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn is_available(self) -> bool {
        match self {
            Self::Portable | Self::Neon => true,
            Self::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            Self::NeonI8mm => Self::NeonDot.is_available() && std::arch::is_aarch64_feature_detected!("i8mm"),
            Self::NeonBf16 => Self::NeonI8mm.is_available() && std::arch::is_aarch64_feature_detected!("bf16"),
            Self::Avx2 | Self::AvxVnni | Self::Avx512 | Self::Avx512Vnni | Self::Avx512Bf16 | Self::AmxBf16 => false,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tier that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa {
    tier: Tier,
}

impl Isa {
    /// The variable that forces a tier.
    pub const VARIABLE: &str = "INFERKIT_KERNELS";

    /// The fastest tier of this machine, or the one that the environment variable `INFERKIT_KERNELS` names.
    ///
    /// The variable is read at the first call; later calls return the same answer. An empty one names nothing.
    ///
    /// # Errors
    /// [`IsaError`] when the variable names a tier that does not exist or that this machine lacks.
    pub fn from_env() -> Result<Self, IsaError> {
        static ANSWER: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        ANSWER
            .get_or_init(|| match std::env::var_os(Self::VARIABLE) {
                Some(name) if !name.is_empty() => Self::named(&name.to_string_lossy()),
                Some(_) | None => Ok(Self::best()),
            })
            .clone()
    }

    /// The fastest tier of this machine, whatever the environment says.
    pub fn best() -> Self {
        Self::available().last().unwrap_or_else(Self::portable)
    }

    /// Plain Rust, which every machine has.
    pub fn portable() -> Self {
        Self { tier: Tier::Portable }
    }

    /// The tier of that name.
    ///
    /// # Errors
    /// [`IsaError`] when there is no such tier, or not on this machine.
    pub fn named(name: &str) -> Result<Self, IsaError> {
        let name = name.trim();
        let Some(tier) = Tier::ALL
            .into_iter()
            .find(|tier| tier.name().eq_ignore_ascii_case(name))
        else {
            return Err(IsaError::Unknown { name: name.to_owned() });
        };
        Self::new(tier).ok_or(IsaError::Missing { tier })
    }

    /// That tier, if this machine has it.
    pub fn new(tier: Tier) -> Option<Self> {
        tier.is_available().then_some(Self { tier })
    }

    /// Every tier of this machine, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Tier::ALL.into_iter().filter_map(Self::new)
    }

    /// Which tier it is.
    pub fn tier(self) -> Tier {
        self.tier
    }
}

/// Why the tier asked for cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
    /// No tier has that name.
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// The tier exists, but this processor lacks its instructions.
    Missing {
        /// The tier that was asked for.
        tier: Tier,
    },
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |f: &mut fmt::Formatter<'_>, tiers: &mut dyn Iterator<Item = Tier>| {
            tiers
                .enumerate()
                .try_for_each(|(i, tier)| write!(f, "{}{tier}", if i == 0 { "" } else { ", " }))
        };
        match self {
            Self::Unknown { name } => {
                write!(
                    f,
                    "{} names the kernel tier \"{name}\", which does not exist: choose one of ",
                    Isa::VARIABLE
                )?;
                names(f, &mut Tier::ALL.into_iter())
            }
            Self::Missing { tier } => {
                write!(
                    f,
                    "this processor cannot run the kernel tier {tier}: unset {} or choose one of ",
                    Isa::VARIABLE
                )?;
                names(f, &mut Isa::available().map(Isa::tier))
            }
        }
    }
}

impl std::error::Error for IsaError {}

#[cfg(test)]
mod tests {
    use super::{Isa, IsaError, Tier};

    #[test]
    fn each_available_tier_is_found_by_its_name() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.tier().name()), Ok(isa));
        }
        assert_eq!(Isa::named(" PORTABLE "), Ok(Isa::portable()));
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_names_that_exist() {
        let error = Isa::named("avx1024").unwrap_err();
        assert_eq!(error, IsaError::Unknown { name: "avx1024".into() });
        let text = error.to_string();
        assert!(text.contains("avx1024") && text.contains("portable, neon"), "{text}");
    }

    #[test]
    fn a_tier_that_the_machine_lacks_is_reported_with_what_it_has() {
        let text = IsaError::Missing { tier: Tier::Avx512Bf16 }.to_string();
        assert!(
            text.contains("avx512_bf16") && text.contains("choose one of portable"),
            "{text}"
        );
    }

    #[test]
    fn the_tier_that_the_environment_names_is_here() {
        // Under an emulator this shows that the tier is tested at all, not left out.
        if let Some(name) = std::env::var(Isa::VARIABLE).ok().filter(|name| !name.is_empty()) {
            let isa = Isa::from_env().unwrap();
            assert!(name.trim().eq_ignore_ascii_case(isa.tier().name()), "{name:?}");
        }
    }

    #[test]
    fn the_best_tier_is_the_last_available_one() {
        assert!(Isa::available().all(|isa| isa.tier() <= Isa::best().tier()));
    }
}
