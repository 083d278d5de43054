use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Options {
    stream: bool,
    count: Option<u32>,
    ratio: f32,
    bias: BTreeMap<String, f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Request {
    model: String,
    #[serde(default)]
    parts: Vec<Part>,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Part {
    kind: Kind,
    #[serde(default)]
    size: i64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    Named { name: String },
}

fn read(text: &str) -> Result<Decoded<Request>, Fault> {
    decode(&Node::parse(text.as_bytes()).unwrap())
}

fn fault(text: &str) -> (&'static str, Option<String>, String) {
    match read(text) {
        Ok(_) => panic!("{text} was accepted"),
        Err(fault) => (fault.code, fault.path(), fault.message),
    }
}

#[test]
fn a_missing_field_is_named_by_its_path() {
    assert_eq!(fault("{}").0, "missing_required_parameter");
    assert_eq!(fault("{}").1.as_deref(), Some("model"));
    assert_eq!(fault(r#"{"model":null}"#).0, "missing_required_parameter");
    assert_eq!(
        fault(r#"{"model":"m","parts":[{"kind":"plain"},{}]}"#).1.as_deref(),
        Some("parts[1].kind")
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_found() {
    let (code, path, message) = fault(r#"{"model":3}"#);
    assert_eq!((code, path.as_deref()), ("invalid_type", Some("model")));
    assert_eq!(message, "expected a string, found integer `3`");
    assert_eq!(fault("[]").0, "invalid_type");
    assert_eq!(fault(r#"{"model":"m","options":[true]}"#).1.as_deref(), Some("options"));
    assert_eq!(
        fault(r#"{"model":"m","options":{"bias":{"7":"x"}}}"#).1.as_deref(),
        Some("options.bias.7")
    );
}

#[test]
fn a_number_that_does_not_fit_is_told_in_the_words_of_json() {
    let (_, _, message) = fault(r#"{"model":"m","options":{"count":"3"}}"#);
    assert_eq!(message, "expected a whole number of 0 or more, found string \"3\"");
}

#[test]
fn a_whole_float_is_an_integer_and_a_broken_one_is_not() {
    let request = read(r#"{"model":"m","options":{"count":3.0},"parts":[{"kind":"plain","size":-2.0}]}"#)
        .unwrap()
        .value;
    assert_eq!((request.options.count, request.parts[0].size), (Some(3), -2));
    let (code, path, _) = fault(r#"{"model":"m","options":{"count":3.5}}"#);
    assert_eq!((code, path.as_deref()), ("invalid_type", Some("options.count")));
    assert_eq!(fault(r#"{"model":"m","options":{"count":-1}}"#).0, "invalid_value");
    assert_eq!(
        fault(r#"{"model":"m","options":{"count":5000000000.0}}"#).0,
        "invalid_value"
    );
    for count in ["1e30", "99999999999999999999999"] {
        let (code, _, message) = fault(&format!(r#"{{"model":"m","options":{{"count":{count}}}}}"#));
        assert_eq!(code, "invalid_value", "{message}");
        assert!(message.contains("of ordinary size"), "{message}");
    }
    assert_eq!(fault(r#"{"model":"m","options":{"ratio":1e300}}"#).0, "invalid_value");
}

#[test]
fn null_counts_as_absent() {
    let request = read(r#"{"model":"m","parts":null,"options":{"stream":null,"count":null}}"#)
        .unwrap()
        .value;
    assert_eq!(
        request,
        Request {
            model: "m".to_owned(),
            parts: Vec::new(),
            options: Options::default()
        }
    );
}

#[test]
fn a_known_field_given_twice_is_refused_and_an_unknown_one_is_noted() {
    let (code, path, _) = fault(r#"{"model":"a","model":"b"}"#);
    assert_eq!((code, path.as_deref()), ("invalid_json", Some("model")));
    let decoded =
        read(r#"{"model":"a","user":1,"user":2,"options":{"x":{}},"parts":[{"kind":"plain","y":0}]}"#).unwrap();
    assert_eq!(decoded.unknown, ["user", "options.x", "parts[0].y"]);
}

#[test]
fn an_enum_is_told_its_choices() {
    let request = read(r#"{"model":"m","parts":[{"kind":{"named":{"name":"n"}}}]}"#)
        .unwrap()
        .value;
    assert_eq!(request.parts[0].kind, Kind::Named { name: "n".to_owned() });
    let (code, path, message) = fault(r#"{"model":"m","parts":[{"kind":"round"}]}"#);
    assert_eq!((code, path.as_deref()), ("invalid_value", Some("parts[0].kind")));
    assert_eq!(message, "\"round\" is not one of plain, named");
    assert_eq!(fault(r#"{"model":"m","parts":[{"kind":7}]}"#).0, "invalid_type");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map("model|parts|options|kind|count|.{0,3}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_read_as_itself(value in any_json()) {
        let text = value.to_string();
        let node = Node::parse(text.as_bytes()).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(decode::<serde_json::Value>(&node).unwrap().value, expected);
    }

    #[test]
    fn any_value_is_accepted_or_refused_without_a_panic(value in any_json()) {
        let node = Node::parse(value.to_string().as_bytes()).unwrap();
        if let Err(fault) = decode::<Request>(&node) {
            prop_assert!(!fault.message.is_empty());
        }
    }
}
