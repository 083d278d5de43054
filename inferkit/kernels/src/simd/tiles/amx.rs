//! The tile registers of AMX: one instruction a function.
//!
//! Rust has no stable intrinsics for them. A block of assembly names its registers, and what one block leaves there the next
//! one finds: the compiler itself uses tile registers for AMX intrinsics alone, and this crate has none.

use std::arch::asm;

use super::{REGISTERS, Shape, Tiles, configuration};

/// The tile registers of the current thread.
///
/// Not `Send`, and dropped before the function ends that made it: a thread that keeps its tiles is slower to switch.
pub(crate) struct Amx(std::marker::PhantomData<*const ()>);

/// The operand of LDTILECFG in a cache line of its own.
#[repr(align(64))]
struct Configuration([u8; 64]);

impl Tiles for Amx {
    #[inline(always)]
    unsafe fn new(shapes: &[Shape; REGISTERS]) -> Self {
        let configuration = Configuration(configuration(shapes));
        asm!("ldtilecfg [{}]", in(reg) configuration.0.as_ptr(), options(nostack, preserves_flags, readonly));
        Self(std::marker::PhantomData)
    }
    #[inline(always)]
    unsafe fn zero<const T: usize>(&mut self) {
        asm!("tilezero tmm{t}", t = const T, options(nostack, preserves_flags));
    }
    #[inline(always)]
    unsafe fn load<const T: usize>(&mut self, p: *const u8, stride: usize) {
        asm!("tileloadd tmm{t}, [{p} + {s}*1]", t = const T, p = in(reg) p, s = in(reg) stride, options(nostack, preserves_flags, readonly));
    }
    #[inline(always)]
    unsafe fn store<const T: usize>(&mut self, p: *mut u8, stride: usize) {
        asm!("tilestored [{p} + {s}*1], tmm{t}", t = const T, p = in(reg) p, s = in(reg) stride, options(nostack, preserves_flags));
    }
    #[inline(always)]
    unsafe fn add_bf16<const C: usize, const A: usize, const B: usize>(&mut self) {
        asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B, options(nostack, preserves_flags));
    }
}

impl Drop for Amx {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: a value exists only where the instructions do, by the contract of `new`; no register is used after this.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}
