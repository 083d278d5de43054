//! Fields that are a string or something else: message contents, stop rules, tool choices.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use poem_openapi::registry::MetaSchema;
use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::registry::Registry;
use poem_openapi::types::ParseError;
use poem_openapi::types::ParseFromJSON;
use poem_openapi::types::ParseResult;
use poem_openapi::types::Type;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;
use serde::de::value::SeqAccessDeserializer;

/// A string, or a `T`. Faults inside the `T` keep their place, which an untagged enum would lose.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StringOr<T> {
    /// A string.
    Text(String),
    /// The other form.
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for StringOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EitherVisitor<T> {
            type Value = StringOr<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, an array or an object")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(StringOr::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(StringOr::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
                T::deserialize(SeqAccessDeserializer::new(sequence)).map(StringOr::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(StringOr::Other)
            }
        }

        deserializer.deserialize_any(EitherVisitor(PhantomData))
    }
}

impl<T: Type> Type for StringOr<T> {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        format!("string_or_{}", T::name()).into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            any_of: vec![String::schema_ref(), T::schema_ref()],
            ..MetaSchema::ANY
        }))
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
        Box::new(std::iter::empty())
    }
}

impl<T: Type + DeserializeOwned> ParseFromJSON for StringOr<T> {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(|fault| ParseError::custom(fault.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_and_a_list_are_both_taken() {
        let text: StringOr<Vec<String>> = serde_json::from_str(r#""END""#).unwrap();
        assert_eq!(text, StringOr::Text("END".to_owned()));
        let list: StringOr<Vec<String>> = serde_json::from_str(r#"["a","b"]"#).unwrap();
        assert_eq!(list, StringOr::Other(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_fault_inside_keeps_its_own_words() {
        let fault = serde_json::from_str::<StringOr<Vec<String>>>("[1]")
            .unwrap_err()
            .to_string();
        assert!(
            fault.contains("invalid type: integer `1`, expected a string"),
            "{fault}"
        );
        let fault = serde_json::from_str::<StringOr<Vec<String>>>("7")
            .unwrap_err()
            .to_string();
        assert!(fault.contains("expected a string, an array or an object"), "{fault}");
    }
}
