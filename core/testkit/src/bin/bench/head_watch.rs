//! When blocks come, as somebody beside the node sees it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use set_chain::L2Provider;
use tokio::{sync::watch, task::JoinHandle};

/// How often the head is asked for: the resolution of everything that is measured with it.
const LOOK: Duration = Duration::from_millis(10);

/// Sees every block as it comes, until dropped.
#[derive(Debug)]
pub(crate) struct HeadWatch {
    seen: Arc<Mutex<BTreeMap<u64, Timestamp>>>,
    newest: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl HeadWatch {
    pub(crate) fn start(provider: &L2Provider) -> Self {
        use alloy::providers::Provider;

        let seen: Arc<Mutex<BTreeMap<u64, Timestamp>>> = Arc::default();
        let (newest, receiver) = watch::channel(0);
        let (provider, shared) = (provider.clone(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            // A node tells of its blocks only to who asks.
            let mut looks = tokio::time::interval(LOOK);
            loop {
                looks.tick().await;
                let Ok(number) = provider.get_block_number().await else {
                    continue;
                };
                if number > *newest.borrow() {
                    shared
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, Timestamp::now());
                    newest.send_replace(number);
                }
            }
        });
        Self {
            seen,
            newest: receiver,
            task,
        }
    }

    /// The newest block's number, now and at each change.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// When a block was there.
    pub(crate) fn seen(&self, block: u64) -> Option<Timestamp> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Where two came between two looks, the first was there at the latest with the second.
        seen.range(block..).next().map(|(_, at)| *at)
    }
}

impl Drop for HeadWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
