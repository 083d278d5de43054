//! The life of a worker: help, look around for a moment, sleep.

use std::time::Instant;

use super::IN_REGION;
use super::region::Shared;
use crate::denormals::FlushDenormals;

/// Works until the pool ends.
pub(super) fn work(shared: &Shared) {
    let _flush = FlushDenormals::new();
    IN_REGION.set(true);
    while !shared.is_stopped() {
        let seen = shared.generation();
        while shared.help() {}
        if !newer_region_appears(shared, seen) {
            shared.sleep(seen);
        }
    }
}

/// Spins for a moment; true as soon as there is a region newer than generation `seen`.
fn newer_region_appears(shared: &Shared, seen: usize) -> bool {
    if shared.spin.is_zero() {
        return shared.generation() != seen;
    }
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if shared.generation() != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= shared.spin {
            return false;
        }
    }
}
