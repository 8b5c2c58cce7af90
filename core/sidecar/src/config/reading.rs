//! Reading sections so that every problem is found, not just the first.

use figment::{
    Figment,
    error::Kind,
    value::{Dict, Value},
};
use serde::de::DeserializeOwned;

use super::{
    layers::{origin, origin_of},
    problem::{Complaint, Problem},
};

/// Reads sections of one stacked configuration and collects what is wrong with them.
pub(crate) struct Reading<'a> {
    figment: &'a Figment,
    root: Dict,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    /// Takes the whole tree. A file that is no TOML at all is the only problem found in it.
    pub(crate) fn begin(figment: &'a Figment) -> Self {
        let mut reading = Self {
            figment,
            root: Dict::new(),
            problems: vec![],
        };
        match figment.extract::<Dict>() {
            Ok(root) => reading.root = root,
            Err(errors) => errors.into_iter().for_each(|error| reading.note(&[], error)),
        }
        reading
    }

    /// Names of the top-level sections that were given.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        self.root.keys().map(String::as_str)
    }

    /// The tree, for references from one section to another.
    pub(crate) fn root_mut(&mut self) -> &mut Dict {
        &mut self.root
    }

    /// Reads the section `name`. A key that cannot be read is noted and left out, and the section is
    /// read again, so that its other keys are looked at too; its default stands in meanwhile.
    pub(crate) fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.root.get(name).cloned().unwrap_or_else(|| Value::from(Dict::new()));
        self.read(&[name.to_owned()], value)
    }

    /// Reads a list of tables, such as `[[plugins]]`.
    pub(crate) fn list<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let Some(value) = self.root.get(name).cloned() else {
            return vec![];
        };
        let Value::Array(_, entries) = value else {
            self.complain(Complaint::new(
                name,
                format!("must be a list of tables, written [[{name}]]"),
            ));
            return vec![];
        };
        let read = |(position, entry)| self.read(&[name.to_owned(), usize::to_string(&position)], entry);
        entries.into_iter().enumerate().filter_map(read).collect()
    }

    fn read<T: DeserializeOwned>(&mut self, path: &[String], mut value: Value) -> Option<T> {
        loop {
            let error = match value.deserialize::<T>() {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let mut offending = error.path.clone();
            if let Kind::UnknownField(field, _) = &error.kind
                && offending.last() != Some(field)
            {
                offending.push(field.clone());
            }
            self.note(path, error);
            if !remove(&mut value, &offending) {
                return None;
            }
        }
    }

    fn note(&mut self, section: &[String], error: figment::Error) {
        let mut key = [section, &error.path].concat();
        let message = match &error.kind {
            Kind::UnknownField(field, known) => {
                if key.last() != Some(field) {
                    key.push(field.clone());
                }
                format!("is unknown; known here: {}", known.join(", "))
            }
            Kind::MissingField(field) => format!("lacks the key `{field}`"),
            _ if may_hold_a_secret(&key) => {
                "holds a value that does not fit; it is not shown, because it may be a secret".to_owned()
            }
            Kind::InvalidType(found, expected) => format!("holds {found}, but must be {expected}"),
            Kind::InvalidValue(found, expected) => format!("holds {found}, but must be {expected}"),
            kind => kind.to_string(),
        };
        let key = key.join(".");
        let origin = match &error.metadata {
            Some(metadata) => origin(Some(metadata)),
            None => origin_of(self.figment, &key),
        };
        self.problems.push(Problem {
            origin,
            complaint: Complaint { key, message },
        });
    }

    /// Notes a value that was read but makes no sense.
    pub(crate) fn complain(&mut self, complaint: Complaint) {
        let origin = origin_of(self.figment, &complaint.key);
        self.problems.push(Problem { origin, complaint });
    }

    /// What was found.
    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems
    }
}

/// Where people paste keys by mistake.
fn may_hold_a_secret(key: &[String]) -> bool {
    let section = key.first().map(String::as_str);
    section == Some("signers") || key.iter().any(|part| part == "config" || part.contains("key"))
}

/// Takes the value at `path` out of `value`; false where there is none.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut at = value;
    for step in parents {
        let next = match at {
            Value::Dict(_, dict) => dict.get_mut(step),
            Value::Array(_, entries) => step
                .parse::<usize>()
                .ok()
                .and_then(|position| entries.get_mut(position)),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match at {
        Value::Dict(_, dict) => dict.remove(last).is_some(),
        _ => false,
    }
}
