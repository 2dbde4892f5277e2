//! `Spent`: a time as errors and log lines write it.

use std::fmt;
use std::time::Duration;

/// A time in as few digits as tell it: `12 s`, `1.5 s`, `300 ms`. Ten seconds and more have no fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent(pub(crate) Duration);

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1000 {
            return write!(f, "{millis} ms");
        }
        let tenths = (millis + 50) / 100;
        match (tenths / 10, tenths % 10) {
            (seconds, 1..) if seconds < 10 => write!(f, "{seconds}.{} s", tenths % 10),
            (seconds, 0) => write!(f, "{seconds} s"),
            _ => write!(f, "{} s", (millis + 500) / 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_as_few_digits_as_tell_them() {
        for (millis, text) in [
            (0, "0 ms"),
            (300, "300 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1499, "1.5 s"),
            (1500, "1.5 s"),
            (9960, "10 s"),
            (12_000, "12 s"),
            (24_900, "25 s"),
            (120_000, "120 s"),
        ] {
            assert_eq!(Spent(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
