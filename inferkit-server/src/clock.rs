//! Times as the API writes them.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// RFC 3339 in UTC with milliseconds and `Z`, as `/api` writes times.
pub fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let cut = at.replace_nanosecond(at.millisecond() as u32 * 1_000_000).unwrap_or(at);
    cut.format(&Rfc3339).unwrap_or_default()
}

/// Seconds since 1970, as `/v1` writes times.
pub fn unix_seconds(at: SystemTime) -> i64 {
    OffsetDateTime::from(at).unix_timestamp()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_written_for_either_api() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(
            (rfc3339(at).as_str(), unix_seconds(at)),
            ("2023-11-14T22:13:20.123Z", 1_700_000_000)
        );
    }
}
