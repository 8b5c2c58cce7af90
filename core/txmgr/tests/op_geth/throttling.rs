//! A batcher that has op-geth leave out what is large.

use std::{collections::HashMap, ops::Range};

use alloy::providers::Provider;
use alloy_primitives::{B256, U64};
use set_chain::ChainView;
use set_testkit::op_stack::Turn;
use set_txmgr::{AlarmKind, Call, CallId, TxConfig, TxEvent};

use crate::{
    fixture::{Account, patient, transfer},
    rig::{STACK, account, noise},
};

/// Lifts a limit.
pub(crate) const NONE: u64 = 0;

/// Does what a throttling batcher does: limits the estimated bytes of a transaction, and of a block's transactions.
pub(crate) async fn limit_da(chain: &Turn<'_>, transaction: u64, block: u64) {
    let limits = (U64::from(transaction), U64::from(block));
    let set: bool = chain
        .provider()
        .raw_request("miner_setMaxDASize".into(), limits)
        .await
        .unwrap();
    assert!(set);
}

/// A payload that is to be on the chain, each byte of it once, in calls as large as the manager takes.
struct Payload {
    /// What is to be sent.
    left: Vec<Range<usize>>,
    sent: HashMap<CallId, Range<usize>>,
    included: Vec<(Range<usize>, B256)>,
}

impl Payload {
    fn new(bytes: usize) -> Self {
        Self {
            left: Vec::from([Range { start: 0, end: bytes }]),
            sent: HashMap::new(),
            included: Vec::new(),
        }
    }

    /// Submits as much as there is room for, until `goal` bytes are on their way or there.
    async fn plan(&mut self, account: &Account, goal: usize) {
        let limit = account.manager.call_limits(&ChainView::unknown()).estimated_bytes;
        // Beside the noise, signature and fees count.
        let largest = usize::try_from(limit - 150).unwrap();
        while account.manager.room() > 0
            && self.planned() < goal
            && let Some(range) = self.left.pop()
        {
            let end = range.end.min(range.start + largest.min(goal - self.planned()));
            if end < range.end {
                self.left.push(end..range.end);
            }
            let range = range.start..end;
            let call = Call {
                data: noise(range.start, range.len()),
                gas_limit: 21_000 + 40 * range.len() as u64,
                ..transfer(0)
            };
            let id = account.manager.submit(call).await.unwrap();
            self.sent.insert(id, range);
        }
    }

    fn planned(&self) -> usize {
        self.arrived() + self.sent.values().map(Range::len).sum::<usize>()
    }

    /// Takes in what became of a call.
    fn take(&mut self, event: TxEvent) {
        let range = |sent: &mut HashMap<_, _>, id| sent.remove(&id).expect("a call that was submitted");
        match event {
            TxEvent::Sent { .. } => {}
            TxEvent::Included {
                id,
                hash,
                succeeded: true,
                ..
            } => {
                let range = range(&mut self.sent, id);
                self.included.push((range, hash));
            }
            TxEvent::Superseded { id, .. } | TxEvent::Returned { id, .. } => {
                let range = range(&mut self.sent, id);
                self.left.push(range);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends until `goal` bytes are on the chain, and no more are on their way.
    async fn send(&mut self, account: &mut Account, goal: usize) {
        while self.arrived() < goal {
            self.plan(account, goal).await;
            let event = account.event().await;
            self.take(event);
        }
    }

    fn arrived(&self) -> usize {
        self.included.iter().map(|(range, _)| range.len()).sum()
    }

    /// Checks on the chain that everything is there once.
    async fn check_once_on_chain(mut self, chain: &Turn<'_>, bytes: usize) {
        use alloy::consensus::Transaction;
        self.included.sort_by_key(|(range, _)| range.start);
        let mut position = 0;
        for (range, hash) in self.included {
            assert_eq!(range.start, position);
            let transaction = chain.provider().get_transaction_by_hash(hash).await.unwrap().unwrap();
            assert_eq!(transaction.input(), &noise(range.start, range.len()));
            position = range.end;
        }
        assert_eq!(position, bytes);
    }
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_throttling_batcher_makes_calls_smaller_and_stops_nothing_for_good() {
    const BYTES: usize = 25_000;
    let chain = STACK.alone().await;
    let config = TxConfig {
        max_block_share: set_txmgr::BlockShare::Off,
        max_in_flight: 2,
        ..patient()
    };
    let mut account = account(&chain, config).await;
    account.status(|status| status.account_nonce == Some(0)).await;
    let mut payload = Payload::new(BYTES);

    // The first step of a batcher's throttling is above what the manager sends at all.
    limit_da(&chain, 20_000, NONE).await;
    payload.send(&mut account, 15_000).await;
    assert_eq!(account.manager.status().size_limit, None);

    limit_da(&chain, 2_000, NONE).await;
    let before = payload.arrived();
    payload.send(&mut account, before + 6_000).await;
    let learnt = account.manager.status().size_limit.unwrap();
    assert!((1_000..=3_000).contains(&learnt.estimated_bytes), "{learnt:?}");

    // Below what the smallest useful call takes, everything waits, and says so.
    limit_da(&chain, 150, NONE).await;
    let mut status = account.manager.status_changes();
    while !status
        .borrow_and_update()
        .alarms
        .iter()
        .any(|alarm| alarm.kind == AlarmKind::PassedOver)
    {
        payload.plan(&account, BYTES).await;
        tokio::select! {
            event = account.event() => payload.take(event),
            _ = status.changed() => {}
        }
    }
    limit_da(&chain, NONE, NONE).await;
    payload.send(&mut account, BYTES).await;
    account.alarm(AlarmKind::PassedOver, false).await;
    payload.check_once_on_chain(&chain, BYTES).await;
}

/// The block's limit passes over what is above it too, whatever the transaction's limit is.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_limit_of_the_blocks_data_makes_calls_smaller_too() {
    const BYTES: usize = 12_000;
    let chain = STACK.alone().await;
    let mut account = account(&chain, patient()).await;
    account.status(|status| status.account_nonce == Some(0)).await;
    limit_da(&chain, 20_000, 5_000).await;
    let mut payload = Payload::new(BYTES);
    payload.send(&mut account, BYTES / 2).await;
    let learnt = account.manager.status().size_limit.unwrap();
    assert!((2_500..=8_000).contains(&learnt.estimated_bytes), "{learnt:?}");
    limit_da(&chain, NONE, NONE).await;
    payload.send(&mut account, BYTES).await;
    payload.check_once_on_chain(&chain, BYTES).await;
}
