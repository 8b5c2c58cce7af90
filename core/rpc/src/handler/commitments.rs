//! `set_getCommitment`, `set_listCommitments`, `set_pendingCommitments`.

use alloy_primitives::{B256, hex};
use set_index::{ChainPosition, StreamPosition};
use set_settlement::Settled;
use set_types::{BatchId, PendingCursor, Stage, StreamId};

use super::streams::StreamParam;
use crate::{
    answer::{CommitmentAnswer, PageAnswer},
    args::{Args, Number},
    error::RpcError,
    port::PendingQuery,
    service::Service,
};

/// One commitment from wherever it is known.
pub(super) async fn find(service: &Service, batch_id: BatchId) -> Result<CommitmentAnswer, RpcError> {
    // The pipeline first: a commitment that is anchored between the two questions is then in both.
    let pending = service.parts.pending.get(batch_id).await;
    let anchored = service.parts.index.get(batch_id).await?;
    match (anchored, pending) {
        (Some(anchored), pending) => {
            let settled = match &service.parts.settlement {
                Some(settlement) => settlement.of(anchored.block.number).await,
                None => Settled::default(),
            };
            let answer = CommitmentAnswer::anchored(&anchored, &service.view(), &settled);
            Ok(match pending {
                Some(pending) => answer.with_pending(pending),
                None => answer,
            })
        }
        (None, Some(pending)) => Ok(pending.into()),
        (None, None) => {
            let synced = service.parts.index.synced().borrow().clone();
            let mut message = format!("no commitment {batch_id} is on chain or on its way");
            if !synced.is_caught_up() {
                message.push_str("; the index has not followed the chain to its head yet (see set_status)");
            }
            Err(RpcError::NotFound(message))
        }
    }
}

pub(crate) async fn get_commitment(service: &Service, mut args: Args) -> Result<CommitmentAnswer, RpcError> {
    find(service, args.required()?).await
}

pub(crate) async fn list_commitments(
    service: &Service,
    mut args: Args,
) -> Result<PageAnswer<CommitmentAnswer>, RpcError> {
    let stream: Option<StreamParam> = args.optional()?;
    let cursor: Option<String> = args.optional()?;
    let limit = service.page(args.optional::<Number>()?)?;
    let view = service.view();
    // One more than the page tells whether there is another.
    let (mut found, next): (_, fn(&_) -> String) = match stream {
        Some(stream) => {
            let after = cursor.as_deref().map(stream_cursor).transpose()?;
            let found = service
                .parts
                .index
                .list(stream.key(), after, limit.saturating_add(1))
                .await?;
            (found, |last: &set_index::Anchored| {
                format!("s{:x}.{:x}", last.sequence_start, last.batch_id.to_b256())
            })
        }
        None => {
            let before = cursor.as_deref().map(chain_cursor).transpose()?;
            let found = service.parts.index.newest(before, limit.saturating_add(1)).await?;
            (found, |last: &set_index::Anchored| {
                format!("n{:x}.{:x}", last.block.number, last.log_index)
            })
        }
    };
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(next);
    let blocks: Vec<_> = found.iter().map(|anchored| anchored.block.number).collect();
    let settled = match &service.parts.settlement {
        Some(settlement) => settlement.of_all(&blocks).await,
        None => vec![Settled::default(); blocks.len()],
    };
    let items = found.iter().zip(&settled);
    Ok(PageAnswer {
        items: items
            .map(|(anchored, settled)| CommitmentAnswer::anchored(anchored, &view, settled))
            .collect(),
        next_cursor,
    })
}

pub(crate) async fn pending_commitments(
    service: &Service,
    mut args: Args,
) -> Result<PageAnswer<CommitmentAnswer>, RpcError> {
    let stream = match args.optional::<StreamParam>()? {
        Some(stream) => Some(stream.ids(service).await?),
        None => None,
    };
    let stage: Option<Stage> = args.optional()?;
    let after = args.optional::<String>()?.as_deref().map(pending_cursor).transpose()?;
    let limit = service.page(args.optional::<Number>()?)?;
    let query = PendingQuery {
        stream,
        stage,
        after,
        limit: limit.saturating_add(1),
    };
    let mut found = service.parts.pending.list(query).await;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found
        .last()
        .filter(|_| more)
        .map(|last| write_pending_cursor(&last.into()));
    Ok(PageAnswer {
        items: found.into_iter().map(CommitmentAnswer::from).collect(),
        next_cursor,
    })
}

fn write_pending_cursor(cursor: &PendingCursor) -> String {
    let PendingCursor {
        stream,
        sequence_start,
        batch_id,
    } = cursor;
    let [tenant, store, batch] = [
        stream.tenant_id.to_b256(),
        stream.store_id.to_b256(),
        batch_id.to_b256(),
    ]
    .map(hex::encode);
    format!("p{tenant}.{store}.{sequence_start:x}.{batch}")
}

fn pending_cursor(cursor: &str) -> Result<PendingCursor, RpcError> {
    let word = |digits: &str| digits.parse::<B256>().ok();
    let parse = || {
        let mut parts = cursor.strip_prefix('p')?.splitn(4, '.');
        Some(PendingCursor {
            stream: StreamId {
                tenant_id: word(parts.next()?)?.into(),
                store_id: word(parts.next()?)?.into(),
            },
            sequence_start: u64::from_str_radix(parts.next()?, 16).ok()?,
            batch_id: word(parts.next()?)?.into(),
        })
    };
    parse().ok_or_else(wrong_cursor)
}

fn stream_cursor(cursor: &str) -> Result<StreamPosition, RpcError> {
    let parse = || {
        let (sequence, batch_id) = cursor.strip_prefix('s')?.split_once('.')?;
        let batch_id = format!("0x{batch_id}").parse().ok()?;
        Some(StreamPosition {
            sequence_start: u64::from_str_radix(sequence, 16).ok()?,
            batch_id,
        })
    };
    parse().ok_or_else(wrong_cursor)
}

fn chain_cursor(cursor: &str) -> Result<ChainPosition, RpcError> {
    let parse = || {
        let (block, log_index) = cursor.strip_prefix('n')?.split_once('.')?;
        Some(ChainPosition {
            block: u64::from_str_radix(block, 16).ok()?,
            log_index: u64::from_str_radix(log_index, 16).ok()?,
        })
    };
    parse().ok_or_else(wrong_cursor)
}

fn wrong_cursor() -> RpcError {
    let message = "is of no such list; give the `nextCursor` of the page before, with the same `stream`";
    RpcError::InvalidParam {
        param: "cursor",
        message: message.to_owned(),
    }
}
