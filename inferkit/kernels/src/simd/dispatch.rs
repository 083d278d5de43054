//! From a generic kernel to one compiled function a tier.

/// Compiles a kernel for every vector width and defines a function that picks by [`Isa`](crate::Isa).
///
/// `float_tiers! { fn name(args) -> T = kernel; }` defines `unsafe fn name(isa: Isa, args) -> T`, which calls
/// `kernel::<S>(args)` with the widest `S: Simd` of the tier.
macro_rules! float_tiers {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $kernel:ident;) => {
        $(#[$doc])*
        $vis unsafe fn $name(isa: $crate::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")]
                unsafe fn v512($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::V512>($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn v256($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::V256>($($arg),*) }
                match isa.tier() {
                    $crate::Tier::Avx512
                    | $crate::Tier::Avx512Vnni
                    | $crate::Tier::Avx512Bf16
                    | $crate::Tier::AmxBf16 => return v512($($arg),*),
                    $crate::Tier::Avx2 | $crate::Tier::AvxVnni => return v256($($arg),*),
                    $crate::Tier::Portable
                    | $crate::Tier::Neon
                    | $crate::Tier::NeonDot
                    | $crate::Tier::NeonI8mm
                    | $crate::Tier::NeonBf16 => {}
                }
            }
            // NEON belongs to every aarch64 processor: no function of its own is needed.
            #[cfg(target_arch = "aarch64")]
            if isa.tier() != $crate::Tier::Portable {
                return $kernel::<$crate::simd::V128x2>($($arg),*);
            }
            let _ = isa;
            $kernel::<$crate::simd::Lanes8>($($arg),*)
        }
    };
}

/// The same for kernels on 8-bit products: calls `kernel::<D>(args)` with the tier's `D: Dot`.
macro_rules! int8_tiers {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $kernel:ident;) => {
        $(#[$doc])*
        $vis unsafe fn $name(isa: $crate::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
                unsafe fn quad512($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::Quad512>($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")]
                unsafe fn pair512($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::Pair512>($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
                unsafe fn quad256($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::Quad256>($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn pair256($($arg: $ty),*) $(-> $ret)? { $kernel::<$crate::simd::Pair256>($($arg),*) }
                match isa.tier() {
                    $crate::Tier::Avx512Vnni
                    | $crate::Tier::Avx512Bf16
                    | $crate::Tier::AmxBf16 => return quad512($($arg),*),
                    $crate::Tier::Avx512 => return pair512($($arg),*),
                    $crate::Tier::AvxVnni => return quad256($($arg),*),
                    $crate::Tier::Avx2 => return pair256($($arg),*),
                    $crate::Tier::Portable
                    | $crate::Tier::Neon
                    | $crate::Tier::NeonDot
                    | $crate::Tier::NeonI8mm
                    | $crate::Tier::NeonBf16 => {}
                }
            }
            #[cfg(target_arch = "aarch64")]
            match isa.tier() {
                $crate::Tier::NeonI8mm | $crate::Tier::NeonBf16 => {
                    return $kernel::<$crate::simd::MatrixNeon>($($arg),*);
                }
                $crate::Tier::NeonDot => return $kernel::<$crate::simd::QuadNeon>($($arg),*),
                $crate::Tier::Neon => return $kernel::<$crate::simd::WideNeon>($($arg),*),
                _ => {}
            }
            let _ = isa;
            $kernel::<$crate::simd::PortableDot>($($arg),*)
        }
    };
}

pub(crate) use {float_tiers, int8_tiers};
