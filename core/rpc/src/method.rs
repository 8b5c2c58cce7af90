//! The one table of `set_` methods: the router, `set_version` and the metrics' labels are made from it.

use std::sync::Arc;

use futures::future::BoxFuture;
use jsonrpsee::RpcModule;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{args::Args, error::RpcError, handler, middleware::RequestId, service::Service};

/// A method: what a caller must know, and what answers.
pub(crate) struct Method<S: ?Sized> {
    /// Its name on the wire.
    pub(crate) name: &'static str,
    /// One sentence for people.
    pub(crate) summary: &'static str,
    /// Its parameters, in order.
    pub(crate) params: &'static [Param],
    /// Its body.
    pub(crate) handler: fn(Arc<S>, Args) -> BoxFuture<'static, Answer>,
}

/// An answer as JSON.
pub(crate) type Answer = Result<Box<RawValue>, RpcError>;

/// A parameter.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its name, for calls by name and for errors.
    pub(crate) name: &'static str,
    /// What to give, for errors and descriptions: "a UUID or …".
    pub(crate) form: &'static str,
    /// Whether it must be given.
    pub(crate) required: bool,
}

impl Param {
    pub(crate) const fn required(name: &'static str, form: &'static str) -> Self {
        Self {
            name,
            form,
            required: true,
        }
    }

    pub(crate) const fn optional(name: &'static str, form: &'static str) -> Self {
        Self {
            name,
            form,
            required: false,
        }
    }
}

pub(crate) const BATCH_ID: Param = Param::required("batchId", "a batch id: UUID text, or 0x and 64 hex digits");
const STREAM: &str = "a stream: {\"tenantId\": id, \"storeId\": id}, or its key as 0x and 64 hex digits";
const CURSOR: Param = Param::optional("cursor", "the `nextCursor` of the page before");
const LIMIT: Param = Param::optional("limit", "the number of entries wanted, at least 1");

/// Wraps a handler `async fn(&Arc<S>, Args)`, so that a table can hold it.
macro_rules! answered_by {
    ($handler:path) => {
        |service, args| Box::pin(async move { crate::method::encode(&$handler(&service, args).await?) })
    };
}
pub(crate) use answered_by;

/// Every method there is.
pub(crate) static METHODS: &[Method<Service>] = &[
    Method {
        name: "set_version",
        summary: "Who answers: the program's version, the chain it serves, and every method there is.",
        params: &[],
        handler: answered_by!(handler::version),
    },
    Method {
        name: "set_status",
        summary: "How everything is: the chain, the index, the lease, the pipeline and each sending account.",
        params: &[],
        handler: answered_by!(handler::status),
    },
    Method {
        name: "set_getCommitment",
        summary: "One commitment, on its way or on chain: its stage, its transaction, how settled that is.",
        params: &[BATCH_ID],
        handler: answered_by!(handler::get_commitment),
    },
    Method {
        name: "set_listCommitments",
        summary: "Commitments on chain: a stream's in the order of their sequences, or all, the newest first.",
        params: &[Param::optional("stream", STREAM), CURSOR, LIMIT],
        handler: answered_by!(handler::list_commitments),
    },
    Method {
        name: "set_pendingCommitments",
        summary: "Commitments on their way, each with its stage and the reason why it is not further.",
        params: &[
            Param::optional("stream", STREAM),
            Param::optional("stage", "a stage such as \"held\" or \"quarantined\""),
            CURSOR,
            LIMIT,
        ],
        handler: answered_by!(handler::pending_commitments),
    },
    Method {
        name: "set_getStreamHead",
        summary: "Where a stream stands, by the registry and by the index.",
        params: &[Param::required("stream", STREAM)],
        handler: answered_by!(handler::get_stream_head),
    },
    Method {
        name: "set_getInclusionProof",
        summary: "The proof that an event is in a batch, checked, and where the batch is anchored.",
        params: &[
            BATCH_ID,
            Param::required("sequence", "the event's sequence number, within the batch's range"),
            Param::optional("stream", "the batch's stream, where the chain does not tell its ids"),
        ],
        handler: answered_by!(handler::get_inclusion_proof),
    },
    Method {
        name: "set_getSettlementProof",
        summary: "The proof that a commitment, and an event in it, is part of what a game on L1 claims; checked.",
        params: &[
            BATCH_ID,
            Param::optional(
                "sequence",
                "the sequence number of an event in the batch, to prove it too",
            ),
            Param::optional(
                "event",
                "the signed event, as its agent wrote it; its leaf must be the one proven",
            ),
            Param::optional("stream", STREAM),
        ],
        handler: answered_by!(handler::get_settlement_proof),
    },
    Method {
        name: "set_verifyInclusion",
        summary: "Whether a leaf is in a batch: recomputed here, and asked of the contract.",
        params: &[
            BATCH_ID,
            Param::required("leaf", "the leaf's hash: 0x and 64 hex digits"),
            Param::required("leafIndex", "the leaf's position in the batch, from 0"),
            Param::required("path", "the siblings, bottom-up: at most 32 hashes"),
        ],
        handler: answered_by!(handler::verify_inclusion),
    },
    Method {
        name: "set_listPlugins",
        summary: "Each plugin: what it is and whether it runs.",
        params: &[],
        handler: answered_by!(handler::list_plugins),
    },
];

/// A table of methods, as what surrounds each call knows it.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// The name of a method as the table has it, for labels that no caller can multiply.
    pub(crate) known: fn(&str) -> Option<&'static str>,
    /// Ends the error about a method that is unknown.
    pub(crate) hint: &'static str,
}

/// The public namespace.
pub(crate) static SET: Namespace = Namespace {
    known: |name| METHODS.iter().map(|method| method.name).find(|known| *known == name),
    hint: "set_version lists those there are",
};

/// The router over a table.
///
/// # Errors
/// If the table names a method twice.
pub(crate) fn router<S: ?Sized + Send + Sync + 'static>(
    methods: &'static [Method<S>],
    service: Arc<S>,
) -> Result<RpcModule<Arc<S>>, jsonrpsee::core::RegisterMethodError> {
    let mut router = RpcModule::new(service);
    for method in methods {
        router.register_async_method(method.name, move |params, service, extensions| async move {
            let answer = match Args::new(&params, method.params) {
                Ok(args) => (method.handler)(Arc::clone(&*service), args).await,
                Err(error) => Err(error),
            };
            answer.map_err(|error| error.to_object(RequestId::of(&extensions)))
        })?;
    }
    Ok(router)
}

pub(crate) fn encode<T: Serialize>(answer: &T) -> Answer {
    serde_json::value::to_raw_value(answer).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        RpcError::Internal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_parameters_come_last_and_names_are_unique() {
        for method in METHODS {
            assert!(method.name.starts_with("set_"));
            assert!(method.summary.ends_with('.'), "{}", method.name);
            assert!(
                method.params.is_sorted_by_key(|param| !param.required),
                "{}",
                method.name
            );
            assert_eq!(METHODS.iter().filter(|other| other.name == method.name).count(), 1);
        }
    }
}
