//! Times as tables and requests say them, in seconds since 1970.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Numbers from here on are milliseconds: as seconds they would be in the year 5138, as milliseconds they are in 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// The seconds that a text says: those of a number as [`of_number`] has it, of a time by RFC 3339, or of a date or a time by
/// ISO 8601 without an offset, which is in UTC; none for anything else.
pub(crate) fn of_text(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return of_number(number);
    }
    let instant = text.parse::<Timestamp>().ok();
    let in_utc = || Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    instant.or_else(in_utc).map(Timestamp::as_second)
}

/// The whole seconds of a number of them or, where its size is 1e11 or more, of milliseconds; none beyond the year 9999.
pub(crate) fn of_number(number: f64) -> Option<i64> {
    let seconds = if number.abs() >= MILLISECONDS_FROM { number / 1e3 } else { number };
    seconds.is_finite().then_some(seconds as i64).filter(|seconds| Timestamp::from_second(*seconds).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_meant() {
        let second = 1_732_622_400;
        for text in [
            "1732622400",
            "1732622400.9",
            "1732622400000",
            "1732622400999",
            "1.7326224e9",
            "2024-11-26T12:00:00Z",
            "2024-11-26T12:00:00.5Z",
            "2024-11-26 12:00:00z",
            "2024-11-26T13:30:00+01:30",
            "2024-11-26T12:00:00",
            "2024-11-26 12:00",
        ] {
            assert_eq!(of_text(text), Some(second), "{text}");
        }
        assert_eq!(of_text("2024-11-26"), Some(second - 12 * 3600));
        assert_eq!(of_text("1969-12-31T23:59:59Z"), Some(-1));
        assert_eq!((of_text("99999999999"), of_text("100000000000")), (Some(99_999_999_999), Some(100_000_000)));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "now", "nan", "inf", "26.11.2024", "2024-13-01", "2024-02-30", "12:00", "1e300", "2024-11-26T25:00Z"]
        {
            assert_eq!(of_text(text), None, "{text}");
        }
    }
}
