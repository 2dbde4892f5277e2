//! Points in time as AWS writes them: `2026-01-31T23:59:59Z`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::calendar::days_before;

/// Reads a point in time since 1970. Fractions of a second are left out.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separator| {
        let mut parts = text.split(separator).map(|part| part.parse::<i64>().ok());
        let numbers = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(numbers)
    };
    let (year, month, day) = numbers(date, '-')?;
    let (hour, minute, second) = numbers(time.split('.').next()?, ':')?;
    let is_real = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_real {
        return None;
    }
    let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_calendar_are_read() {
        let seconds = |text| parse(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());

        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(seconds("2100-03-01T00:00:00.123Z"), Some(4_107_542_400));
        for text in [
            "",
            "2000-02-29",
            "2000-02-29T00:00:00",
            "2000-13-01T00:00:00Z",
            "2000-1-1-1T0:0:0Z",
            "x-y-zTa:b:cZ",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
