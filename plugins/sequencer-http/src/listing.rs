//! The two lists of unreported commitments.

use serde::Deserialize;
use serde_json::value::RawValue;
use set_plugin_sdk::prelude::*;

use crate::{
    client::{Client, Deadline},
    entry::{self, Form},
    failure::Failure,
    route::Route,
};

/// The most that the sequencer shows at once, whatever is asked.
const WINDOW: u32 = 5000;

/// Lists the oldest commitments of all streams.
pub(crate) async fn pending(
    client: &Client,
    request: PollRequest,
    deadline: Deadline,
) -> Result<PollResponse, Failure> {
    let limit = request.limit.min(WINDOW);
    let query = [("limit", limit.to_string())];
    let path = ["v1", "commitments", "pending"];
    let list = |text: &str| List::read(text, Form::Pending, limit as usize);
    let list = client.get(Route::Pending, &path, &query, deadline, list).await?;
    Ok(list.into_response(client, limit as usize))
}

/// Lists one stream's commitments that start after a sequence number, in order.
pub(crate) async fn of_stream(
    client: &Client,
    request: PollStreamRequest,
    deadline: Deadline,
) -> Result<PollResponse, PluginError> {
    let query = of_stream_query(request.stream)?;
    let path = ["api", "v1", "ves", "commitments"];
    // The route has neither a cursor nor a limit; what comes before `after` is passed over here.
    let list = |text: &str| List::read(text, Form::OfStream(request.stream), usize::MAX);
    let list = client.get(Route::StreamCommitments, &path, &query, deadline, list);
    let mut list = list.await?;
    list.commitments
        .retain(|commitment| commitment.sequence_start > request.after);
    list.commitments.sort_by_key(|commitment| commitment.sequence_start);
    Ok(list.into_response(client, request.limit as usize))
}

/// How the VES routes name a stream.
///
/// # Errors
/// The ids are no UUIDs, so the sequencer cannot know the stream.
pub(crate) fn of_stream_query(stream: StreamId) -> Result<[(&'static str, String); 2], PluginError> {
    let (Some(tenant), Some(store)) = (stream.tenant_id.to_uuid(), stream.store_id.to_uuid()) else {
        let reason = format!("the sequencer knows no stream {stream}: its ids are UUIDs");
        return Err(PluginError::permanent(reason));
    };
    Ok([("tenant_id", tenant.to_string()), ("store_id", store.to_string())])
}

/// A list as it was read.
struct List {
    commitments: Vec<Commitment>,
    malformed: Vec<Malformed>,
    /// Whether as many entries came as the sequencer shows at once.
    full: bool,
}

impl List {
    /// Reads at most `limit` entries, each by itself.
    fn read(text: &str, form: Form, limit: usize) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(borrow)]
            commitments: Vec<&'a RawValue>,
        }
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| format!("no list of commitments: {error}"))?;
        let mut list = Self {
            commitments: Vec::with_capacity(raw.commitments.len()),
            malformed: vec![],
            full: raw.commitments.len() >= limit.min(WINDOW as usize),
        };
        for entry in raw.commitments.into_iter().take(limit) {
            match entry::read(entry, form) {
                Ok(commitment) => list.commitments.push(commitment),
                Err(malformed) => list.malformed.push(malformed),
            }
        }
        Ok(list)
    }

    /// The first `limit` commitments, and everything that is malformed: it belongs to no position.
    fn into_response(mut self, client: &Client, limit: usize) -> PollResponse {
        let more = self.full || self.commitments.len() > limit;
        self.commitments.truncate(limit);
        if !self.malformed.is_empty() {
            client.host().counter("malformed_entries", self.malformed.len() as u64);
            tracing::debug!(count = self.malformed.len(), "entries of the list are no commitments");
        }
        PollResponse {
            commitments: self.commitments,
            malformed: self.malformed,
            more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../tests/vectors/pending.json");

    #[test]
    fn a_recorded_list_is_read_whole() {
        let list = List::read(RECORDED, Form::Pending, 5000).unwrap();
        assert_eq!(
            (list.commitments.len(), list.malformed.len(), list.full),
            (12, 0, false)
        );
        let first = &list.commitments[0];
        assert_eq!(first.batch_id.to_string(), "a9d41ebc-e82b-4004-b375-714c17c0d213");
        assert_eq!(first.committed_at, "2026-11-22T10:58:10.049435Z".parse().unwrap());
        for commitment in &list.commitments {
            commitment.check_shape().unwrap();
        }
    }

    #[test]
    fn a_window_is_full_at_the_limit_and_at_its_cap() {
        let full = |limit| List::read(RECORDED, Form::Pending, limit).unwrap();
        assert!(full(12).full && !full(13).full);
        let more_than_asked = full(5);
        assert!(more_than_asked.full);
        assert_eq!(more_than_asked.commitments.len(), 5);
        let crowd = format!(r#"{{"commitments":[{}]}}"#, vec!["0"; 5000].join(","));
        let crowd = List::read(&crowd, Form::Pending, usize::MAX).unwrap();
        assert!(crowd.full);
        assert_eq!(crowd.malformed.len(), 5000);
    }
}
