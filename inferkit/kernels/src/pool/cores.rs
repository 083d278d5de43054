//! How many threads this process may keep busy.

use std::collections::HashSet;
use std::fs;

/// Processors in the affinity mask, no more than the cgroup quota allows.
pub(super) fn available() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Like [`available`], but two hardware threads of one core count once: a matrix product gains nothing from the second.
pub(super) fn physical() -> usize {
    let available = available();
    allowed_cores().map_or(available, |cores| available.min(cores))
}

/// Physical cores in the affinity mask of this thread, which is what [`available`] counts; `None` where the system does not say.
#[cfg(target_os = "linux")]
fn allowed_cores() -> Option<usize> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let siblings = |cpu| {
        fs::read_to_string(format!(
            "/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        ))
        .ok()
    };
    let cores = parse_list(allowed)?
        .into_iter()
        .map(siblings)
        .collect::<Option<HashSet<_>>>()?;
    Some(cores.len()).filter(|&cores| cores > 0)
}

#[cfg(not(target_os = "linux"))]
fn allowed_cores() -> Option<usize> {
    None
}

/// Reads a list as Linux prints it: `0-3,8,10-11`.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last > 65_535 {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::{available, parse_list, physical};

    #[test]
    fn lists_of_processors_are_read_as_linux_prints_them() {
        assert_eq!(parse_list("\t0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        assert_eq!(parse_list(""), None);
        assert_eq!(parse_list("0-99999999999"), None, "no list of that length is believed");
    }

    #[test]
    fn there_are_no_more_cores_than_processors() {
        assert!((1..=available()).contains(&physical()));
    }
}
