//! What tests of all floors share.

use std::io::Write;

/// Says that a test cannot run here, and why.
///
/// Written past the test harness, which would keep the words of a passing test to itself.
pub(crate) fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
