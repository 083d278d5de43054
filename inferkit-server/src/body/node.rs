//! JSON text as a tree that still knows repeated names, with its depth bounded.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::body::fault::Fault;

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 64;

/// A JSON value. Unlike `serde_json::Value`, an object keeps repeated names, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads JSON text.
    ///
    /// # Errors
    /// `invalid_json` for text that is not JSON, numbers beyond a 64-bit float, and nesting beyond 64.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Fault> {
        if depth(text) > MAX_DEPTH {
            return Err(Fault::json(format!(
                "the body is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        serde_json::from_slice(text).map_err(|error| Fault::json(format!("the body is not valid JSON: {error}")))
    }
}

/// Deepest nesting of brackets outside strings. Right for valid JSON, an upper bound for anything else.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Node::parse(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn an_object_keeps_repeated_names() {
        let expected = Node::Map(vec![
            ("a".to_owned(), Node::Unsigned(1)),
            ("a".to_owned(), Node::Signed(-2)),
        ]);
        assert_eq!(Node::parse(br#"{"a":1,"a":-2}"#).unwrap(), expected);
    }

    #[test]
    fn nesting_of_sixty_four_is_read_and_of_sixty_five_refused() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Node::parse(nested(64).as_bytes()).is_ok());
        assert!(fault(&nested(65)).contains("64 levels"));
        assert!(
            fault(&"[".repeat(1_000_000)).contains("64 levels"),
            "no recursion on hostile input"
        );
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        let text = format!(r#"{{"a":"{}\"["}}"#, "[".repeat(200));
        assert!(Node::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        for text in ["NaN", "[1e400]", "{\"a\":-1e999}", "Infinity"] {
            assert!(fault(text).contains("not valid JSON"), "{text}");
        }
    }

    #[test]
    fn an_empty_or_cut_body_is_refused() {
        for text in ["", "{", "{\"a\":1} x", "\u{feff}{}"] {
            assert!(fault(text).contains("not valid JSON"), "{text}");
        }
    }
}
