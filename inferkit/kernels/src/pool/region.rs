//! Regions in flight, and the protocol by which workers join and leave them.
//!
//! A region lives on its caller's stack. The caller publishes its address in a *slot*; a worker first counts itself
//! into the slot (`users`) and then reads the address. The caller takes the address out before it waits for `users` to
//! reach zero. All four are sequentially consistent, so either the worker finds the slot empty or the caller sees the
//! worker: no worker touches a region that has gone.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::IN_REGION;

/// Regions that can be open at once; a caller who finds no free slot works alone.
const SLOTS: usize = 8;

/// One parallel piece of work.
pub(super) struct Region<'a> {
    unit: &'a (dyn Fn(usize) + Sync),
    chunk: usize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<'a> Region<'a> {
    pub(super) fn new(unit: &'a (dyn Fn(usize) + Sync), chunk: usize) -> Self {
        Self {
            unit,
            chunk,
            panic: Mutex::new(None),
        }
    }
}

/// Where a region is published. Padded: neighbours are written by other threads.
#[repr(align(128))]
#[derive(Default)]
struct Slot {
    taken: AtomicBool,
    region: AtomicPtr<Region<'static>>,
    users: AtomicUsize,
    next: AtomicUsize,
    units: AtomicUsize,
}

impl Slot {
    /// Whether the slot shows a region with units that nobody has begun.
    fn has_work(&self) -> bool {
        !self.region.load(Ordering::Relaxed).is_null()
            && self.next.load(Ordering::Relaxed) < self.units.load(Ordering::Relaxed)
    }

    /// Runs chunks of `region` until none are left or `leave` says so.
    fn work(&self, region: &Region<'_>, leave: impl Fn() -> bool) {
        let units = self.units.load(Ordering::Relaxed);
        loop {
            let start = self.next.fetch_add(region.chunk, Ordering::Relaxed);
            if start >= units {
                return;
            }
            let end = (start + region.chunk).min(units);
            let outcome = catch_unwind(AssertUnwindSafe(|| (start..end).for_each(region.unit)));
            if let Err(panic) = outcome {
                lock(&region.panic).get_or_insert(panic);
                self.next.store(units, Ordering::Relaxed);
                return;
            }
            if leave() {
                return;
            }
        }
    }
}

/// What caller and workers share.
pub(super) struct Shared {
    slots: [Slot; SLOTS],
    /// Regions that are open.
    open: AtomicUsize,
    /// Grows with every region, so that a worker can tell whether it missed one.
    generation: AtomicUsize,
    sleepers: AtomicUsize,
    stopped: AtomicBool,
    bed: Mutex<()>,
    alarm: Condvar,
    pub(super) spin: Duration,
}

impl Shared {
    pub(super) fn new(spin: Duration) -> Self {
        Self {
            slots: Default::default(),
            open: AtomicUsize::new(0),
            generation: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            bed: Mutex::new(()),
            alarm: Condvar::new(),
            spin,
        }
    }

    /// Runs all units of `region` with the help of up to `helpers` workers; returns what the first panic carried.
    pub(super) fn run(&self, region: &Region<'_>, units: usize, helpers: usize) -> Option<Box<dyn Any + Send>> {
        let free = |slot: &&Slot| {
            slot.taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        let alone = Slot::default();
        let claimed = self.slots.iter().find(free);
        let slot = claimed.unwrap_or(&alone);
        slot.next.store(0, Ordering::Relaxed);
        slot.units.store(units, Ordering::Relaxed);
        if claimed.is_some() {
            slot.region
                .store(std::ptr::from_ref(region).cast_mut().cast(), Ordering::SeqCst);
            self.open.fetch_add(1, Ordering::Relaxed);
            self.announce(helpers.min(units - 1));
        }
        IN_REGION.set(true);
        slot.work(region, || false);
        IN_REGION.set(false);
        if claimed.is_some() {
            slot.region.store(null_mut(), Ordering::SeqCst);
            self.open.fetch_sub(1, Ordering::Relaxed);
            wait_until(|| slot.users.load(Ordering::SeqCst) == 0);
            slot.taken.store(false, Ordering::Release);
        }
        lock(&region.panic).take()
    }

    /// Joins the open region with the fewest workers and works there; false when there is nothing to do.
    pub(super) fn help(&self) -> bool {
        let Some(slot) = self
            .slots
            .iter()
            .filter(|slot| slot.has_work())
            .min_by_key(|slot| slot.users.load(Ordering::Relaxed))
        else {
            return false;
        };
        slot.users.fetch_add(1, Ordering::SeqCst);
        let region = slot.region.load(Ordering::SeqCst);
        if !region.is_null() {
            // SAFETY: the address was in the slot after this thread had counted itself in, so the caller, who takes the
            // address out and then waits for `users` to reach zero, keeps the region alive until the line below. Threads may
            // share it: its unit is `Sync`, and what a panic carried is `Send` behind a lock.
            let region = unsafe { &*region };
            slot.work(region, || self.open.load(Ordering::Relaxed) > 1);
        }
        slot.users.fetch_sub(1, Ordering::SeqCst);
        true
    }

    pub(super) fn generation(&self) -> usize {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Sleeps until there is a region newer than generation `seen`, or the pool ends.
    pub(super) fn sleep(&self, seen: usize) {
        let mut bed = lock(&self.bed);
        // Counted before the generation is read: a caller either sees the sleeper or has its region seen.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        while self.generation() == seen && !self.is_stopped() {
            bed = self.alarm.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        drop(bed);
    }

    /// Ends all workers as soon as they have nothing to do.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::SeqCst);
        let _bed = lock(&self.bed);
        self.alarm.notify_all();
    }

    fn announce(&self, wanted: usize) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        let asleep = self.sleepers.load(Ordering::SeqCst);
        if asleep > 0 {
            // Taking the lock waits out a worker between its last look and its sleep.
            drop(lock(&self.bed));
            for _ in 0..wanted.min(asleep) {
                self.alarm.notify_one();
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("open", &self.open)
            .field("sleepers", &self.sleepers)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the last workers of a region: most finish within a microsecond, one that was put aside may take longer.
fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        std::hint::spin_loop();
    }
    while !done() {
        std::thread::yield_now();
    }
}
