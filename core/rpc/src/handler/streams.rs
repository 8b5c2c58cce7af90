//! Streams as callers name them, and `set_getStreamHead`.

use alloy_primitives::{B256, U64};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use set_types::{StoreId, StreamId, TenantId};

use crate::{
    answer::{IndexedHeadAnswer, StreamHeadAnswer},
    args::Args,
    error::RpcError,
    service::Service,
};

/// A stream as a caller names it: by its ids, or by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamParam {
    Ids(StreamId),
    Key(B256),
}

impl StreamParam {
    pub(super) fn key(&self) -> B256 {
        match self {
            Self::Ids(stream) => stream.key(),
            Self::Key(key) => *key,
        }
    }

    /// The ids: given, or known to the index under the key.
    pub(super) async fn ids(&self, service: &Service) -> Result<StreamId, RpcError> {
        match self {
            Self::Ids(stream) => Ok(*stream),
            Self::Key(key) => {
                let known = service
                    .parts
                    .index
                    .stream(*key)
                    .await?
                    .and_then(|summary| summary.stream);
                known.ok_or_else(|| RpcError::InvalidParam {
                    param: "stream",
                    message: format!("nobody has told the ids behind the key {key}; give tenantId and storeId"),
                })
            }
        }
    }
}

impl<'de> Deserialize<'de> for StreamParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Ids {
            #[serde(alias = "tenant_id")]
            tenant_id: TenantId,
            #[serde(alias = "store_id")]
            store_id: StoreId,
        }

        // Read by hand: serde's untagged enums say only that nothing fits.
        match Value::deserialize(deserializer)? {
            Value::String(key) => key
                .parse()
                .map(Self::Key)
                .map_err(|_| D::Error::custom("not a stream's key")),
            value => {
                let Ids { tenant_id, store_id } = serde_json::from_value(value).map_err(D::Error::custom)?;
                Ok(Self::Ids(StreamId { tenant_id, store_id }))
            }
        }
    }
}

pub(crate) async fn get_stream_head(service: &Service, mut args: Args) -> Result<StreamHeadAnswer, RpcError> {
    let stream = args.required::<StreamParam>()?.ids(service).await?;
    let stream_key = stream.key();
    let (head, summary) = tokio::join!(
        service.parts.registry.stream_head(stream),
        service.parts.index.stream(stream_key)
    );
    let head = head.map_err(|error| chain_unavailable(&error))?;
    Ok(StreamHeadAnswer {
        tenant_id: stream.tenant_id,
        store_id: stream.store_id,
        stream_key,
        batch_id: head.batch_id,
        state_root: head.state_root,
        sequence: head.sequence,
        indexed: summary?.map(|summary| IndexedHeadAnswer {
            batch_id: summary.head.batch_id,
            state_root: summary.head.new_state_root,
            sequence: summary.head.sequence_end,
            block_number: U64::from(summary.head.block.number),
            commitments: summary.commitments,
        }),
    })
}

/// What the node says stays in the log; it may name what is not the caller's business.
pub(super) fn chain_unavailable(error: &set_chain::ChainError) -> RpcError {
    tracing::warn!(%error, "the registry cannot be asked");
    RpcError::ChainUnavailable("the registry cannot be asked at present; see set_status".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_ids_or_by_key() {
        let ids = r#"{"tenantId": "f03eb0f6-90ee-46e2-a756-5ca9b225848a", "storeId": "fd5aa127-bf8d-4b16-9d8e-5be979cdfdc7"}"#;
        let snake = ids.replace("tenantId", "tenant_id").replace("storeId", "store_id");
        let by_ids: StreamParam = serde_json::from_str(ids).unwrap();
        assert_eq!(serde_json::from_str::<StreamParam>(&snake).unwrap(), by_ids);
        let key = format!("\"{}\"", by_ids.key());
        assert_eq!(
            serde_json::from_str::<StreamParam>(&key).unwrap(),
            StreamParam::Key(by_ids.key())
        );
        for (json, expected) in [
            (r#""0x12""#, "not a stream's key"),
            (r#"{"tenantId": "x"}"#, "neither a UUID"),
            ("{}", "missing field `tenantId`"),
        ] {
            let error = serde_json::from_str::<StreamParam>(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
