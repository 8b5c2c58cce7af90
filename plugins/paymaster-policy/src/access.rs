//! Who may and who may not.

use std::{collections::HashSet, fmt::Display, hash::Hash};

use schemars::JsonSchema;
use serde::Deserialize;

/// An allow list and a deny list. Who is denied may not, whatever else is said; where there is an allow
/// list, only those on it may.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "T: Deserialize<'de> + Eq + Hash")]
#[schemars(bound = "T: JsonSchema")]
pub struct AccessList<T> {
    /// Only these may. Left out: everyone. An empty list is refused, because it could mean either.
    pub allow: Option<HashSet<T>>,
    /// These may not. Default: nobody.
    pub deny: HashSet<T>,
}

impl<T> Default for AccessList<T> {
    fn default() -> Self {
        Self {
            allow: None,
            deny: HashSet::new(),
        }
    }
}

impl<T: Eq + Hash + Display> AccessList<T> {
    /// What is wrong with the list under `key`, if anything.
    pub(crate) fn problem(&self, key: &str) -> Option<String> {
        let allow = self.allow.as_ref()?;
        if allow.is_empty() {
            return Some(format!("`{key}.allow` is empty: leave it out to allow everyone"));
        }
        let both = allow.intersection(&self.deny).next()?;
        Some(format!(
            "{both} is in `{key}.allow` and in `{key}.deny`: remove it from one"
        ))
    }

    /// Why `who` may not, naming the key; `None` where it may.
    pub(crate) fn refusal(&self, key: &str, who: &T) -> Option<String> {
        if self.deny.contains(who) {
            return Some(format!("{who} is in `{key}.deny`"));
        }
        let allow = self.allow.as_ref()?;
        (!allow.contains(who)).then(|| format!("{who} is not in `{key}.allow`"))
    }
}
