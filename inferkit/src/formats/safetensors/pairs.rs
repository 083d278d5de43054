//! A JSON object as the list of its members, so that a key that stands twice can be seen.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

use crate::formats::shown::quoted;

/// Key of the free-form notes in a header, which name no tensor.
const NOTES: &str = "__metadata__";

/// The members of a JSON object in their order, apart from the notes.
#[derive(Debug)]
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Pairs<V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with one member for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Pairs<V>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == NOTES {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = members
                .next_value()
                .map_err(|error| A::Error::custom(format!("tensor {}: {error}", quoted(&name))))?;
            pairs.push((name, value));
        }
        Ok(Pairs(pairs))
    }
}
