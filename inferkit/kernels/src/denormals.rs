//! Denormal numbers count as zero while a kernel runs.
//!
//! Silence in a speech front end decays into denormals, and arithmetic on them is 10 to 100 times slower on some cores.
//!
//! The compiler assumes that the modes are those of a new thread: strictly, Rust has no meaning for code that runs in others. All
//! that it could do by that assumption is to compute with constants in advance, whose results then have denormals where ours have
//! zeros; no address and no bound of this crate depends on which of the two a number is, and branches that do choose between
//! results only. Kernels that must keep denormals, such
//! as those of subnormal scales, are tested with the modes on.
//!
//! Miri, which interprets the tests, knows no assembly: there the modes stay as they are.

/// Flush-to-zero and denormals-are-zero for the current thread, until dropped.
pub(crate) struct FlushDenormals {
    before: u64,
}

impl FlushDenormals {
    /// Switches both modes on and remembers what was set before.
    pub(crate) fn new() -> Self {
        let before = control();
        set_control(before | FLUSH);
        Self { before }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        // The status flags a kernel raised may stay; only the two modes go back.
        set_control((control() & !FLUSH) | (self.before & FLUSH));
    }
}

/// FTZ (bit 15) and DAZ (bit 6) of MXCSR.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const FLUSH: u64 = 0x8040;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn control() -> u64 {
    let mut mxcsr = 0_u32;
    // SAFETY: every x86-64 processor has SSE; the instruction writes the four bytes of `mxcsr` and nothing else.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
    u64::from(mxcsr)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn set_control(value: u64) {
    let mxcsr = value as u32;
    // SAFETY: `value` came from `control` with FTZ and DAZ changed, two bits that every x86-64 processor has; rounding
    // mode and exception masks stay as they were. Not `readonly`: what a kernel reads and writes must not move across the switch.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
}

/// FZ (bit 24) of FPCR: flushes inputs and results.
#[cfg(all(target_arch = "aarch64", not(miri)))]
const FLUSH: u64 = 1 << 24;

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn control() -> u64 {
    let value: u64;
    // SAFETY: reading FPCR has no effect on memory or flags.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn set_control(value: u64) {
    // SAFETY: `value` came from `control` with only FZ changed, so rounding stays as it was. Not `nomem`, as above.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
const FLUSH: u64 = 0;

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn control() -> u64 {
    0
}

#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn set_control(_value: u64) {}

#[cfg(test)]
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use std::hint::black_box;

    use super::FlushDenormals;

    #[test]
    fn denormals_are_zero_inside_and_real_again_afterwards() {
        let halve = || black_box(black_box(f32::MIN_POSITIVE) * black_box(0.5));
        assert!(halve() > 0.0, "denormals exist by default");
        let guard = FlushDenormals::new();
        let inside = halve();
        drop(guard);
        assert_eq!(inside.to_bits(), 0, "flushed inside");
        assert!(halve() > 0.0, "restored afterwards");
    }

    #[test]
    fn nested_guards_restore_in_turn() {
        let outer = FlushDenormals::new();
        drop(FlushDenormals::new());
        let inside = black_box(black_box(f32::MIN_POSITIVE) * black_box(0.5));
        drop(outer);
        assert_eq!(inside.to_bits(), 0, "the inner guard must not end the outer one");
    }
}
