//! A whole number that bounds something from above: of two that are too large to matter, neither is an error.
//!
//! Clients write "no limit" as `1e30` or as more digits than 64 bits hold; JSON knows no largest number.

use std::fmt;

use serde::Deserialize;
use serde::de::Deserializer;
use serde::de::Unexpected;
use serde::de::Visitor;

/// Reads an optional bound; a whole number beyond 64 bits is the largest that they hold.
///
/// # Errors
/// For what is no whole number, or less than 0.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<Bound>::deserialize(deserializer)?.map(|bound| bound.0))
}

struct Bound(u64);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoundVisitor)
    }
}

struct BoundVisitor;

impl Visitor<'_> for BoundVisitor {
    type Value = Bound;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number of 0 or more")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bound, E> {
        Ok(Bound(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Bound, E> {
        let whole = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        Ok(Bound(whole))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Bound, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        if value < 0.0 {
            return Err(E::invalid_value(Unexpected::Float(value), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and not negative; beyond 64 bits the cast gives the largest number"
        )]
        let whole = value as u64;
        Ok(Bound(whole))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bound(value: &serde_json::Value) -> Result<Option<u64>, String> {
        read(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_bound_beyond_64_bits_is_the_largest() {
        for (value, expected) in [
            (json!(5), 5),
            (json!(3.0), 3),
            (json!(1e30), u64::MAX),
            (json!(u64::MAX), u64::MAX),
        ] {
            assert_eq!(bound(&value), Ok(Some(expected)), "{value}");
        }
        assert_eq!(bound(&json!(null)), Ok(None));
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        for value in [json!(3.5), json!(-1), json!(-1e30), json!("5"), json!([5])] {
            assert!(bound(&value).is_err(), "{value}");
        }
    }
}
