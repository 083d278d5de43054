//! `strftime_now`: the date as a template asks for it.

use minijinja::Error;
use minijinja::ErrorKind;
use time::OffsetDateTime;

/// Writes `now` as Python's `strftime` does in the C locale.
///
/// # Errors
/// An error for a directive that is not offered.
pub(super) fn format(now: OffsetDateTime, format: &str) -> Result<String, Error> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let directive = characters.next();
        let (directive, padded) = match directive {
            Some('-') => (characters.next(), false),
            other => (other, true),
        };
        let written = directive.and_then(|directive| written(now, directive)).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("strftime_now does not know a directive of {format:?}"),
            )
        })?;
        text.push_str(if padded { &written } else { without_padding(&written) });
    }
    Ok(text)
}

fn written(now: OffsetDateTime, directive: char) -> Option<String> {
    let month = now.month().to_string();
    let weekday = now.weekday().to_string();
    let hour12 = (now.hour() + 11) % 12 + 1;
    Some(match directive {
        'Y' => format!("{:04}", now.year()),
        'y' => format!("{:02}", now.year().rem_euclid(100)),
        'm' => format!("{:02}", u8::from(now.month())),
        'd' => format!("{:02}", now.day()),
        'e' => format!("{:2}", now.day()),
        'j' => format!("{:03}", now.ordinal()),
        'B' => month,
        'b' | 'h' => month.get(..3)?.to_owned(),
        'A' => weekday,
        'a' => weekday.get(..3)?.to_owned(),
        'H' => format!("{:02}", now.hour()),
        'I' => format!("{hour12:02}"),
        'p' => if now.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        'M' => format!("{:02}", now.minute()),
        'S' => format!("{:02}", now.second()),
        'F' => format!("{}-{}-{}", written(now, 'Y')?, written(now, 'm')?, written(now, 'd')?),
        'T' => format!("{}:{}:{}", written(now, 'H')?, written(now, 'M')?, written(now, 'S')?),
        'Z' => "UTC".to_owned(),
        'z' => "+0000".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

fn without_padding(text: &str) -> &str {
    let stripped = text.trim_start_matches(['0', ' ']);
    if stripped.is_empty() {
        text.get(text.len().saturating_sub(1)..).unwrap_or_default()
    } else {
        stripped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_date_is_written_as_python_writes_it() {
        let now = datetime!(2025-01-05 00:07:09 UTC);
        assert_eq!(
            format(now, "%d %b %Y, %A %B %-d").unwrap(),
            "05 Jan 2025, Sunday January 5"
        );
        assert_eq!(
            format(now, "%F %T %I%p %y %j %a %e %%").unwrap(),
            "2025-01-05 00:07:09 12AM 25 005 Sun  5 %"
        );
        assert_eq!(format(now, "%-H:%-M").unwrap(), "0:7");
    }

    #[test]
    fn an_unknown_directive_is_an_error() {
        assert!(format(datetime!(2025-01-05 00:00 UTC), "%Q").is_err());
        assert!(format(datetime!(2025-01-05 00:00 UTC), "%").is_err());
    }
}
