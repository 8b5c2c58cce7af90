//! What befalls the file: damage anywhere in it, a disk that is full, a place that cannot be written.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::{B256, keccak256};
use proptest::prelude::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use set_chain::BlockRef;
use set_index::{Durable, Entry, Index, Opening, QuarantineCause, QuarantineEntry, Step, StoreError};
use set_types::{BatchId, CommittedLog, StreamId, Timestamp};

/// Commitments in a step.
const STEP: u64 = 20;

fn hash(what: &str, number: u64) -> B256 {
    keccak256(format!("{what} {number}"))
}

fn stream(number: u64) -> StreamId {
    StreamId {
        tenant_id: hash("tenant", number % 7).into(),
        store_id: hash("store", number % 7).into(),
    }
}

/// The step whose block has this number.
fn step(number: u64) -> (BlockRef, Step) {
    let block = BlockRef {
        number,
        hash: hash("block", number),
        timestamp: 2 * number,
    };
    let entries = (0..STEP).map(|index| {
        let commitment = number * STEP + index;
        Entry {
            log: CommittedLog {
                log: 0,
                batch_id: hash("batch", commitment).into(),
                stream_key: stream(commitment).key(),
                events_root: hash("events", commitment),
                new_state_root: hash("state", commitment),
                sequence_start: commitment,
                sequence_end: commitment,
                event_count: 1,
            },
            tx_hash: hash("transaction", number),
            block,
            log_index: index,
        }
    });
    let step = Step {
        entries: entries.collect(),
        opened: (0..7).map(stream).collect(),
    };
    (block, step)
}

async fn fill(index: &Index, blocks: std::ops::Range<u64>) -> Result<(), StoreError> {
    for number in blocks {
        let (block, step) = step(number);
        index.apply(block, step).await?;
    }
    Ok(())
}

/// Asks for everything. Where it is not there or wrong, an error says so or the answer is nothing: never another.
async fn ask(index: &Index, blocks: u64) -> Result<usize, StoreError> {
    let mut found = 0;
    for number in 1..blocks {
        let (block, step) = step(number);
        let ids: Vec<BatchId> = step.entries.iter().map(|entry| entry.log.batch_id).collect();
        for (entry, anchored) in step.entries.iter().zip(index.get_many(ids).await?) {
            let Some(anchored) = anchored else { continue };
            assert_eq!(anchored.tx_hash, entry.tx_hash);
            assert_eq!((anchored.block, anchored.log_index), (block, entry.log_index));
            assert_eq!(anchored.new_state_root, entry.log.new_state_root);
            found += 1;
        }
    }
    for key in (0..7).map(|number| stream(number).key()) {
        index.list(key, None, 1_000).await?;
        index.stream(key).await?;
    }
    index.newest(None, 1_000).await?;
    index.streams(None, 1_000).await?;
    index.counts().await?;
    Ok(found)
}

/// Spoils a file.
#[derive(Debug, Clone)]
enum Spoil {
    Truncate,
    Zero(usize),
    Overwrite(Vec<u8>),
}

impl Spoil {
    fn apply(&self, path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        let at = at % bytes.len();
        match self {
            Self::Truncate => bytes.truncate(at),
            Self::Zero(length) => {
                let end = bytes.len().min(at + length);
                bytes[at..end].fill(0);
            }
            Self::Overwrite(content) => {
                for (byte, new) in bytes[at..].iter_mut().zip(content) {
                    *byte = *new;
                }
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

fn spoils() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        Just(Spoil::Truncate),
        (1usize..20_000).prop_map(Spoil::Zero),
        prop::collection::vec(any::<u8>(), 1..5_000).prop_map(Spoil::Overwrite),
    ]
}

/// Half of all positions are in the first pages, where the header and the roots are.
fn positions() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..16_384, any::<usize>()]
}

fn written(directory: &Path) -> PathBuf {
    let path = directory.join("index.redb");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let index = Index::open(Some(&path)).await.unwrap();
        fill(&index, 1..6).await.unwrap();
    });
    path
}

/// A file as [`written`] leaves it, made once.
fn sound() -> &'static [u8] {
    static SOUND: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SOUND.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        fs::read(written(directory.path())).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn damage_anywhere_is_said_or_harmless(spoil in spoils(), at in positions()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.redb");
        fs::write(&path, sound()).unwrap();
        spoil.apply(&path, at);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let index = Index::open(Some(&path)).await.unwrap();
            let answered = ask(&index, 6).await;
            // It works on, or says that it cannot.
            let went_on = fill(&index, 6..8).await;
            if let (Ok(found), Ok(())) = (answered, went_on) {
                let again = ask(&index, 8).await;
                assert!(again.is_err() || found as u64 <= 5 * STEP);
            }
        });
    }
}

/// Runs `test` of this file in a process of its own whose files end at so many bytes: to the program the disk is
/// full there, for root and everybody else alike. Without the signal ignored, writing there would kill it.
fn on_a_full_disk(test: &str, kibibytes: &str) {
    let script = format!(r#"trap "" XFSZ; ulimit -S -f {kibibytes} || exit 9; exec "$0" "$@""#);
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Lets files grow to so many bytes; `None` for as far as they may.
fn set_room(bytes: Option<u64>) {
    let limit = getrlimit(Resource::Fsize);
    let current = bytes.or(limit.maximum);
    setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
}

#[test]
fn a_full_disk_is_said_and_survived() {
    on_a_full_disk("index_on_a_full_disk", "1024");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn index_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let index = Index::open(Some(&path)).await.unwrap();
    let mut number = 1;
    let error = loop {
        let (block, step) = step(number);
        match index.apply(block, step).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(
        matches!(error, StoreError::Disk { .. }) && text.contains("index.redb") && text.contains("make room"),
        "{text}"
    );
    assert!(number > 2, "{number}");
    // What is there is answered, and more is refused in the same words, however often.
    for _ in 0..3 {
        assert_eq!(ask(&index, number).await.unwrap() as u64, (number - 1) * STEP);
        let (block, step) = step(number);
        let error = index.apply(block, step).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk { .. }), "{error}");
    }
    // It goes on by itself.
    set_room(None);
    fill(&index, number..number + 5).await.unwrap();
    assert_eq!(ask(&index, number + 5).await.unwrap() as u64, (number + 4) * STEP);
    drop(index);
    let index = Index::open(Some(&path)).await.unwrap();
    assert_eq!(index.opening(), Opening::Existing);
    assert_eq!(ask(&index, number + 5).await.unwrap() as u64, (number + 4) * STEP);
}

#[test]
fn a_place_that_takes_nothing_is_no_reason_not_to_start() {
    on_a_full_disk("stores_that_cannot_be_written", "unlimited");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn stores_that_cannot_be_written() {
    let entry = |reason: &str| QuarantineEntry {
        batch_id: keccak256(reason).into(),
        stream: None,
        cause: QuarantineCause::Malformed,
        reason: reason.to_owned(),
        since: Timestamp::UNIX_EPOCH,
        commitment: None,
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("durable.redb");
    let durable = Durable::open(Some(&path)).await.unwrap();
    durable.quarantine(vec![entry("on disk")]).await.unwrap();
    drop(durable);

    set_room(Some(0));
    let index = Index::open(Some(&directory.path().join("index.redb"))).await.unwrap();
    let opening = index.opening();
    assert!(matches!(opening, Opening::Unwritable { .. }), "{opening:?}");
    fill(&index, 1..3).await.unwrap();
    assert_eq!(ask(&index, 3).await.unwrap() as u64, 2 * STEP);
    let durable = Durable::open(Some(&path)).await.unwrap();
    let opening = durable.opening();
    assert!(matches!(opening, Opening::Unwritable { .. }), "{opening:?}");
    durable.quarantine(vec![entry("in memory")]).await.unwrap();
    assert_eq!(durable.quarantined().await.unwrap().len(), 2);
    drop(durable);

    set_room(None);
    let durable = Durable::open(Some(&path)).await.unwrap();
    assert_eq!(durable.quarantined().await.unwrap(), [entry("on disk")]);
}
