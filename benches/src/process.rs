//! What the system says of a process (Linux).

use std::fs;
use std::io;

/// Bytes of a process's memory that are present (`VmRSS`).
///
/// # Errors
/// When the process is gone or the system tells nothing.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    status_bytes(process, "VmRSS:")
}

/// The most bytes of a process's memory that were ever present (`VmHWM`).
///
/// # Errors
/// When the process is gone or the system tells nothing.
pub fn peak_resident_bytes(process: u32) -> io::Result<u64> {
    status_bytes(process, "VmHWM:")
}

fn status_bytes(process: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok());
    kibibytes
        .map(|kibibytes: u64| kibibytes * 1024)
        .ok_or_else(|| io::Error::other(format!("{name} is missing")))
}

/// Processor time of a process in seconds, user and system.
///
/// # Errors
/// When the process is gone or the system tells nothing.
pub fn cpu_seconds(process: u32) -> io::Result<f64> {
    /// Clock ticks a second; 100 on every Linux that runs this.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The command in brackets may hold spaces; fields are counted after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => Err(io::Error::other("the processor time is missing")),
    }
}
