//! A strict judge of JSON values: the part of JSON Schema 2020-12 that our OpenAPI document uses.
//!
//! A keyword that it does not know is a fault of the schema, so that nothing is passed
//! over in silence.

use regex_lite::Regex;
use serde_json::Value;

/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 5] = ["description", "title", "default", "examples", "deprecated"];

/// What is wrong with `value` according to `schema`, whose references lead into `document`.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut judge = Judge {
        document,
        faults: Vec::new(),
    };
    judge.check(schema, value, "");
    judge.faults
}

struct Judge<'d> {
    document: &'d Value,
    faults: Vec<String>,
}

impl Judge<'_> {
    fn fault(&mut self, place: &str, what: String) {
        self.faults.push(format!(
            "{}: {what}",
            if place.is_empty() { "/" } else { place }
        ));
    }

    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        let Some(keywords) = schema.as_object() else {
            return self.fault(place, format!("{schema} is no schema"));
        };
        for (keyword, rule) in keywords {
            let holds = match keyword.as_str() {
                "$ref" => {
                    let target = rule
                        .as_str()
                        .and_then(|path| self.document.pointer(path.strip_prefix('#')?));
                    match target.cloned() {
                        Some(target) => self.check(&target, value, place),
                        None => self.fault(place, format!("{rule} leads nowhere")),
                    }
                    true
                }
                "type" => types(rule).any(|name| is(value, name)),
                "const" => rule == value,
                "enum" => rule
                    .as_array()
                    .is_some_and(|allowed| allowed.contains(value)),
                "pattern" => value
                    .as_str()
                    .is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
                "minLength" => value
                    .as_str()
                    .is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
                "maxLength" => value
                    .as_str()
                    .is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
                "minimum" => value
                    .as_f64()
                    .is_none_or(|number| number >= rule.as_f64().unwrap()),
                "maximum" => value
                    .as_f64()
                    .is_none_or(|number| number <= rule.as_f64().unwrap()),
                "maxItems" => value
                    .as_array()
                    .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{place}/{at}"));
                    }
                    true
                }
                "required" => {
                    let missing = |name: &Value| {
                        value
                            .as_object()
                            .is_some_and(|it| !it.contains_key(name.as_str().unwrap()))
                    };
                    !rule.as_array().unwrap().iter().any(missing)
                }
                "properties" => {
                    for (name, schema) in rule.as_object().unwrap() {
                        if let Some(member) = value.get(name) {
                            self.check(schema, member, &format!("{place}/{name}"));
                        }
                    }
                    true
                }
                "additionalProperties" if *rule == Value::Bool(false) => {
                    let known = keywords.get("properties").unwrap_or(&Value::Null);
                    value
                        .as_object()
                        .is_none_or(|members| members.keys().all(|name| known.get(name).is_some()))
                }
                "additionalProperties" => {
                    let known = keywords.get("properties").unwrap_or(&Value::Null);
                    let members = value.as_object().into_iter().flatten();
                    for (name, member) in members.filter(|(name, _)| known.get(name).is_none()) {
                        self.check(rule, member, &format!("{place}/{name}"));
                    }
                    true
                }
                "anyOf" => {
                    let fits = |schema| faults(self.document, schema, value).is_empty();
                    rule.as_array().unwrap().iter().any(fits)
                }
                annotation if ANNOTATIONS.contains(&annotation) => true,
                _ => {
                    self.fault(
                        place,
                        format!("the schema has the unknown rule {keyword}: {rule}"),
                    );
                    true
                }
            };
            if !holds {
                self.fault(place, format!("{value} breaks {keyword}: {rule}"));
            }
        }
    }
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let one = rule.as_str().into_iter();
    one.chain(
        rule.as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    )
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_found_and_placed() {
        let document = json!({"id": {"type": "string", "pattern": "^a[0-9]$"}});
        let schema = json!({
            "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": {"id": {"$ref": "#/id"}, "list": {"type": "array", "maxItems": 2, "items": {"type": ["string", "null"]}}},
        });
        let check = |value| faults(&document, &schema, &value);
        assert!(check(json!({"id": "a1", "list": ["x", null]})).is_empty());
        for bad in [
            json!([]),
            json!({}),
            json!({"id": "b1"}),
            json!({"id": 1}),
            json!({"id": "a1", "more": 1}),
            json!({"id": "a1", "list": [1]}),
            json!({"id": "a1", "list": ["", "", ""]}),
        ] {
            assert!(!check(bad.clone()).is_empty(), "{bad}");
        }
        assert!(check(json!({"id": "a1", "list": [1]}))[0].starts_with("/list/0: "));
        assert!(!faults(&document, &json!({"$ref": "#/nowhere"}), &json!(1)).is_empty());
        let either = json!({"anyOf": [{"type": "string"}, {"const": 1}]});
        let numbers = json!({"properties": {"x": {}}, "additionalProperties": {"type": "integer"}});
        assert!(faults(&document, &either, &json!(1)).is_empty());
        assert!(!faults(&document, &either, &json!(2)).is_empty());
        assert!(faults(&document, &numbers, &json!({"x": "", "y": 1})).is_empty());
        assert!(!faults(&document, &numbers, &json!({"y": ""})).is_empty());
        assert!(!faults(&document, &json!({"unknownRule": 1}), &json!(1)).is_empty());
    }
}
