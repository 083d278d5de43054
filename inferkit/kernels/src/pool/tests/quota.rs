//! A quota on processor time, as containers have it, makes the pool narrower.
//!
//! The quota belongs to a group of processes: the test makes one, and starts itself again in there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Pool;

/// Set in the child.
const CHILD: &str = "INFERKIT_POOL_WITH_QUOTA";

const NAME: &str = "pool::tests::quota::a_quota_of_one_processor_gets_a_pool_of_one";

#[test]
fn a_quota_of_one_processor_gets_a_pool_of_one() {
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(Pool::with_available().threads(), 1);
        return;
    }
    let skip = |why: &str| {
        // Past the test harness, which keeps the words of a passing test to itself.
        let _ = writeln!(std::io::stderr(), "skipped: no test of the processor quota, {why}");
    };
    if Pool::with_available().threads() == 1 {
        return skip("since there is one core here");
    }
    let Some(group) = Group::with_quota() else {
        return skip("since a group of processes that has one cannot be made here");
    };
    let child = Command::new("sh")
        .args([
            "-c",
            "echo $$ > \"$0\" || exit 99; exec \"$1\" --exact \"$2\" --test-threads 1",
        ])
        .arg(group.0.join("cgroup.procs"))
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(CHILD, "1")
        .output()
        .unwrap();
    // An emulated program cannot be started by the system's shell.
    if matches!(child.status.code(), Some(99 | 126)) {
        return skip("since no process can be started in a group that has one");
    }
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

/// A group of processes, gone when this is dropped.
struct Group(PathBuf);

impl Group {
    /// A new one in the group of this process, or in that which it belongs to, whose processes may use one processor.
    fn with_quota() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mut fields = groups.lines().map(|line| line.splitn(3, ':').skip(1));
        fields.find_map(|mut fields| {
            let (controllers, own) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let root = match controllers {
                // Version 2 has one tree for everything.
                "" => PathBuf::from("/sys/fs/cgroup"),
                some if some.split(',').any(|name| name == "cpu") => Path::new("/sys/fs/cgroup").join(some),
                _ => return None,
            };
            let own = root.join(own);
            let above = own.parent().filter(|above| above.starts_with(&root));
            [Some(own.as_path()), above]
                .into_iter()
                .flatten()
                .find_map(Self::inside)
        })
    }

    fn inside(parent: &Path) -> Option<Self> {
        let path = parent.join(format!("inferkit-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let group = Self(path);
        // In microseconds of each tenth of a second.
        let limits = [("cpu.max", "100000 100000"), ("cpu.cfs_quota_us", "100000")];
        let mut limits = limits.iter().map(|(name, limit)| (group.0.join(name), limit));
        limits
            .any(|(file, limit)| file.exists() && fs::write(file, limit).is_ok())
            .then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The system counts a process that has ended for a moment longer.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
