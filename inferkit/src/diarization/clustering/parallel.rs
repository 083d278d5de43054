//! Disjoint parts of a slice, each filled by whichever thread comes first.

use std::sync::Mutex;

use inferkit_kernels::Pool;

/// Calls `fill(i, part i)` for each of `parts`, on the threads of `pool`.
pub(super) fn for_each_part<T: Send>(pool: &Pool, parts: Vec<&mut [T]>, fill: impl Fn(usize, &mut [T]) + Sync) {
    // Each lock is taken once: it only tells the compiler that no two threads meet.
    let parts: Vec<Mutex<&mut [T]>> = parts.into_iter().map(Mutex::new).collect();
    pool.run(parts.len(), |at| {
        if let Ok(mut part) = parts[at].lock() {
            fill(at, &mut part);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_filled_once() {
        let mut values = vec![0; 10];
        for_each_part(&Pool::new(2), values.chunks_mut(3).collect(), |at, part| {
            for value in part {
                *value += at + 1;
            }
        });
        assert_eq!(values, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]);
    }
}
