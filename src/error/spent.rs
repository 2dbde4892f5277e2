//! `Spent`: a time as errors and log lines tell it.

use std::fmt;
use std::time::Duration;

/// Shows a time as precisely as a reader needs it: `300 ms` below a second, tenths of a second from there on: `1.5 s`, `12 s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent(pub(crate) Duration);

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let millis = (micros + 500) / 1000;
        if micros > 0 && millis == 0 {
            return f.write_str("under 1 ms");
        }
        if millis < 1000 {
            return write!(f, "{millis} ms");
        }
        let tenths = (millis + 50) / 100;
        match tenths % 10 {
            0 => write!(f, "{} s", tenths / 10),
            tenth => write!(f, "{}.{tenth} s", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_alike_whatever_their_unit() {
        for (time, shown) in [
            (Duration::ZERO, "0 ms"),
            (Duration::from_nanos(1), "0 ms"),
            (Duration::from_micros(1), "under 1 ms"),
            (Duration::from_micros(499), "under 1 ms"),
            (Duration::from_micros(1_499), "1 ms"),
            (Duration::from_millis(300), "300 ms"),
            (Duration::from_micros(999_600), "1 s"),
            (Duration::from_millis(1_049), "1 s"),
            (Duration::from_millis(1_500), "1.5 s"),
            (Duration::from_nanos(2_001_003_744), "2 s"),
            (Duration::from_millis(9_960), "10 s"),
            (Duration::from_secs(60), "60 s"),
            (Duration::from_millis(110_512), "110.5 s"),
            (Duration::MAX, "18446744073709551616 s"),
        ] {
            assert_eq!(Spent(time).to_string(), shown, "{time:?}");
        }
    }
}
