//! Points in time as hubs write them: RFC 3339 in UTC, to the second.

use core::fmt;

use super::said::decimal;

/// `millis` since 1970-01-01T00:00Z as `2026-11-20T18:00:02Z`. Written so up to the year 9999; later times as its last second.
pub fn write(f: &mut impl fmt::Write, millis: u64) -> fmt::Result {
    let seconds = (millis / 1000).min(LAST_SECOND);
    let (year, month, day) = civil(seconds / DAY);
    let second = seconds % DAY;
    write!(
        f,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// What [`write()`] wrote, in milliseconds since 1970-01-01T00:00Z. `None` for any other form, an earlier
/// time, or a day that there is not.
pub fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let form = b"0000-00-00T00:00:00Z";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if bytes.len() != form.len() || !bytes.iter().zip(form).all(fits) {
        return None;
    }
    let field = |from: usize, to: usize| decimal::<u64>(&text[from..to]);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    (civil(days) == (year, month, day)).then_some((days * DAY + hour * 3600 + minute * 60 + second) * 1000)
}

/// Year, month and day of a day since 1970-01-01, by eras of 400 years that begin on the first of March, so
/// that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + TO_1970;
    let (era, day) = (day / ERA, day % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// The day since 1970-01-01. For a day beyond its month, one in the next.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year / 400, year % 400);
    let day = 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1;
    (era * ERA + day).checked_sub(TO_1970)
}

/// Seconds.
const DAY: u64 = 86_400;
/// The days of 400 years.
const ERA: u64 = 146_097;
/// The days from 0000-03-01 to 1970-01-01.
const TO_1970: u64 = 719_468;
/// 9999-12-31T23:59:59Z
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use proptest::prelude::*;

    use super::*;

    fn written(millis: u64) -> String {
        let mut text = String::new();
        write(&mut text, millis).unwrap();
        text
    }

    #[test]
    fn points_in_time_are_those_of_the_calendar() {
        // By `date -u -d @N +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_197_602, "2026-11-20T18:00:02Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(written(seconds * 1000 + 999), text);
            assert_eq!(parse(text), Some(seconds * 1000));
        }
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "2026-11-20T18:00:02",
            "2026-11-20 18:00:02Z",
            "2026-11-20T18:00:02+",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-10-00T00:00:00Z",
            "2026-10-10T24:00:00Z",
            "2026-10-10T00:60:00Z",
            "2026-10-10T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "+026-10-10T00:00:00Z",
            "2026-1é-10T00:00:0Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_reads_as_it_was_written(seconds in 0..=LAST_SECOND) {
            prop_assert_eq!(parse(&written(seconds * 1000)), Some(seconds * 1000));
        }
    }
}
