//! Dates of the Gregorian calendar, in UTC.

/// Counts the days from 1970-01-01 to a date. The year begins in March here, so that the day which some years have more is the last
/// one.
#[cfg(any(feature = "sasl", feature = "tls", test))]
pub(crate) fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_OF_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970
}

/// Returns year, month and day of a day that is counted from 1970-01-01.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Prints a time in seconds since 1970.
pub(crate) fn utc(seconds: i64) -> String {
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", utc_day(seconds))
}

/// Prints the day of a time in seconds since 1970.
pub(crate) fn utc_day(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(DAY));
    format!("{year:04}-{month:02}-{day:02}")
}

const DAY: i64 = 86_400;

/// In four hundred years.
const DAYS_OF_ERA: i64 = 146_097;

/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    /// What `date -u -d @SECONDS` prints.
    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn days_come_back() {
        proptest::proptest!(|(days in -800_000_i64..3_000_000)| {
            let (year, month, day) = date(days);
            proptest::prop_assert_eq!(days_before(year, month, day), days);
        });
    }
}
