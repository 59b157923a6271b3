//! CPU time and memory of the host's process, from `/proc` (Linux).

use anyhow::Context;
use std::fs;

/// A reading of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// CPU time of all threads so far, in nanoseconds.
    pub(super) cpu: u64,
    /// Resident memory, in bytes.
    pub(super) resident: u64,
}

/// Reads the process.
///
/// # Errors
/// Where it is not there or `/proc` is not Linux's.
pub(super) fn read(pid: u32) -> anyhow::Result<Reading> {
    let tasks = format!("/proc/{pid}/task");
    let mut cpu = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("no process {pid}"))? {
        // A thread may end while the list is read.
        if let Ok(line) = fs::read_to_string(task?.path().join("schedstat"))
            && let Some(nanoseconds) = line.split(' ').next()
        {
            cpu += nanoseconds.parse::<u64>().unwrap_or(0);
        }
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .context("no VmRSS")?;
    Ok(Reading {
        cpu,
        resident: resident << 10,
    })
}
