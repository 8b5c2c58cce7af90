//! The registry's logs that tell of commitments.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;
use set_chain::bindings::SetRegistry::{BatchCommitted, StreamOpened};
use set_plugin_sdk::prelude::{CommittedLog, DecodeResponse, Log, PluginError, StreamId, StreamOpened as Opened};

/// Values of topic 0 to follow.
pub(crate) const TOPICS: [B256; 2] = [BatchCommitted::SIGNATURE_HASH, StreamOpened::SIGNATURE_HASH];

/// Reads the registry's logs; passes over all others.
pub(crate) fn decode(logs: &[Log], registry: Address) -> Result<DecodeResponse, PluginError> {
    let mut response = DecodeResponse::default();
    let own = logs.iter().enumerate().filter(|(_, log)| log.address == registry);
    for (position, log) in own {
        let topics = || log.topics.iter().copied();
        let refuse = |error: alloy_sol_types::Error| {
            PluginError::permanent(format!(
                "log {position} of {registry} has the topic of an event of SetRegistry, and not its form ({error})"
            ))
        };
        match log.topics.first() {
            Some(&BatchCommitted::SIGNATURE_HASH) => {
                let event = BatchCommitted::decode_raw_log(topics(), &log.data).map_err(refuse)?;
                response.committed.push(CommittedLog {
                    log: position,
                    batch_id: event.batchId.into(),
                    stream_key: event.tenantStoreKey,
                    events_root: event.eventsRoot,
                    new_state_root: event.newStateRoot,
                    sequence_start: event.sequenceStart,
                    sequence_end: event.sequenceEnd,
                    event_count: event.eventCount,
                });
            }
            Some(&StreamOpened::SIGNATURE_HASH) => {
                let event = StreamOpened::decode_raw_log(topics(), &log.data).map_err(refuse)?;
                response.opened.push(Opened {
                    log: position,
                    stream_key: event.tenantStoreKey,
                    stream: StreamId {
                        tenant_id: event.tenantId.into(),
                        store_id: event.storeId.into(),
                    },
                });
            }
            _ => {}
        }
    }
    Ok(response)
}
