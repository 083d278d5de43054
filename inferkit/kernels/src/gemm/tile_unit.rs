//! Blocks of rows on tile registers: 16 rows by 16 columns an instruction.
//!
//! A band of up to 32 rows meets 32 columns of a panel, so that each tile that is loaded takes part in two products:
//!
//! ```text
//!              B 6          B 7        columns of the panel, 16 each
//!   A 4      sums 0       sums 1
//!   A 5      sums 2       sums 3
//! ```
//!
//! Packed weights and prepared activations are those of the tier below, whose kernels take blocks of fewer rows. Both give the
//! same bits: a batch does not show whether tiles computed it.
//!
//! **Invariant:** tiles are configured and released within one call, so that the pool knows nothing of them.

#[cfg(any(test, target_arch = "x86_64"))]
mod bf16;
#[cfg(any(test, target_arch = "x86_64"))]
mod bytes;
#[cfg(any(test, target_arch = "x86_64"))]
mod grid;

use super::tiles::Kernel;
use crate::Isa;
#[cfg(any(test, target_arch = "x86_64"))]
use crate::Tier;
use crate::weights::Kind;

/// Fewer rows are left to vectors. Below some eight rows a product waits for its weights, whoever multiplies them.
pub(super) const LEAST_ROWS: usize = 8;

/// Kernels that take the place of those on vectors.
#[derive(Debug, Clone, Copy)]
pub(super) struct TileKernels {
    half: Kernel,
    half_min: Kernel,
    full_min: Kernel,
    full_twice: Kernel,
    bf16: Option<Bf16Kernels>,
}

/// bfloat16 on tiles is a sum of its own, so that few rows need another kernel too.
#[derive(Debug, Clone, Copy)]
struct Bf16Kernels {
    few: Kernel,
    many: Kernel,
}

impl TileKernels {
    /// The kernel for blocks of `m` rows, unless that of the tier below serves.
    pub(super) fn kernel(&self, kind: Kind, is_rounded: bool, m: usize) -> Option<Kernel> {
        let is_many = m >= LEAST_ROWS;
        match kind {
            Kind::F32 | Kind::F16 => None,
            Kind::Bf16 if !is_rounded => None,
            Kind::Bf16 => self
                .bf16
                .map(|kernels| if is_many { kernels.many } else { kernels.few }),
            _ if !is_many => None,
            Kind::Q8 | Kind::Q4 => Some(self.half),
            Kind::Q8Min | Kind::Q4Min => Some(self.half_min),
            Kind::Q4K | Kind::Q5K => Some(self.full_min),
            Kind::Q6K => Some(self.full_twice),
        }
    }

    /// The same, with bfloat16 left to vectors.
    #[cfg(target_arch = "x86_64")]
    fn without_bf16(self) -> Self {
        Self { bf16: None, ..self }
    }
}

/// The kernels on tile registers of a tier that has them.
pub(super) fn tile_kernels(isa: Isa) -> Option<TileKernels> {
    #[cfg(target_arch = "x86_64")]
    match isa.tier() {
        Tier::AmxInt8 => return Some(amx::kernels().without_bf16()),
        Tier::AmxBf16 => return Some(amx::kernels()),
        _ => {}
    }
    let _ = isa;
    None
}

/// Compiles the kernels for tile registers `$tiles` and vectors `$vectors`: a module with a function `kernels`.
#[cfg(any(test, target_arch = "x86_64"))]
macro_rules! tile_kernels {
    ($name:ident, $tiles:ty, $vectors:ty $(, $features:meta)?) => {
        mod $name {
            use super::{Bf16Kernels, TileKernels, bf16, bytes};
            use crate::Isa;
            use crate::gemm::int8::scales;
            use crate::gemm::tiles::Block;

            $(#[$features])?
            unsafe fn half(_: Isa, block: &Block) {
                bytes::multiply::<$tiles, $vectors, { scales::HALF }>(block);
            }
            $(#[$features])?
            unsafe fn half_min(_: Isa, block: &Block) {
                bytes::multiply::<$tiles, $vectors, { scales::HALF_MIN }>(block);
            }
            $(#[$features])?
            unsafe fn full_min(_: Isa, block: &Block) {
                bytes::multiply::<$tiles, $vectors, { scales::FULL_MIN }>(block);
            }
            $(#[$features])?
            unsafe fn full_twice(_: Isa, block: &Block) {
                bytes::multiply::<$tiles, $vectors, { scales::FULL_TWICE }>(block);
            }
            $(#[$features])?
            unsafe fn bf16_few(_: Isa, block: &Block) {
                bf16::multiply_few::<$vectors>(block);
            }
            $(#[$features])?
            unsafe fn bf16_many(_: Isa, block: &Block) {
                bf16::multiply::<$tiles>(block);
            }

            pub(super) fn kernels() -> TileKernels {
                TileKernels {
                    half,
                    half_min,
                    full_min,
                    full_twice,
                    bf16: Some(Bf16Kernels {
                        few: bf16_few,
                        many: bf16_many,
                    }),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tile_kernels!(
    amx,
    crate::simd::Amx,
    crate::simd::V512,
    target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
);

#[cfg(test)]
tile_kernels!(model, crate::simd::TileModel, crate::simd::Lanes8);

#[cfg(all(test, target_arch = "x86_64"))]
tile_kernels!(
    wide_model,
    crate::simd::TileModel,
    crate::simd::V512,
    target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
);

/// The kernels on tile registers in plain Rust, for weights that are packed for `isa`, which is plain Rust or has VPDPBUSD.
#[cfg(test)]
pub(super) fn modelled_kernels(isa: Isa) -> TileKernels {
    #[cfg(target_arch = "x86_64")]
    if isa.tier() > Tier::Portable {
        assert!(isa.tier() >= Tier::Avx512Vnni, "weights as tiles take them");
        return wide_model::kernels();
    }
    assert_eq!(isa.tier(), Tier::Portable, "weights as tiles take them");
    model::kernels()
}
