//! One entry of a list: a commitment, or what is wrong with it.

use std::borrow::Cow;

use alloy_primitives::B256;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use set_plugin_sdk::prelude::*;
use uuid::Uuid;

use crate::answer::excerpt;

/// Which of the two lists an entry is in: they have other names for the same.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// `/v1/commitments/pending`, where each entry names its stream.
    Pending,
    /// `/api/v1/ves/commitments`, all of this stream; entries may leave it out.
    OfStream(StreamId),
}

/// Fields as they are written, each read by itself, so that a bad one can be named.
#[derive(Deserialize)]
#[serde(expecting = "a commitment")]
struct Fields<'a> {
    #[serde(borrow)]
    batch_id: Option<&'a RawValue>,
    tenant_id: Option<&'a RawValue>,
    store_id: Option<&'a RawValue>,
    events_root: Option<&'a RawValue>,
    merkle_root: Option<&'a RawValue>,
    prev_state_root: Option<&'a RawValue>,
    new_state_root: Option<&'a RawValue>,
    sequence_start: Option<&'a RawValue>,
    sequence_end: Option<&'a RawValue>,
    event_count: Option<&'a RawValue>,
    leaf_count: Option<&'a RawValue>,
    committed_at: Option<&'a RawValue>,
}

/// Reads one entry.
pub(crate) fn read(raw: &RawValue, form: Form) -> Result<Commitment, Malformed> {
    let fields: Fields<'_> = serde_json::from_str(raw.get()).map_err(|error| Malformed {
        batch_id: None,
        stream: None,
        reason: format!("the entry is no commitment: {}", said(&error)),
    })?;
    let stream = fields.stream(form);
    fields.commitment(&stream, form).map_err(|reason| Malformed {
        batch_id: fields.written_id(),
        stream: stream.ok(),
        reason,
    })
}

impl Fields<'_> {
    fn commitment(&self, stream: &Result<StreamId, String>, form: Form) -> Result<Commitment, String> {
        let (root, count) = match form {
            Form::Pending => (("events_root", self.events_root), ("event_count", self.event_count)),
            Form::OfStream(_) => (("merkle_root", self.merkle_root), ("leaf_count", self.leaf_count)),
        };
        let StreamId { tenant_id, store_id } = stream.clone()?;
        Ok(Commitment {
            batch_id: value::<Uuid>("batch_id", self.batch_id)?.into(),
            tenant_id,
            store_id,
            events_root: word(root.0, root.1)?,
            prev_state_root: word("prev_state_root", self.prev_state_root)?,
            new_state_root: word("new_state_root", self.new_state_root)?,
            sequence_start: value("sequence_start", self.sequence_start)?,
            sequence_end: value("sequence_end", self.sequence_end)?,
            event_count: value(count.0, count.1)?,
            committed_at: value("committed_at", self.committed_at)?,
        })
    }

    fn stream(&self, form: Form) -> Result<StreamId, String> {
        let stream = |tenant_id, store_id| {
            Ok(StreamId {
                tenant_id: value::<Uuid>("tenant_id", tenant_id)?.into(),
                store_id: value::<Uuid>("store_id", store_id)?.into(),
            })
        };
        match form {
            Form::Pending => stream(self.tenant_id, self.store_id),
            Form::OfStream(asked) if self.tenant_id.is_none() && self.store_id.is_none() => Ok(asked),
            Form::OfStream(asked) => {
                let named = stream(self.tenant_id, self.store_id)?;
                if named == asked {
                    Ok(asked)
                } else {
                    Err(format!("`tenant_id` and `store_id` are {named}, but {asked} was asked"))
                }
            }
        }
    }

    /// The batch's id as a text, whatever it holds.
    fn written_id(&self) -> Option<String> {
        let text: Cow<'_, str> = serde_json::from_str(self.batch_id?.get()).ok()?;
        Some(excerpt(&text))
    }
}

fn value<T: DeserializeOwned>(name: &str, raw: Option<&RawValue>) -> Result<T, String> {
    let raw = raw.ok_or_else(|| format!("`{name}` is missing or null"))?;
    serde_json::from_str(raw.get()).map_err(|error| format!("`{name}`: {}", said(&error)))
}

/// A hash in hex, with 0x or without.
fn word(name: &str, raw: Option<&RawValue>) -> Result<B256, String> {
    let text: String = value(name, raw)?;
    text.parse()
        .map_err(|_| format!("`{name}`: `{}` is not 32 bytes of hex", excerpt(&text)))
}

/// What serde says, without the position, which is one in the field and not in the list.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    excerpt(text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::to_raw_value};

    use super::*;

    fn entry() -> Value {
        let recorded: Value = serde_json::from_str(include_str!("../tests/vectors/pending.json")).unwrap();
        recorded["commitments"][0].clone()
    }

    fn read_with(form: Form, change: impl FnOnce(&mut Value)) -> Result<Commitment, Malformed> {
        let mut entry = entry();
        change(&mut entry);
        read(&to_raw_value(&entry).unwrap(), form)
    }

    #[test]
    fn the_stream_is_known_though_another_field_is_bad() {
        let good = read_with(Form::Pending, |_| {}).unwrap();
        let bad = read_with(Form::Pending, |entry| entry["sequence_end"] = json!("7")).unwrap_err();
        assert_eq!(bad.batch_id, Some(good.batch_id.to_string()));
        assert_eq!(bad.stream, Some(good.stream()));
        assert!(
            bad.reason.starts_with("`sequence_end`: invalid type: string \"7\""),
            "{bad:?}"
        );
    }

    #[test]
    fn an_id_is_shown_as_it_is_written_but_on_one_short_line() {
        let bad = read_with(Form::Pending, |entry| {
            entry["batch_id"] = json!(format!("a\n{}", "b".repeat(999)))
        });
        let bad = bad.unwrap_err();
        assert!(bad.batch_id.unwrap().starts_with("a bbb"));
        assert!(
            bad.reason.starts_with("`batch_id`: ") && bad.reason.len() < 250,
            "{}",
            bad.reason
        );
    }

    #[test]
    fn another_streams_entry_is_refused() {
        let other = StreamId {
            tenant_id: Uuid::from_u128(1).into(),
            store_id: Uuid::from_u128(2).into(),
        };
        let rename = |entry: &mut Value| {
            entry["merkle_root"] = "11".repeat(32).into();
            entry["leaf_count"] = 1.into();
        };
        let bad = read_with(Form::OfStream(other), rename).unwrap_err();
        assert!(bad.reason.contains("was asked"), "{}", bad.reason);
        let unnamed = read_with(Form::OfStream(other), |entry| {
            rename(entry);
            entry["tenant_id"].take();
            entry["store_id"].take();
        });
        assert_eq!(unnamed.unwrap().stream(), other);
    }
}
