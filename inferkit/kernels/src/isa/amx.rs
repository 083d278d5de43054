//! Whether this process may use the tile registers of AMX, and whether they compute what they should.
//!
//! The processor must have them, the system must save them when it switches threads, and Linux must allow this process their
//! use: they add 8 KiB to the state of every thread that touches them. Linux is asked once, for all threads; it refuses where
//! a signal handler's stack is too small for that state.
//!
//! Last, the unit multiplies two small matrices and is compared with its definition. The code for it cannot be run on most
//! machines where it is changed, and a wrong answer here costs speed instead of results.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18; Linux,
//! `Documentation/arch/x86/xstate.rst`.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

use crate::simd::bf16_is_as_defined;

/// Bits of EDX in leaf 7 of CPUID.
const AMX_BF16: u32 = 1 << 22;
const AMX_TILE: u32 = 1 << 24;

/// Bits 17 and 18 of XCR0: the shapes of tiles and what they hold.
const SAVED_TILES: u32 = 3 << 17;

/// Whether products of bfloat16 can be computed with tiles.
pub(super) fn multiplies_bf16() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    // SAFETY: the tile registers exist and may be used.
    *ANSWER.get_or_init(|| is_usable() && unsafe { bf16_is_as_defined() })
}

/// Whether there are tile registers that this process may use and that multiply bfloat16, by the word of processor and system.
fn is_usable() -> bool {
    has_instructions() && has_palette() && system_saves_tiles() && linux_allows_tiles()
}

fn has_instructions() -> bool {
    let wanted = AMX_TILE | AMX_BF16;
    __cpuid(0).eax >= 0x1D && __cpuid_count(7, 0).edx & wanted == wanted
}

/// Whether palette 1 is what the kernels are written for: eight tiles of 16 rows of 64 bytes.
fn has_palette() -> bool {
    let palette = __cpuid_count(0x1D, 1);
    __cpuid_count(0x1D, 0).eax >= 1
        && palette.eax >> 16 == 1_024
        && palette.ebx & 0xFFFF == 64
        && palette.ebx >> 16 == 8
        && palette.ecx & 0xFFFF == 16
}

fn system_saves_tiles() -> bool {
    /// Bit 27 of ECX in leaf 1: XGETBV can be used.
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let enabled: u32;
    // SAFETY: the instruction exists by the line above; it reads register 0, which always exists.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    enabled & SAVED_TILES == SAVED_TILES
}

fn linux_allows_tiles() -> bool {
    /// `ARCH_REQ_XCOMP_PERM` and `XFEATURE_XTILEDATA` of `asm/prctl.h`; libc does not name them.
    const REQUEST_PERMISSION: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of this process. A kernel that does not know it says so.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::{Isa, Tier};

    #[test]
    fn a_processor_with_amx_offers_its_tier() {
        if super::is_usable() {
            assert!(super::multiplies_bf16(), "TDPBF16PS differs from its definition");
            assert!(
                Isa::new(Tier::AmxBf16).is_some(),
                "a processor with AMX but without AVX512_BF16"
            );
        } else {
            // Past the test harness, which keeps the words of a passing test to itself.
            let _ = writeln!(std::io::stderr(), "skipped: no AMX here, its instructions have not run");
            assert!(Isa::new(Tier::AmxBf16).is_none());
        }
    }
}
