//! The wall clock, also as C's `ctime` prints it.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use squall::Time;

/// `Wed Aug 15 20:35:08 2012`: 24 bytes, local time, the day padded with a space
/// ([ctime(3)](https://man7.org/linux/man-pages/man3/ctime.3.html) without its newline).
pub(crate) type Text = [u8; 24];

/// The present in milliseconds since 1970-01-01T00:00Z.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day for a request that arrived at `now`.
///
/// Requests of one batch have one `now`, and most requests of a second one text: both are kept, so that
/// the clock is read once for a batch and the text made once a second.
pub(crate) fn text(now: Time) -> Text {
    LAST.with(|last| {
        let (time, second, text) = last.get();
        if time == Some(now) {
            return text;
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let text = if seconds == second { text } else { format(seconds, &TimeZone::system()) };
        last.set((Some(now), seconds, text));
        text
    })
}

fn format(seconds: u64, zone: &TimeZone) -> Text {
    let timestamp = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let time = timestamp.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
    let text = time.strftime("%a %b %e %H:%M:%S %Y").to_string();
    // The year has four digits until 9999, which is where the calendar ends.
    text.as_bytes().try_into().unwrap_or([b' '; 24])
}

thread_local! {
    static LAST: Cell<(Option<Time>, u64, Text)> = const { Cell::new((None, u64::MAX, [b' '; 24])) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_ctime() {
        let text = |seconds| String::from_utf8(format(seconds, &TimeZone::UTC).to_vec()).unwrap();
        assert_eq!(text(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(text(1_345_062_908), "Wed Aug 15 20:35:08 2012");
        let east = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(&format(0, &east), b"Thu Jan  1 08:00:00 1970");
    }

    #[test]
    fn one_point_in_time_gives_one_text() {
        assert_eq!(text(Time::from_nanos(5)), text(Time::from_nanos(5)));
    }
}
