//! Eight lanes in plain Rust: the definition of every vector operation.

use super::Simd;

/// Arrays of eight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lanes8;

macro_rules! lanes {
    (|$i:ident| $value:expr) => {{
        let mut out = [Default::default(); 8];
        let mut $i = 0;
        while $i < 8 {
            out[$i] = $value;
            $i += 1;
        }
        out
    }};
}

impl Simd for Lanes8 {
    type F = [f32; 8];
    type I = [i32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 8] {
        p.cast::<[f32; 8]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 8]) {
        p.cast::<[f32; 8]>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn load_head(p: *const f32, n: usize) -> [f32; 8] {
        lanes!(|i| if i < n { p.add(i).read_unaligned() } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_head(p: *mut f32, n: usize, v: [f32; 8]) {
        for (i, x) in v.into_iter().enumerate().take(n) {
            p.add(i).write_unaligned(x);
        }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn div(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] / b[i])
    }
    #[inline(always)]
    unsafe fn min(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        lanes!(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn abs(a: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i].abs())
    }
    #[inline(always)]
    unsafe fn select_lt(a: [f32; 8], b: [f32; 8], x: [f32; 8], y: [f32; 8]) -> [f32; 8] {
        lanes!(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    unsafe fn all_finite(a: [f32; 8]) -> bool {
        a.iter().all(|x| x.is_finite())
    }
    #[inline(always)]
    unsafe fn reduce_add(a: [f32; 8]) -> f32 {
        let [a, b, c, d] = [a[0] + a[4], a[1] + a[5], a[2] + a[6], a[3] + a[7]];
        (a + c) + (b + d)
    }
    #[inline(always)]
    unsafe fn reduce_max(a: [f32; 8]) -> f32 {
        a.into_iter().fold(f32::MIN, f32::max)
    }
    #[inline(always)]
    unsafe fn reduce_add_i(a: [i32; 8]) -> i32 {
        a.into_iter().fold(0, i32::wrapping_add)
    }
    #[inline(always)]
    unsafe fn splat_i(x: i32) -> [i32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load_i(p: *const i32) -> [i32; 8] {
        p.cast::<[i32; 8]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store_i(p: *mut i32, v: [i32; 8]) {
        p.cast::<[i32; 8]>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn and(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        lanes!(|i| a[i] & b[i])
    }
    #[inline(always)]
    unsafe fn or(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        lanes!(|i| a[i] | b[i])
    }
    #[inline(always)]
    unsafe fn xor(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        lanes!(|i| a[i] ^ b[i])
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(a: [i32; 8]) -> [i32; 8] {
        lanes!(|i| ((a[i] as u32) >> N) as i32)
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(a: [i32; 8]) -> [i32; 8] {
        lanes!(|i| a[i] << N)
    }
    #[inline(always)]
    unsafe fn add_bytes(a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        let add = |a: i32, b: i32| {
            let (a, b) = (a.to_ne_bytes(), b.to_ne_bytes());
            i32::from_ne_bytes([0, 1, 2, 3].map(|i: usize| a[i].wrapping_add(b[i])))
        };
        lanes!(|i| add(a[i], b[i]))
    }
    #[inline(always)]
    unsafe fn to_f32(a: [i32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] as f32)
    }
    #[inline(always)]
    unsafe fn round(a: [f32; 8]) -> [i32; 8] {
        let nearest = Self::nearest(a);
        lanes!(|i| nearest[i] as i32)
    }
    #[inline(always)]
    unsafe fn nearest(a: [f32; 8]) -> [f32; 8] {
        // Adding 1.5 * 2^23 leaves the integer, rounded to even, in the lower bits; `round_ties_even` is a library call.
        const SHIFT: f32 = 12_582_912.0;
        lanes!(|i| if a[i].abs() < 4_194_304.0 {
            a[i] + SHIFT - SHIFT
        } else {
            a[i]
        })
    }
    #[inline(always)]
    unsafe fn scale_by_power(a: [f32; 8], n: [f32; 8]) -> [f32; 8] {
        lanes!(|i| a[i] * f32::from_bits(((n[i] as i32).wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn load_i8(p: *const i8) -> [f32; 8] {
        lanes!(|i| f32::from(*p.add(i)))
    }
    #[inline(always)]
    unsafe fn load_u8(p: *const u8) -> [f32; 8] {
        lanes!(|i| f32::from(*p.add(i)))
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> [f32; 8] {
        lanes!(|i| half::f16::from_bits(p.add(i).read_unaligned()).to_f32_const())
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> [f32; 8] {
        lanes!(|i| f32::from_bits(u32::from(p.add(i).read_unaligned()) << 16))
    }
    #[inline(always)]
    unsafe fn store_bf16(p: *mut u16, v: [f32; 8]) {
        for (i, x) in v.into_iter().enumerate() {
            p.add(i).write_unaligned(half::bf16::from_f32_const(x).to_bits());
        }
    }
    #[inline(always)]
    unsafe fn store_i8(p: *mut i8, v: [i32; 8]) {
        for (i, x) in v.into_iter().enumerate() {
            p.add(i).write(x as i8);
        }
    }
    #[inline(always)]
    unsafe fn store_i16(p: *mut i16, v: [i32; 8]) {
        for (i, x) in v.into_iter().enumerate() {
            p.add(i).write_unaligned(x as i16);
        }
    }
    #[inline(always)]
    unsafe fn bf16_low(a: [i32; 8]) -> [f32; 8] {
        lanes!(|i| f32::from_bits((a[i] as u32) << 16))
    }
    #[inline(always)]
    unsafe fn bf16_high(a: [i32; 8]) -> [f32; 8] {
        lanes!(|i| f32::from_bits(a[i] as u32 & 0xFFFF_0000))
    }
}
