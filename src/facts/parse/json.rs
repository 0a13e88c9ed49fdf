//! libxo's JSON: numbers may come as strings, wrappers differ between releases (contract 1.5).

use serde_json::Value;

use super::error;
use super::error::FactsError;

/// The document.
pub(super) fn document(question: &str, text: &str) -> Result<Value, FactsError> {
    serde_json::from_str(text).map_err(|e| error::json(question, format!("not JSON: {e}")))
}

/// The first value under that key, at any depth.
pub(super) fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|v| find(v, key))),
        Value::Array(list) => list.iter().find_map(|v| find(v, key)),
        _ => None,
    }
}

/// A number, or a string that is one.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A string, or a number as a string.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
