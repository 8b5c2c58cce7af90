//! Secrets in a plugin's configuration: filled in before the plugin sees them, never shown after.
//!
//! A text value may hold `${VARIABLE}` anywhere, or be `file:/path` as a whole. What either stands for
//! is a secret from then on: it is taken out of whatever the plugin says.

use std::{borrow::Cow, fs};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// A secret shorter than this is not searched for: it would be found everywhere.
const SHORTEST: usize = 4;

/// The longest file that is read as a secret, in bytes.
const LONGEST_FILE: u64 = 64 << 10;

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";

/// A configuration with its secrets filled in.
pub(crate) struct Resolved {
    /// The configuration, as JSON.
    pub(crate) config: Value,
    /// Takes the secrets out of texts.
    pub(crate) redactor: Redactor,
}

/// Fills in secrets.
///
/// # Errors
/// One line for each that is missing, naming key and variable or file, never a value.
pub(crate) fn resolve(config: &Value, environment: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, Vec<String>> {
    let mut resolver = Resolver {
        environment,
        secrets: vec![],
        problems: vec![],
    };
    let mut config = config.clone();
    resolver.walk("config", &mut config);
    if !resolver.problems.is_empty() {
        return Err(resolver.problems);
    }
    Ok(Resolved {
        config,
        redactor: Redactor::new(resolver.secrets),
    })
}

struct Resolver<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    secrets: Vec<String>,
    problems: Vec<String>,
}

impl Resolver<'_> {
    fn walk(&mut self, path: &str, value: &mut Value) {
        match value {
            Value::String(text) => match self.text(text) {
                Ok(Some(resolved)) => *text = resolved,
                Ok(None) => {}
                Err(problem) => self.problems.push(format!("`{path}`: {problem}")),
            },
            Value::Array(items) => {
                for (position, item) in items.iter_mut().enumerate() {
                    self.walk(&format!("{path}[{position}]"), item);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.walk(&format!("{path}.{key}"), member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str) -> Result<Option<String>, String> {
        if let Some(file) = text.strip_prefix("file:") {
            return self.file(file).map(Some);
        }
        if !text.contains("${") {
            return Ok(None);
        }
        let (mut resolved, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or("`${` has no closing `}`")?;
            let value = (self.environment)(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set, or is no UTF-8"))?;
            if value.is_empty() {
                return Err(format!("the environment variable `{name}` is empty"));
            }
            resolved.push_str(before);
            resolved.push_str(&value);
            self.secrets.push(value);
            rest = after;
        }
        resolved.push_str(rest);
        Ok(Some(resolved))
    }

    fn file(&mut self, file: &str) -> Result<String, String> {
        let size = fs::metadata(file).map_err(|error| format!("{file}: {error}"))?.len();
        if size > LONGEST_FILE {
            return Err(format!(
                "{file}: {size} bytes are too many for a secret ({LONGEST_FILE} at most)"
            ));
        }
        let content = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        // Editors end a file with a newline that is no part of the secret.
        let secret = content.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(format!("{file}: is empty"));
        }
        self.secrets.push(secret.to_owned());
        Ok(secret.to_owned())
    }
}

/// Takes secrets out of texts.
#[derive(Default)]
pub(crate) struct Redactor(Vec<SecretString>);

impl Redactor {
    fn new(secrets: Vec<String>) -> Self {
        let mut forms = vec![];
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
            // As JSON and as a URL write it, for errors that quote a request.
            let json = Value::from(secret.as_str()).to_string();
            for form in [json[1..json.len() - 1].to_owned(), percent_encoded(&secret), secret] {
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        // A secret may be part of another: the longer one goes first.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    /// `text` without secrets.
    pub(crate) fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for secret in &self.0 {
            let secret = secret.expose_secret();
            if scrubbed.contains(secret) {
                scrubbed = scrubbed.replace(secret, REDACTED).into();
            }
        }
        scrubbed
    }
}

fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("hunter/2\"".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn references_are_filled_in_wherever_they_stand() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "from a file\n").unwrap();
        let written = json!({
            "url": "https://x/${KEY}/y", "list": [{"key": format!("file:{}", file.path().display())}], "plain": "$5", "n": 1,
        });
        let Ok(resolved) = resolve(&written, &environment) else {
            panic!("refused")
        };
        let expected =
            json!({"url": "https://x/hunter/2\"/y", "list": [{"key": "from a file"}], "plain": "$5", "n": 1});
        assert_eq!(resolved.config, expected);
        let said = r#"GET https://x/hunter/2"/y, hunter%2F2%22, {"k":"hunter/2\""}, from a file"#;
        let scrubbed = resolved.redactor.scrub(said);
        assert_eq!(
            scrubbed,
            r#"GET https://x/[redacted]/y, [redacted], {"k":"[redacted]"}, [redacted]"#
        );
    }

    #[test]
    fn every_missing_secret_is_named_by_its_key() {
        let written = json!({"a": "${NONE}", "b": {"c": ["${EMPTY}"]}, "d": "file:/nowhere/at/all", "e": "${KEY"});
        let Err(problems) = resolve(&written, &environment) else {
            panic!("accepted")
        };
        for (problem, expected) in problems.iter().zip([
            "`config.a`: the environment variable `NONE`",
            "`config.b.c[0]`",
            "`config.d`: /nowhere/at/all",
            "`config.e`: `${`",
        ]) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert_eq!(problems.len(), 4);
    }
}
