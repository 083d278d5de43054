//! What Linux tells in text files. Pure: text in, numbers out; what is not there is `None`.

use std::path::Path;
use std::path::PathBuf;

/// The number of threads in the text of `/proc/self/status`.
pub(super) fn threads(status: &str) -> Option<usize> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))?
        .trim()
        .parse()
        .ok()
}

/// The folder of the process's control group below `root` (`/sys/fs/cgroup`), by the text of
/// `/proc/self/cgroup`: the unified hierarchy, or the memory controller of the older one.
pub(super) fn memory_group(cgroup: &str, root: &Path) -> Option<PathBuf> {
    let fields = |line: &str| -> Option<(String, PathBuf)> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        // A group outside of this process's view is written as a path that climbs.
        (!path.split('/').any(|part| part == "..")).then(|| (controllers.to_owned(), PathBuf::from(path)))
    };
    let groups: Vec<(String, PathBuf)> = cgroup.lines().filter_map(fields).collect();
    let older = groups
        .iter()
        .find(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let unified = groups.iter().find(|(controllers, _)| controllers.is_empty());
    match (older, unified) {
        (Some((_, path)), _) => Some(root.join("memory").join(path)),
        (None, Some((_, path))) => Some(root.join(path)),
        (None, None) => None,
    }
}

/// The smallest memory limit of `group` and the groups above it up to `root`, in bytes.
pub(super) fn memory_limit(group: &Path, root: &Path) -> Option<u64> {
    // The older hierarchy writes "none" as the largest multiple of a page.
    const NO_LIMIT: u64 = 1 << 60;
    let limit_of = |folder: &Path| -> Option<u64> {
        let text = ["memory.max", "memory.limit_in_bytes"]
            .iter()
            .find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
        text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
    };
    group
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(limit_of)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted_in_the_status_of_the_process() {
        assert_eq!(threads("Name:\tcat\nThreads:\t12\nSigQ:\t0/1\n"), Some(12));
        assert_eq!(threads("Name:\tcat\n"), None);
        assert_eq!(threads("Threads:\tmany\n"), None);
    }

    #[test]
    fn the_memory_group_is_found_in_both_hierarchies() {
        let root = Path::new("/sys/fs/cgroup");
        assert_eq!(memory_group("0::/a/b\n", root).unwrap(), root.join("a/b"));
        assert_eq!(memory_group("0::/\n", root).unwrap(), root.join(""));
        let older = "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n";
        assert_eq!(memory_group(older, root).unwrap(), root.join("memory/docker/1"));
        assert_eq!(memory_group("0::/../../other\n", root), None);
        assert_eq!(memory_group("nonsense", root), None);
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("slice/unit");
        std::fs::create_dir_all(&group).unwrap();
        assert_eq!(memory_limit(&group, root.path()), None);
        std::fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(memory_limit(&group, root.path()), None);
        std::fs::write(root.path().join("slice/memory.max"), "4096\n").unwrap();
        assert_eq!(memory_limit(&group, root.path()), Some(4096));
        std::fs::write(group.join("memory.max"), "1024\n").unwrap();
        assert_eq!(memory_limit(&group, root.path()), Some(1024));
        std::fs::remove_file(group.join("memory.max")).unwrap();
        std::fs::write(group.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        assert_eq!(memory_limit(&group, root.path()), Some(4096));
    }
}
