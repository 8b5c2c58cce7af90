//! Checks a configuration against a plugin's JSON Schema, so that every problem is named at once and by
//! its key, before the plugin is started.
//!
//! Covers what schemas of configurations are made of (types, properties, items, choices, bounds,
//! references within the schema); other keywords are left to the plugin, which reads the configuration
//! anyway.

use serde_json::{Map, Value};

/// References and nesting deeper than this are not followed: a schema may refer to itself.
const DEEPEST: usize = 64;

/// The problems, one line each. Values are never quoted: they may be secrets.
pub(crate) fn check(schema: &Value, config: &Value) -> Vec<String> {
    let mut problems = vec![];
    Checker { root: schema }.check(schema, config, "config", 0, &mut problems);
    problems
}

struct Checker<'a> {
    root: &'a Value,
}

impl<'a> Checker<'a> {
    fn check(&self, schema: &'a Value, value: &Value, path: &str, depth: usize, problems: &mut Vec<String>) {
        if depth > DEEPEST {
            return;
        }
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return problems.push(format!("`{path}` must not be given")),
            _ => return,
        };
        if let Some(target) = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| self.find(target))
        {
            self.check(target, value, path, depth + 1, problems);
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.check(part, value, path, depth + 1, problems);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(forms) = schema.get(choice).and_then(Value::as_array) {
                self.check_choice(forms, value, path, depth, problems);
            }
        }
        if let Some(problem) = mismatch(schema, value) {
            return problems.push(format!("`{path}` {problem}"));
        }
        match value {
            Value::Object(members) => self.check_members(schema, members, path, depth, problems),
            Value::Array(items) => {
                if let Some(of_items) = schema.get("items") {
                    for (position, item) in items.iter().enumerate() {
                        self.check(of_items, item, &format!("{path}[{position}]"), depth + 1, problems);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_members(
        &self,
        schema: &'a Map<String, Value>,
        members: &Map<String, Value>,
        path: &str,
        depth: usize,
        problems: &mut Vec<String>,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required
            .filter_map(Value::as_str)
            .filter(|name| !members.contains_key(*name))
        {
            problems.push(format!("`{path}.{name}` is missing"));
        }
        for (name, member) in members {
            let path = format!("{path}.{name}");
            if let Some(of_member) = known.and_then(|known| known.get(name)) {
                self.check(of_member, member, &path, depth + 1, problems);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let known = known.into_iter().flat_map(Map::keys).map(|key| format!("`{key}`"));
                    let known = known.collect::<Vec<_>>().join(", ");
                    problems.push(format!("`{path}` is unknown; there are {known}"));
                }
                Some(of_others) => self.check(of_others, member, &path, depth + 1, problems),
                None => {}
            }
        }
    }

    /// One form must fit. Where only one could have been meant, its problems are the problems.
    fn check_choice(&self, forms: &'a [Value], value: &Value, path: &str, depth: usize, problems: &mut Vec<String>) {
        let mut misfits = vec![];
        for form in forms {
            let mut found = vec![];
            self.check(form, value, path, depth + 1, &mut found);
            if found.is_empty() {
                return;
            }
            if form.get("type").and_then(Value::as_str) != Some("null") {
                misfits.push(found);
            }
        }
        if let [_] = misfits.as_slice() {
            return problems.extend(misfits.remove(0));
        }
        let constants: Vec<_> = forms
            .iter()
            .filter_map(|form| form.get("const"))
            .map(Value::to_string)
            .collect();
        if constants.len() == forms.len() {
            problems.push(format!("`{path}` must be one of {}", constants.join(", ")));
        } else {
            problems.push(format!(
                "`{path}` has none of the {} forms that it can have",
                forms.len()
            ));
        }
    }

    /// What a reference such as `#/$defs/Limits` stands for.
    fn find(&self, reference: &str) -> Option<&'a Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }
}

/// What is wrong with a value by itself.
fn mismatch(schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !types.is_empty() && !types.iter().any(|name| is_of_type(name, value)) {
        return Some(format!("must be of type {}", types.join(" or ")));
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
        return Some(format!("must be one of {}", choices.join(", ")));
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        return Some(format!("must be {constant}"));
    }
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let (measure, least, most, what) = match value {
        Value::Number(number) => (number.as_f64()?, bound("minimum"), bound("maximum"), ""),
        Value::String(text) => (
            text.chars().count() as f64,
            bound("minLength"),
            bound("maxLength"),
            " characters long",
        ),
        Value::Array(items) => (items.len() as f64, bound("minItems"), bound("maxItems"), " items long"),
        _ => return None,
    };
    if let Some(least) = least.filter(|least| measure < *least) {
        return Some(format!("must be at least {least}{what}"));
    }
    most.filter(|most| measure > *most)
        .map(|most| format!("must be at most {most}{what}"))
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        // A type that JSON Schema gains later is left to the plugin.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["url", "limits"],
            "additionalProperties": false,
            "properties": {
                "url": {"type": "string", "minLength": 1},
                "mode": {"oneOf": [{"const": "off"}, {"const": "warn"}]},
                "level": {"type": "string", "enum": ["low", "high"]},
                "limits": {"$ref": "#/$defs/Limits"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/Limits"}, {"type": "null"}]},
                "names": {"type": "array", "items": {"type": ["string", "null"]}, "maxItems": 2},
                "any": true,
            },
            "$defs": {"Limits": {
                "type": "object",
                "properties": {"gas": {"type": "integer", "minimum": 1, "maximum": 10}},
                "additionalProperties": {"$ref": "#/$defs/Limits"},
            }},
        })
    }

    #[test]
    fn what_fits_passes() {
        let config = json!({
            "url": "u", "mode": "warn", "level": "low", "limits": {"gas": 10, "more": {"gas": 1.0}}, "maybe": null,
            "names": ["a", null], "any": [1],
        });
        assert_eq!(check(&schema(), &config), Vec::<String>::new());
    }

    #[test]
    fn every_misfit_is_named_by_its_key_and_no_value_is_quoted() {
        let config = json!({
            "mode": "hunter2", "level": "hunter2", "limits": {"gas": 11, "more": {"gas": "hunter2"}},
            "maybe": {"gas": 0}, "names": [1, "a", "b"], "nmes": "hunter2",
        });
        let mut problems = check(&schema(), &config);
        problems.sort();
        assert_eq!(
            problems,
            [
                "`config.level` must be one of \"low\", \"high\"",
                "`config.limits.gas` must be at most 10",
                "`config.limits.more.gas` must be of type integer",
                "`config.maybe.gas` must be at least 1",
                "`config.mode` must be one of \"off\", \"warn\"",
                "`config.names` must be at most 2 items long",
                "`config.nmes` is unknown; there are `any`, `level`, `limits`, `maybe`, `mode`, `names`, `url`",
                "`config.url` is missing",
            ]
        );
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        assert_eq!(check(&json!({"$ref": "#"}), &json!({})), Vec::<String>::new());
        assert_eq!(check(&json!(false), &json!({})), ["`config` must not be given"]);
    }
}
