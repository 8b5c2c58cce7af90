//! How a sequencer starts.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use super::{Faults, Load, Preload, Sequencer, Shared, access::Keys, ledger::Ledger, routes};
use crate::{ReservedPort, serve::Server};

/// Settings of a sequencer to start; see [`Sequencer::builder`].
#[derive(Debug, Clone)]
pub struct SequencerBuilder {
    port: u16,
    seed: u64,
    streams: usize,
    first_sequence: u64,
    keys: Keys,
    faults: Faults,
    preload: Option<Preload>,
    load: Option<Load>,
}

impl Default for SequencerBuilder {
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            streams: 1,
            first_sequence: 1,
            keys: Keys {
                admin: "ss_dev_bootstrap_admin".into(),
                tenant: "ss_dev_tenant_admin".into(),
            },
            faults: Faults::default(),
            preload: None,
            load: None,
        }
    }
}

impl SequencerBuilder {
    /// A fixed port; any free one by default.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What ids, keys and events follow from. The same seed gives the same ones.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many streams there are from the start.
    #[must_use]
    pub const fn streams(mut self, count: usize) -> Self {
        self.streams = count;
        self
    }

    /// Where the first batch of each of these streams starts; 1 by default.
    #[must_use]
    pub const fn first_sequence(mut self, sequence: u64) -> Self {
        self.first_sequence = sequence;
        self
    }

    /// The bootstrap admin's key, instead of a well-known one.
    #[must_use]
    pub fn admin_key(mut self, key: impl Into<String>) -> Self {
        self.keys.admin = key.into();
        self
    }

    /// Switches that are on from the start.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Batches that are there from the start.
    #[must_use]
    pub const fn preload(mut self, preload: Preload) -> Self {
        self.preload = Some(preload);
        self
    }

    /// Batches that are committed as time passes.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.load = Some(load);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub async fn start(self) -> io::Result<Sequencer> {
        crate::init();
        let mut ledger = Ledger::new(self.seed);
        for _ in 0..self.streams {
            ledger.open_stream(self.first_sequence);
        }
        if let Some(preload) = self.preload {
            preload.run(&mut ledger);
        }
        let shared = Arc::new(Shared {
            keys: self.keys,
            ledger: Mutex::new(ledger),
            faults: Mutex::new(self.faults),
            windows: Mutex::default(),
            requests: Mutex::default(),
            reported: watch::Sender::new(0),
        });
        let port = ReservedPort::at(self.port)?;
        let server = Server::start(port.number(), routes::router(&shared)).await?;
        let generator = self
            .load
            .map(|load| tokio::spawn(load.run(Arc::clone(&shared), self.seed)));
        Ok(Sequencer {
            address: server.address(),
            port,
            server: Some(server),
            generator,
            shared,
        })
    }
}
