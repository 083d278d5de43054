//! From a tree of JSON to a type, by serde, knowing at each step where it is.
//!
//! Rules that hold for every body, whatever its type:
//! - a field that is `null` counts as absent;
//! - an integer may be written `3.0`;
//! - a known field given twice is an error, an unknown one is noted and skipped;
//! - an object is an object: an array in its place is an error;
//! - every fault carries the path of its field.
//!
//! Types with `#[serde(flatten)]`, `untagged` or `tag` buffer their input, and the rules end inside
//! them; a hand-written visitor keeps them.

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::EnumAccess;
use serde::de::Error as _;
use serde::de::IntoDeserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Unexpected;
use serde::de::VariantAccess;
use serde::de::Visitor;
use serde::forward_to_deserialize_any;

use crate::body::fault::Fault;
use crate::body::fault::Segment;
use crate::body::fault::join;
use crate::body::node::Node;

/// Largest number of unknown names that are noted.
const MAX_UNKNOWN: usize = 20;
/// Below this, every whole float is exactly one integer.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// A value and the unknown fields that were skipped, as paths.
pub(crate) struct Decoded<T> {
    pub(crate) value: T,
    pub(crate) unknown: Vec<String>,
}

/// Turns a tree into a type.
///
/// # Errors
/// A fault with the path of the field.
pub(crate) fn decode<T: for<'de> Deserialize<'de>>(node: &Node) -> Result<Decoded<T>, Fault> {
    let mut walk = Walk {
        segments: Vec::new(),
        unknown: Vec::new(),
    };
    let value = T::deserialize(At { node, walk: &mut walk })?;
    Ok(Decoded {
        value,
        unknown: walk.unknown,
    })
}

/// Where the walk is, and what it has skipped.
struct Walk {
    segments: Vec<Segment>,
    unknown: Vec<String>,
}

impl Walk {
    fn skip(&mut self, name: &str) {
        if self.unknown.len() < MAX_UNKNOWN {
            let here = Segment::Field(name.to_owned());
            let path = join(self.segments.iter().chain([&here]));
            if !self.unknown.contains(&path) {
                self.unknown.push(path);
            }
        }
    }

    /// Runs `step` one level further in; a fault of it is told from here.
    fn enter<T>(&mut self, segment: Segment, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.segments.push(segment);
        let result = step(self);
        let segment = self.segments.pop();
        result.map_err(|fault| match segment {
            Some(segment) => fault.within(segment),
            None => fault,
        })
    }
}

/// A node to be turned into something.
struct At<'a> {
    node: &'a Node,
    walk: &'a mut Walk,
}

impl At<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.node {
            Node::Null => Unexpected::Other("null"),
            Node::Bool(value) => Unexpected::Bool(*value),
            Node::Unsigned(value) => Unexpected::Unsigned(*value),
            Node::Signed(value) => Unexpected::Signed(*value),
            Node::Float(value) => Unexpected::Float(*value),
            Node::Text(value) => Unexpected::Str(value),
            Node::List(_) => Unexpected::Other("an array"),
            Node::Map(_) => Unexpected::Other("an object"),
        }
    }
}

/// Whole floats as integers, everything else as it is.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.node {
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, checked beside")]
                Node::Float(value) if value.fract() == 0.0 && value.abs() < EXACT_INTEGERS => {
                    visitor.visit_i64(*value as i64)
                }
                Node::Float(value) if value.fract() == 0.0 => {
                    Err(Fault::invalid_value(self.unexpected(), &"a whole number of ordinary size"))
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Unsigned(value) => visitor.visit_u64(*value),
            Node::Signed(value) => visitor.visit_i64(*value),
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Text(value) => visitor.visit_str(value),
            Node::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                walk: self.walk,
            }),
            Node::Map(entries) => visitor.visit_map(Object {
                entries: entries.iter(),
                fields: None,
                value: None,
                walk: self.walk,
            }),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Float(value) if value.abs() > f64::from(f32::MAX) => {
                Err(Fault::invalid_value(self.unexpected(), &"a number of ordinary size"))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.node {
            Node::Map(entries) => visitor.visit_map(Object {
                entries: entries.iter(),
                fields: Some(fields),
                value: None,
                walk: self.walk,
            }),
            _ => Err(Fault::invalid_type(self.unexpected(), &"an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.node {
            Node::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Node::Map(entries) => match entries.as_slice() {
                [(name, node)] => visitor.visit_enum(Choice {
                    name,
                    node,
                    walk: self.walk,
                }),
                _ => Err(Fault::invalid_type(self.unexpected(), &"an object with one field")),
            },
            _ => Err(Fault::invalid_type(
                self.unexpected(),
                &format!("one of {}", variants.join(", ")).as_str(),
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i128 u128 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    walk: &'a mut Walk,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        self.walk
            .enter(Segment::Index(index), |walk| seed.deserialize(At { node, walk }))
            .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Object<'a> {
    entries: std::slice::Iter<'a, (String, Node)>,
    /// The fields of a struct; `None` for a map with free names.
    fields: Option<&'static [&'static str]>,
    value: Option<(&'a str, &'a Node)>,
    walk: &'a mut Walk,
}

impl<'de> MapAccess<'de> for Object<'_> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for (name, node) in self.entries.by_ref() {
            if let Some(fields) = self.fields {
                if !fields.contains(&name.as_str()) {
                    self.walk.skip(name);
                    continue;
                }
                if matches!(node, Node::Null) {
                    continue;
                }
            }
            self.value = Some((name, node));
            return seed.deserialize(name.as_str().into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some((name, node)) = self.value.take() else {
            return Err(Fault::custom("a value was asked for before its name"));
        };
        self.walk.enter(Segment::Field(name.to_owned()), |walk| {
            seed.deserialize(At { node, walk })
        })
    }
}

/// `{"variant": value}` as an enum.
struct Choice<'a> {
    name: &'a str,
    node: &'a Node,
    walk: &'a mut Walk,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Fault;
    type Variant = At<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, At<'a>), Fault> {
        let variant = seed.deserialize(self.name.into_deserializer())?;
        Ok((
            variant,
            At {
                node: self.node,
                walk: self.walk,
            },
        ))
    }
}

impl<'de> VariantAccess<'de> for At<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.node {
            Node::Null => Ok(()),
            _ => Err(Fault::invalid_type(self.unexpected(), &"null")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests;
