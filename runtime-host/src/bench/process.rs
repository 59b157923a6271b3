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
    /// The most that it was since the last reading, in bytes; since the start where the kernel does not let it be reset.
    pub(super) peak: u64,
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
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        let kilobytes = kilobytes.and_then(|it| it.parse::<u64>().ok());
        kilobytes
            .with_context(|| format!("no {name}"))
            .map(|it| it << 10)
    };
    let reading = Reading {
        cpu,
        resident: figure("VmRSS:")?,
        peak: figure("VmHWM:")?,
    };
    // 5 resets the peak (proc(5)); another user's process does not let us.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    Ok(reading)
}
