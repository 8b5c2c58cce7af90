//! The development sequencer: a test tool and a demonstration, never for production.
//!
//! It speaks the stateset-sequencer's anchoring API (version 0.2.7) with real VES trees over synthetic,
//! signed commerce events, and misbehaves on request:
//!
//! | route | what it does |
//! | --- | --- |
//! | `GET /v1/commitments/pending?limit=` | commitments that nobody has reported, all streams mixed |
//! | `POST /v1/commitments/{batch_id}/anchored` | reports where a batch was anchored |
//! | `GET /api/v1/ves/commitments?tenant_id=&store_id=` | one stream's unreported commitments |
//! | `GET /api/v1/ves/commitments/{batch_id}` | one commitment |
//! | `GET /api/v1/ves/proofs/{sequence}?tenant_id=&store_id=&batch_id=` | an inclusion proof |
//! | `GET /health`, `GET /ready` | alive; able to serve |
//!
//! Not part of the real API, and without credentials:
//!
//! | route | what it does |
//! | --- | --- |
//! | `GET`, `POST`, `DELETE /dev/faults` | the switches ([`Faults`]): read, set those named, all off |
//! | `POST /dev/commit` | commits now: `{"stream":0,"batches":1,"events":3,"defect":"events_root"}` |
//! | `POST /dev/streams` | opens a stream: `{"first_sequence":1}` |
//! | `GET /dev/events/{batch_id}/{sequence}` | a signed event and its agent's key |
//! | `GET /dev/state` | streams, counts of requests, every report that arrived |
//!
//! State is kept in memory only.

mod access;
mod anchored;
mod batch;
mod builder;
mod clock;
mod commerce;
mod defect;
mod dev;
mod disturb;
mod faults;
mod generator;
mod ledger;
mod pending;
mod refusal;
mod routes;
mod ves;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::B256;
use serde::Serialize;
use set_types::{BatchId, Commitment, StreamId};
use set_ves::SignedEvent;
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

use self::{access::Keys, disturb::Windows, ledger::Ledger};
pub use self::{
    builder::SequencerBuilder,
    defect::Defect,
    faults::{Faults, RateLimit},
    generator::{Load, Preload},
    ledger::Report,
};
use crate::{
    ReservedPort,
    serve::{Server, http_url},
};

/// Requests that reached each route, past credentials and faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// `GET /v1/commitments/pending`
    pub pending: u64,
    /// `POST /v1/commitments/{batch_id}/anchored`
    pub reports: u64,
    /// `GET /api/v1/ves/commitments`
    pub stream_lists: u64,
    /// `GET /api/v1/ves/commitments/{batch_id}`
    pub batches: u64,
    /// `GET /api/v1/ves/proofs/{sequence}`
    pub proofs: u64,
}

/// What every route works on. Where both locks are needed, the faults' comes first.
#[derive(Debug)]
struct Shared {
    keys: Keys,
    ledger: Mutex<Ledger>,
    faults: Mutex<Faults>,
    windows: Mutex<Windows>,
    requests: Mutex<Requests>,
    /// How many batches were reported with success.
    reported: watch::Sender<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        lock(&self.windows)
    }

    fn requests(&self) -> Requests {
        *lock(&self.requests)
    }

    fn count(&self, counter: impl Fn(&mut Requests) -> &mut u64) {
        *counter(&mut lock(&self.requests)) += 1;
    }

    /// Commits a batch now; without a defect of its own it takes the next from the switches.
    fn commit(&self, stream: StreamId, events: u32, defect: Option<Defect>) -> Option<Commitment> {
        let mut faults = self.faults();
        let mut ledger = self.ledger();
        let position = ledger.stream(&stream)?;
        let defect = defect.or_else(|| faults.next_batches.pop_front());
        let now = ledger.now();
        let commitment = &ledger.commit(position, events, now, defect).commitment;
        tracing::info!(
            batch_id = %commitment.batch_id, %stream, start = commitment.sequence_start, end = commitment.sequence_end,
            defect = defect.map(tracing::field::display), "committed"
        );
        Some(commitment.clone())
    }
}

/// A running development sequencer. Ends when dropped; must be started inside a tokio runtime.
#[derive(Debug)]
pub struct Sequencer {
    address: SocketAddr,
    /// Held while it is down too, so that it can come back.
    port: ReservedPort,
    server: Option<Server>,
    generator: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Sequencer {
    /// A sequencer with one stream and no load of its own, on any free port.
    pub fn builder() -> SequencerBuilder {
        SequencerBuilder::default()
    }

    /// The base URL of the API.
    pub fn url(&self) -> Url {
        http_url(self.address)
    }

    /// The bootstrap admin's key, which the API lets in.
    pub fn admin_key(&self) -> &str {
        &self.shared.keys.admin
    }

    /// A tenant's own key, which the API refuses.
    pub fn tenant_key(&self) -> &str {
        &self.shared.keys.tenant
    }

    /// The streams, in the order in which they were opened.
    pub fn streams(&self) -> Vec<StreamId> {
        self.shared.ledger().streams.iter().map(|stream| stream.id).collect()
    }

    /// Opens a stream whose first batch starts at `first_sequence` (normally 1) with a zero previous
    /// state root.
    pub fn open_stream(&self, first_sequence: u64) -> StreamId {
        self.shared.ledger().open_stream(first_sequence)
    }

    /// Commits the stream's next `events` events as one batch. Takes the next defect from
    /// [`Faults::next_batches`], if there is one.
    ///
    /// # Panics
    /// For a stream that is not this sequencer's.
    pub fn commit(&self, stream: StreamId, events: u32) -> Commitment {
        self.shared
            .commit(stream, events, None)
            .expect("the stream is one of this sequencer's")
    }

    /// Commits a flawed batch.
    ///
    /// # Panics
    /// For a stream that is not this sequencer's.
    pub fn commit_flawed(&self, stream: StreamId, events: u32, defect: Defect) -> Commitment {
        self.shared
            .commit(stream, events, Some(defect))
            .expect("the stream is one of this sequencer's")
    }

    /// Opens streams of their own and commits many batches at once; returns them in the order in
    /// which they are listed.
    pub fn preload(&self, preload: Preload) -> Vec<Commitment> {
        preload.run(&mut self.shared.ledger())
    }

    /// The switches as they stand.
    pub fn faults(&self) -> Faults {
        self.shared.faults().clone()
    }

    /// Changes switches.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults());
    }

    /// Turns all switches off.
    pub fn heal(&self) {
        self.set_faults(|faults| *faults = Faults::default());
    }

    /// Every commitment ever made, in the order in which it was made.
    pub fn commitments(&self) -> Vec<Commitment> {
        let ledger = self.shared.ledger();
        ledger.batches.iter().map(|batch| batch.commitment.clone()).collect()
    }

    /// The commitments that really are unreported, whatever the API shows.
    pub fn unreported(&self) -> Vec<Commitment> {
        let ledger = self.shared.ledger();
        let unreported = ledger.batches.iter().filter(|batch| batch.anchor.is_none());
        unreported.map(|batch| batch.commitment.clone()).collect()
    }

    /// The signed event of a batch, and its agent's public key.
    pub fn event(&self, batch_id: BatchId, sequence: u64) -> Option<(SignedEvent, B256)> {
        let ledger = self.shared.ledger();
        let event = ledger.event(batch_id, sequence)?;
        let stream = ledger.batch(batch_id)?.stream;
        Some((event, ledger.streams[stream].public_key()))
    }

    /// Every report that arrived, in order, whatever became of it.
    pub fn reports(&self) -> Vec<Report> {
        self.shared.ledger().reports.clone()
    }

    /// Batches that were reported with more than one hash. There must never be any.
    pub fn contradictions(&self) -> BTreeMap<BatchId, BTreeSet<B256>> {
        let mut hashes: BTreeMap<BatchId, BTreeSet<B256>> = BTreeMap::new();
        for report in &self.shared.ledger().reports {
            hashes.entry(report.batch_id).or_default().insert(report.chain_tx_hash);
        }
        hashes.retain(|_, hashes| hashes.len() > 1);
        hashes
    }

    /// How often each route was asked.
    pub fn requests(&self) -> Requests {
        self.shared.requests()
    }

    /// Waits until `count` batches were reported with success; false if that takes longer than
    /// `deadline`.
    pub async fn reported(&self, count: usize, deadline: Duration) -> bool {
        let mut reported = self.shared.reported.subscribe();
        let enough = reported.wait_for(|reported| *reported >= count);
        tokio::time::timeout(deadline, enough)
            .await
            .is_ok_and(|enough| enough.is_ok())
    }

    /// Closes the port and all connections, as a sequencer that died. What it knows stays.
    pub async fn go_down(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// Whatever keeps the port from being listened on.
    pub async fn come_back(&mut self) -> io::Result<()> {
        if self.server.is_none() {
            let router = routes::router(&self.shared);
            self.server = Some(Server::start(self.port.number(), router).await?);
        }
        Ok(())
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        if let Some(generator) = &self.generator {
            generator.abort();
        }
    }
}
