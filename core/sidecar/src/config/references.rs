//! References from a plugin's configuration to the rest of the file: `"${chain.registry}"`.
//!
//! A reference is a whole value and names a section's key. Names without a dot, such as
//! `"${SET_SEQUENCER_API_KEY}"`, are environment variables and stay as they are: the host resolves
//! them last, so that a secret passes through as few hands as possible.

use figment::value::{Dict, Value};

use super::problem::Complaint;

/// The parts of a plugin's entry that may refer to other sections.
const REFERRING: [&str; 2] = ["config", "allow"];

/// Replaces every reference inside `plugins[].config` and `plugins[].allow`.
pub(crate) fn resolve(root: &mut Dict, known: &Dict) -> Vec<Complaint> {
    let mut complaints = vec![];
    let Some(Value::Array(_, plugins)) = root.get_mut("plugins") else {
        return complaints;
    };
    for (position, plugin) in plugins.iter_mut().enumerate() {
        let Value::Dict(_, plugin) = plugin else { continue };
        for part in REFERRING {
            if let Some(value) = plugin.get_mut(part) {
                replace(value, &format!("plugins.{position}.{part}"), known, &mut complaints);
            }
        }
    }
    complaints
}

fn replace(value: &mut Value, path: &str, known: &Dict, complaints: &mut Vec<Complaint>) {
    match value {
        Value::Dict(_, dict) => {
            dict.iter_mut()
                .for_each(|(key, value)| replace(value, &format!("{path}.{key}"), known, complaints));
        }
        Value::Array(_, entries) => {
            let numbered = entries.iter_mut().enumerate();
            numbered.for_each(|(position, value)| replace(value, &format!("{path}.{position}"), known, complaints));
        }
        Value::String(_, text) => {
            let Some((section, key)) = reference(text) else { return };
            let target = match known.get(section) {
                Some(Value::Dict(_, section)) => section.get(key),
                _ => None,
            };
            match target {
                Some(target) => *value = target.clone(),
                None => {
                    let message = format!("refers to `{section}.{key}`, which is no key of this configuration");
                    complaints.push(Complaint::new(path, message));
                }
            }
        }
        _ => {}
    }
}

/// The section and key of `${section.key}`.
fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("${")?.strip_suffix('}')?.split_once('.')
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format, Toml},
    };

    use super::*;

    fn dict(text: &str) -> Dict {
        Figment::from(Toml::string(text)).extract().unwrap()
    }

    #[test]
    fn references_become_values_and_variables_stay() {
        let mut root = dict(
            r#"
            chain.registry = "0x01"
            [[plugins]]
            config = { registry = "${chain.registry}", key = "${API_KEY}", nested = [{ at = "${chain.registry}" }] }
            "#,
        );
        let known = root.clone();
        assert_eq!(resolve(&mut root, &known), []);
        let plugins = root["plugins"].as_array().unwrap();
        let config = plugins[0].as_dict().unwrap()["config"].as_dict().unwrap();
        assert_eq!(config["registry"].as_str(), Some("0x01"));
        assert_eq!(config["key"].as_str(), Some("${API_KEY}"));
        assert_eq!(
            config["nested"].as_array().unwrap()[0].as_dict().unwrap()["at"].as_str(),
            Some("0x01")
        );
    }

    #[test]
    fn a_reference_to_nothing_is_named() {
        let mut root = dict("[[plugins]]\nconfig.registry = \"${chain.registri}\"\n");
        let known = root.clone();
        let complaints = resolve(&mut root, &known);
        assert_eq!(complaints[0].key, "plugins.0.config.registry");
        assert!(complaints[0].message.contains("chain.registri"));
    }
}
