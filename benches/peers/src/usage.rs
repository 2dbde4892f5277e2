//! What this process has used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Use of the machine since the process began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub user: Duration,
    pub system: Duration,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

impl Usage {
    /// Reads the counters of this process, all threads together.
    #[must_use]
    pub fn now() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Self::default() };
        let micros = |micros: i64| Duration::from_micros(micros.cast_unsigned());
        Self {
            user: micros(usage.user_time().num_microseconds()),
            system: micros(usage.system_time().num_microseconds()),
            voluntary_switches: usage.voluntary_context_switches().cast_unsigned(),
            involuntary_switches: usage.involuntary_context_switches().cast_unsigned(),
        }
    }

    /// Returns what was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            voluntary_switches: self.voluntary_switches - earlier.voluntary_switches,
            involuntary_switches: self.involuntary_switches - earlier.involuntary_switches,
        }
    }

    #[must_use]
    pub fn cpu(self) -> Duration {
        self.user + self.system
    }
}

/// The most memory that was ever resident, in bytes.
#[must_use]
pub fn peak_resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}
