#[cfg(all(target_os = "linux", not(miri)))]
mod quota;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Pool;
use crate::testing::cut;

fn counts(pool: &Pool, units: usize) -> Vec<usize> {
    let counters: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
    pool.run(units, |unit| {
        counters[unit].fetch_add(1, Ordering::Relaxed);
    });
    counters.into_iter().map(AtomicUsize::into_inner).collect()
}

/// Runs `then` on each thread of a pool, once all of them have come; how many came within five seconds.
fn meet(pool: &Pool, then: impl Fn() + Sync) -> usize {
    let threads = Mutex::new(HashSet::new());
    let deadline = Instant::now() + Duration::from_secs(5);
    pool.run(pool.threads(), |_| {
        threads.lock().unwrap().insert(std::thread::current().id());
        while threads.lock().unwrap().len() < pool.threads() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        then();
    });
    threads.into_inner().unwrap().len()
}

#[test]
fn every_unit_runs_exactly_once() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads);
        for units in [0, 1, 2, 7, 64, cut(1_000, 100)] {
            assert_eq!(counts(&pool, units), vec![1; units], "{threads} threads, {units} units");
        }
    }
}

#[test]
fn many_short_regions_in_a_row_lose_nothing() {
    let pool = Pool::new(3);
    let total = AtomicUsize::new(0);
    let regions = cut(20_000, 100);
    for _ in 0..regions {
        pool.run(4, |unit| {
            total.fetch_add(unit, Ordering::Relaxed);
        });
    }
    assert_eq!(total.into_inner(), regions * 6);
}

#[test]
fn workers_that_sleep_are_woken() {
    let pool = Pool::new(2);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(meet(&pool, || ()), 2, "the sleeping worker took a unit");
    }
}

#[test]
fn a_region_inside_a_region_runs_inline() {
    let pool = Pool::new(2);
    let total = AtomicUsize::new(0);
    pool.run(4, |_| {
        let outer = std::thread::current().id();
        pool.run(10, |_| {
            assert_eq!(std::thread::current().id(), outer);
            total.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(total.into_inner(), 40);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3);
    for bad in [0, 17, 99] {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run(100, |unit| assert!(unit != bad, "unit {unit} is broken"));
        }));
        let message = *caught.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, format!("unit {bad} is broken"));
        assert_eq!(counts(&pool, 50), vec![1; 50]);
    }
}

#[test]
fn a_panic_of_a_worker_reaches_the_caller() {
    let pool = Pool::new(2);
    let caller = std::thread::current().id();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        meet(&pool, || {
            assert!(std::thread::current().id() == caller, "the worker is broken");
        })
    }));
    let message = *caught.unwrap_err().downcast::<&str>().unwrap();
    assert_eq!(message, "the worker is broken");
    assert_eq!(meet(&pool, || ()), 2, "the worker lives on");
}

#[test]
fn two_callers_at_once_both_progress() {
    // Threads of their own, not of a scope: should they hang, the test fails and does not wait for them.
    let pool = Arc::new(Pool::new(2));
    let (done, finished) = channel();
    for _ in 0..12 {
        let (pool, done) = (Arc::clone(&pool), done.clone());
        std::thread::spawn(move || {
            let all = (0..cut(200, 5)).all(|_| counts(&pool, 9) == [1; 9]);
            done.send(all).unwrap();
        });
    }
    for _ in 0..12 {
        let all = finished.recv_timeout(Duration::from_secs(cut(30, 600) as u64));
        assert_eq!(all, Ok(true), "a caller makes no progress, or lost a unit");
    }
}

#[test]
#[cfg_attr(miri, ignore = "measures time, which interpreted code does not keep")]
fn short_regions_do_not_wait_for_a_long_one() {
    let pool = Pool::new(2);
    let long_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pool.run(100, |_| std::thread::sleep(Duration::from_millis(5)));
            long_ended.store(true, Ordering::Relaxed);
        });
        std::thread::sleep(Duration::from_millis(10));
        for _ in 0..10 {
            counts(&pool, 8);
        }
        assert!(
            !long_ended.load(Ordering::Relaxed),
            "ten short regions took as long as 100 units of 5 ms"
        );
    });
}

#[test]
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
fn denormals_are_flushed_in_every_unit_and_kept_outside() {
    let pool = Pool::new(2);
    // A result that is denormal, and an operand that is.
    let halve = || std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5);
    let raise = || std::hint::black_box(f32::from_bits(1)) * std::hint::black_box(2_f32.powi(100));
    let came = meet(&pool, || {
        assert_eq!(halve().to_bits(), 0, "a denormal result is zero");
        assert_eq!(raise().to_bits(), 0, "a denormal operand is zero");
    });
    assert_eq!(came, 2, "both threads looked");
    assert!(halve() > 0.0 && raise() > 0.0);
}

#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn a_thread_bound_to_one_processor_gets_a_pool_of_one() {
    let threads = std::thread::spawn(|| {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: a set of processors is plain bits; both calls read or write one such set, of this thread.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            assert_eq!(libc::sched_getaffinity(0, size, &raw mut allowed), 0);
            let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &allowed));
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(first.unwrap(), &mut one);
            assert_eq!(libc::sched_setaffinity(0, size, &raw const one), 0);
        }
        Pool::with_available().threads()
    });
    assert_eq!(threads.join().unwrap(), 1);
}

#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn an_idle_pool_uses_no_processor_time() {
    let pool = Pool::new(2);
    let tids = Mutex::new(HashSet::new());
    let me = tid();
    let deadline = Instant::now() + Duration::from_secs(5);
    pool.run(2, |_| {
        tids.lock().unwrap().insert(tid());
        while tids.lock().unwrap().len() < 2 && Instant::now() < deadline {
            std::thread::yield_now();
        }
    });
    let workers: Vec<i64> = tids
        .into_inner()
        .unwrap()
        .into_iter()
        .filter(|&tid| tid != me)
        .collect();
    assert_eq!(workers.len(), 1);
    std::thread::sleep(Duration::from_millis(100));
    let before = cpu_time_ns(workers[0]);
    std::thread::sleep(Duration::from_millis(200));
    let used = cpu_time_ns(workers[0]) - before;
    assert_eq!(
        used, 0,
        "the worker ran for {used} ns of 200 ms in which there was nothing to do"
    );
}

#[cfg(all(target_os = "linux", not(miri)))]
fn tid() -> i64 {
    // SAFETY: the call takes no arguments and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn cpu_time_ns(tid: i64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}
