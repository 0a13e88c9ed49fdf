//! `schema/*.json` is generated from the types, current, and says the same as the reader.

use std::path::Path;
use std::path::PathBuf;

use jailferry::playbook::Fleet;
use jailferry::playbook::Playbook;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn fleet_schema() -> Value {
    schemars::schema_for!(Fleet).to_value()
}

fn playbook_schema() -> Value {
    schemars::schema_for!(Playbook).to_value()
}

#[test]
fn schemas_are_current() {
    for (name, schema) in [("fleet", fleet_schema()), ("playbook", playbook_schema())] {
        let path = root().join(format!("schema/{name}.json"));
        let wanted = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some_and(|v| v == "1") {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "{} is not current; UPDATE_SCHEMA=1 cargo test --test input", path.display());
    }
}

/// Every key has a description, since editors show it.
#[test]
fn schemas_teach() {
    fn walk(schema: &Value, at: &str) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                let taught =
                    property["description"].as_str().is_some_and(|d| d.len() > 8) || property["$ref"].is_string();
                assert!(taught, "{at}/{name} has no description");
            }
        }
        match schema {
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"))),
            Value::Array(list) => list.iter().for_each(|value| walk(value, at)),
            _ => {}
        }
    }
    walk(&fleet_schema(), "fleet");
    walk(&playbook_schema(), "playbook");
}

/// What an editor would say against `value`: the part of JSON Schema that our schemas use. An unknown keyword is a
/// failure of the test, so that nothing is overlooked.
fn complaints(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(map) = schema.as_object() else {
        return if *schema == Value::Bool(false) { vec![format!("{at}: not allowed")] } else { Vec::new() };
    };
    let mut found = Vec::new();
    for (keyword, wanted) in map {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" | "default" | "format" | "patternProperties" => {}
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                found.extend(complaints(root, root.pointer(pointer).expect(pointer), value, at));
            }
            "type" => {
                let kinds = match wanted {
                    Value::Array(kinds) => kinds.clone(),
                    one => vec![one.clone()],
                };
                let fits = |kind: &Value| match kind.as_str().unwrap() {
                    "null" => value.is_null(),
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    other => panic!("type {other}"),
                };
                if !kinds.iter().any(fits) {
                    found.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "properties" | "additionalProperties" => {}
            "required" if value.is_object() => {
                for key in wanted.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {key} is missing"));
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    found.extend(complaints(root, wanted, item, at));
                }
            }
            "enum" | "const" => {
                let fits = if keyword == "enum" { wanted.as_array().unwrap().contains(value) } else { wanted == value };
                if !fits {
                    found.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "anyOf" | "oneOf" => {
                let ways: Vec<Vec<String>> =
                    wanted.as_array().unwrap().iter().map(|way| complaints(root, way, value, at)).collect();
                if !ways.iter().any(Vec::is_empty) {
                    found.push(format!("{at}: {value} fits none of {ways:?}"));
                }
            }
            "minimum" if value.as_f64().is_some_and(|v| v < wanted.as_f64().unwrap()) => {
                found.push(format!("{at}: {value} < {wanted}"));
            }
            "maximum" if value.as_f64().is_some_and(|v| v > wanted.as_f64().unwrap()) => {
                found.push(format!("{at}: {value} > {wanted}"));
            }
            "minItems" if value.as_array().is_some_and(|v| v.len() < wanted.as_u64().unwrap() as usize) => {
                found.push(format!("{at}: too few items"));
            }
            // Patterns are the reader's; there is no regular expression engine here.
            "minimum" | "maximum" | "minItems" | "required" | "pattern" => {}
            other => panic!("{at}: the test knows no keyword {other}"),
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let below = format!("{at}/{key}");
        if let Some(property) = schema["properties"].get(key) {
            found.extend(complaints(root, property, inner, &below));
        } else if let Some(patterns) = schema["patternProperties"].as_object() {
            assert_eq!(patterns.len(), 1, "{at}: names of one kind");
            patterns.values().for_each(|property| found.extend(complaints(root, property, inner, &below)));
        } else if let Some(other) = schema.get("additionalProperties") {
            found.extend(complaints(root, other, inner, &below));
        }
    }
    found
}

/// Fixtures and examples as JSON values, the way an editor sees them.
fn files(folder: &str) -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        // Its names are no text for other YAML readers.
        let odd = path.ends_with("fleet-odd-names.yml");
        if path.extension().is_some_and(|e| e == "yml") && !odd {
            let text = std::fs::read_to_string(&path).unwrap();
            let value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            files.push((path.file_name().unwrap().to_string_lossy().into_owned(), value));
        }
    }
    assert!(!files.is_empty());
    files
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    for folder in ["fixtures/playbooks/valid", "playbooks"] {
        for (name, value) in files(folder) {
            let playbook = ["moves", "drain", "rebalance"].iter().any(|key| value.get(key).is_some());
            let schema = if playbook { playbook_schema() } else { fleet_schema() };
            assert_eq!(complaints(&schema, &schema, &value, &name), Vec::<String>::new());
        }
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses_by_key_or_type() {
    for name in ["fleet-unknown-keys.yml", "fleet-missing.yml", "fleet-wrong-types.yml", "playbook-unknown-keys.yml"] {
        let text = std::fs::read_to_string(root().join("fixtures/playbooks/invalid").join(name)).unwrap();
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let schema = if name.starts_with("playbook") { playbook_schema() } else { fleet_schema() };
        assert_ne!(complaints(&schema, &schema, &value, name), Vec::<String>::new(), "{name}");
    }
}

/// The key paths of a schema, to compare with a file that uses them all.
fn keys(root: &Value, schema: &Value, at: &str, out: &mut std::collections::BTreeSet<String>) {
    if let Some(pointer) = schema["$ref"].as_str() {
        let target = root.pointer(pointer.trim_start_matches('#')).unwrap();
        keys(root, target, at, out);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let below = format!("{at}/{key}");
        out.insert(below.clone());
        keys(root, property, &below, out);
    }
    for property in schema["patternProperties"].as_object().into_iter().flat_map(|p| p.values()) {
        keys(root, property, &format!("{at}/NAME"), out);
    }
    for way in ["anyOf", "oneOf"].into_iter().filter_map(|k| schema[k].as_array()).flatten() {
        keys(root, way, at, out);
    }
    if schema["items"].is_object() {
        keys(root, &schema["items"], &format!("{at}[]"), out);
    }
}

/// The key paths that a value uses, where `names` are paths of mappings whose keys are free.
fn used(value: &Value, names: &[&str], at: &str, out: &mut std::collections::BTreeSet<String>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        let below = if names.contains(&at) { format!("{at}/NAME") } else { format!("{at}/{key}") };
        if !names.contains(&at) {
            out.insert(below.clone());
        }
        used(inner, names, &below, out);
    }
    for item in value.as_array().into_iter().flatten() {
        used(item, names, &format!("{at}[]"), out);
    }
}

/// The reader takes these files without a word (see `fixtures`), so it knows every key of the schema.
#[test]
fn the_reader_knows_every_key_of_the_schema() {
    let cases = [
        (&["fleet-everything.yml"][..], fleet_schema()),
        // A playbook moves jails, empties a node, or levels loads.
        (&["playbook-everything.yml", "playbook-drain.yml", "playbook-rebalance.yml"], playbook_schema()),
    ];
    for (names, schema) in cases {
        let files = files("fixtures/playbooks/valid");
        let (mut known, mut there) = Default::default();
        keys(&schema, &schema, "", &mut known);
        for name in names {
            let (_, value) = files.iter().find(|(file, _)| file == name).unwrap();
            used(value, &["/nodes", "/jails"], "", &mut there);
        }
        assert_eq!(known, there, "{names:?}");
    }
}
