//! The index against a model: after any sequence of steps and roll-backs, both answer the same.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, U256, keccak256};
use proptest::prelude::*;
use set_chain::BlockRef;
use set_index::{Anchored, Counts, Entry, Index, Step, StreamPosition};
use set_types::{BatchId, CommittedLog, StreamId};

#[derive(Debug, Clone)]
enum Action {
    /// Follow so many blocks at once; each commits for these streams.
    Follow(Vec<Vec<u8>>),
    /// Go back so many checkpoints.
    GoBack(usize),
    /// The source recorded some of what is there.
    Report(u8),
    /// Open the file anew.
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let block = prop::collection::vec(0u8..4, 0..4);
    let action = prop_oneof![
        4 => prop::collection::vec(block, 1..4).prop_map(Action::Follow),
        2 => (0usize..6).prop_map(Action::GoBack),
        1 => any::<u8>().prop_map(Action::Report),
        1 => Just(Action::Restart),
    ];
    prop::collection::vec(action, 1..24)
}

fn stream(number: u8) -> StreamId {
    StreamId {
        tenant_id: B256::repeat_byte(number + 1).into(),
        store_id: B256::repeat_byte(0x77).into(),
    }
}

/// What the index should hold: a list, in the chain's order.
#[derive(Default)]
struct Model {
    checkpoints: Vec<BlockRef>,
    chain: Vec<Entry>,
    reported: BTreeSet<BatchId>,
    /// Streams whose ids were told; never taken back.
    told: BTreeSet<u8>,
    /// Makes blocks and batches of one fork differ from those of another.
    salt: u64,
}

impl Model {
    fn hash(&mut self) -> B256 {
        self.salt += 1;
        keccak256(self.salt.to_be_bytes())
    }

    /// Even streams tell their ids, odd ones never do.
    fn follow(&mut self, blocks: Vec<Vec<u8>>) -> (BlockRef, Step) {
        let mut step = Step::default();
        let mut to = self.checkpoints.last().copied();
        for streams in blocks {
            let number = to.map_or(100, |block| block.number + 1);
            let block = BlockRef {
                number,
                hash: self.hash(),
                timestamp: 2 * number,
            };
            to = Some(block);
            for (position, name) in streams.into_iter().enumerate() {
                let log = self.log(name);
                if name % 2 == 0 && self.told.insert(name) {
                    step.opened.push(stream(name));
                }
                let entry = Entry {
                    log,
                    tx_hash: self.hash(),
                    block,
                    log_index: 2 * position as u64,
                };
                step.entries.push(entry);
                self.chain.push(entry);
            }
        }
        let to = to.unwrap();
        self.checkpoints.push(to);
        (to, step)
    }

    fn log(&mut self, name: u8) -> CommittedLog {
        let stream_key = stream(name).key();
        let head = self
            .of_stream(stream_key)
            .last()
            .map_or(0, |entry| entry.log.sequence_end);
        CommittedLog {
            log: 0,
            batch_id: self.hash().into(),
            stream_key,
            events_root: self.hash(),
            new_state_root: self.hash(),
            sequence_start: head + 1,
            sequence_end: head + 3,
            event_count: 3,
        }
    }

    fn of_stream(&self, stream_key: B256) -> impl Iterator<Item = &Entry> {
        self.chain
            .iter()
            .filter(move |entry| entry.log.stream_key == stream_key)
    }

    fn anchored(&self, entry: &Entry) -> Anchored {
        let Entry {
            log,
            tx_hash,
            block,
            log_index,
        } = *entry;
        Anchored {
            batch_id: log.batch_id,
            stream_key: log.stream_key,
            stream: self
                .told
                .iter()
                .map(|name| stream(*name))
                .find(|stream| stream.key() == log.stream_key),
            events_root: log.events_root,
            new_state_root: log.new_state_root,
            sequence_start: log.sequence_start,
            sequence_end: log.sequence_end,
            event_count: log.event_count,
            tx_hash,
            block,
            log_index,
            reported: self.reported.contains(&log.batch_id),
            // No follower has compared it with a chain.
            followed: None,
        }
    }
}

async fn agree(index: &Index, model: &Model) {
    let all: Vec<Anchored> = model.chain.iter().map(|entry| model.anchored(entry)).collect();

    // Newest first, in pages of three.
    let (mut paged, mut before) = (vec![], None);
    loop {
        let page = index.newest(before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.chain_position());
        paged.extend(page);
    }
    assert!(paged.iter().eq(all.iter().rev()));

    // And in order.
    let (mut paged, mut after) = (vec![], None);
    loop {
        let page = index.in_chain_order(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.chain_position());
        paged.extend(page);
    }
    assert_eq!(paged, all);

    let mut streams = BTreeMap::<B256, Vec<Anchored>>::new();
    for anchored in &all {
        streams.entry(anchored.stream_key).or_default().push(*anchored);
        assert_eq!(index.get(anchored.batch_id).await.unwrap().as_ref(), Some(anchored));
    }
    for (key, commitments) in &streams {
        let (mut paged, mut after) = (vec![], None);
        loop {
            let page = index.list(*key, after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.position());
            paged.extend(page);
        }
        assert_eq!(&paged, commitments);
        let middle = commitments[commitments.len() / 2];
        let after = StreamPosition::after_sequence(middle.sequence_start);
        assert_eq!(
            index.list(*key, Some(after), 100).await.unwrap(),
            commitments[commitments.len() / 2 + 1..]
        );
    }

    let listed = index.streams(None, 100).await.unwrap();
    assert_eq!(listed.len(), streams.len());
    for (summary, (key, commitments)) in listed.iter().zip(&streams) {
        assert_eq!(
            (summary.stream_key, summary.commitments),
            (*key, commitments.len() as u64)
        );
        assert_eq!(Some(&summary.head), commitments.last());
        assert_eq!(index.stream(*key).await.unwrap().as_ref(), Some(summary));
    }
    if let Some(first) = listed.first() {
        assert_eq!(index.streams(Some(first.stream_key), 100).await.unwrap(), listed[1..]);
    }
    let counts = Counts {
        commitments: all.len() as u64,
        streams: streams.len() as u64,
    };
    assert_eq!(index.counts().await.unwrap(), counts);
    assert_eq!(index.synced().borrow().block, model.checkpoints.last().copied());
}

async fn play(actions: Vec<Action>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let mut index = Index::open(Some(&path)).await.unwrap();
    let mut model = Model::default();
    let mut undone = vec![];
    for action in actions {
        match action {
            Action::Follow(blocks) => {
                let (to, step) = model.follow(blocks);
                index.apply(to, step).await.unwrap();
            }
            Action::GoBack(checkpoints) if checkpoints < model.checkpoints.len() => {
                model.checkpoints.truncate(model.checkpoints.len() - checkpoints);
                let to = *model.checkpoints.last().unwrap();
                let keep = model.chain.partition_point(|entry| entry.block.number <= to.number);
                let gone = model.chain.split_off(keep);
                assert_eq!(index.roll_back(to).await.unwrap(), gone.len() as u64);
                undone.extend(gone.into_iter().map(|entry| entry.log.batch_id));
            }
            Action::Report(pick) if !model.chain.is_empty() => {
                let batch_id = model.chain[usize::from(pick) % model.chain.len()].log.batch_id;
                model.reported.insert(batch_id);
                index.mark_reported(vec![batch_id]).await.unwrap();
            }
            Action::Restart => {
                drop(index);
                index = Index::open(Some(&path)).await.unwrap();
            }
            Action::GoBack(_) | Action::Report(_) => {}
        }
        agree(&index, &model).await;
    }
    for answer in index.get_many(undone).await.unwrap() {
        assert_eq!(answer, None, "what was taken back is gone");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_the_model(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(actions));
    }
}

#[tokio::test]
async fn a_batch_is_entered_once() {
    let index = Index::open(None).await.unwrap();
    let mut model = Model::default();
    let (first, step) = model.follow(vec![vec![0]]);
    let again = Step {
        entries: vec![Entry {
            tx_hash: B256::from(U256::ONE),
            block: BlockRef { number: 101, ..first },
            ..step.entries[0]
        }],
        ..Step::default()
    };
    index.apply(first, step).await.unwrap();
    index.apply(BlockRef { number: 101, ..first }, again).await.unwrap();
    let entry = model.chain[0];
    assert_eq!(
        index.get(entry.log.batch_id).await.unwrap(),
        Some(model.anchored(&entry))
    );
    assert_eq!(
        index.counts().await.unwrap(),
        Counts {
            commitments: 1,
            streams: 1
        }
    );
}

#[tokio::test]
async fn clearing_keeps_what_was_reported() {
    let index = Index::open(None).await.unwrap();
    let mut model = Model::default();
    let (to, step) = model.follow(vec![vec![0, 1]]);
    index.apply(to, step.clone()).await.unwrap();
    let batch_id = model.chain[0].log.batch_id;
    index.mark_reported(vec![batch_id]).await.unwrap();
    index.clear().await.unwrap();
    assert_eq!(index.counts().await.unwrap(), Counts::default());
    assert_eq!(index.synced().borrow().block, None);
    index.apply(to, step).await.unwrap();
    assert!(index.get(batch_id).await.unwrap().unwrap().reported);
}
