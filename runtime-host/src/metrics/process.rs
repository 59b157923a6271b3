//! What the process uses, from `/proc` (Linux). Elsewhere it is not known.

use std::fs;
use std::time::Duration;

/// What the process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: Option<u64>,
    /// Processor time of all threads.
    pub processor: Option<Duration>,
    /// Open files and sockets.
    pub descriptors: Option<u64>,
}

/// Ticks of the clock a second, as `/proc` counts processor time: the same on every
/// architecture that Linux runs Rust on.
const TICKS: u64 = 100;

/// Reads what this process uses.
pub fn read() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").ok();
    Usage {
        resident: resident(&status),
        processor: processor(&stat),
        descriptors: open.map(|open| open.count() as u64),
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// User and system time: fields 14 and 15 (proc(5)). The name before them may hold blanks.
fn processor(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    let ticks = next()? + next()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = read();
        assert!(usage.resident.unwrap() > 1 << 20, "{usage:?}");
        assert!(usage.descriptors.unwrap() > 2, "{usage:?}");
        assert!(usage.processor.is_some(), "{usage:?}");
    }

    #[test]
    fn a_name_with_blanks_and_brackets_is_passed_over() {
        let stat = "1 (a ) b) S 0 0 0 0 0 0 0 0 0 0 150 50 0 0";
        assert_eq!(processor(stat), Some(Duration::from_secs(2)));
    }
}
