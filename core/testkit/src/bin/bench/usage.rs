//! What a process used, as Linux counts it (`proc(5)`).

use std::fs;

use eyre::{Result, WrapErr, eyre};

/// `USER_HZ`: the unit of times in `/proc/<pid>/stat`, the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process's use so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time of all its threads, in seconds.
    pub(crate) cpu: f64,
    /// The most memory that it had at a time, in MB (`VmHWM`).
    pub(crate) peak: f64,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Result<Self> {
        let read = |name: &str| {
            let file = format!("/proc/{process}/{name}");
            fs::read_to_string(&file).wrap_err_with(|| format!("{file} cannot be read; the figures need Linux"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        // Field 2, the name, may hold blanks; 14 and 15 are the times.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks = |field: usize| {
            fields
                .split_whitespace()
                .nth(field - 3)
                .and_then(|text| text.parse::<f64>().ok())
        };
        let (user, system) = ticks(14)
            .zip(ticks(15))
            .ok_or_else(|| eyre!("/proc/{process}/stat holds no times"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        Ok(Self {
            cpu: (user + system) / TICKS_PER_SECOND,
            peak: kib.ok_or_else(|| eyre!("/proc/{process}/status holds no VmHWM"))? * 1024.0 / 1e6,
        })
    }
}
