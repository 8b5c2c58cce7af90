//! The sending accounts' transaction managers, as the coordinator listens to them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
};

use alloy_primitives::Address;
use set_txmgr::{TxEvent, TxMgr};
use tokio::sync::oneshot;

use crate::{control::Account, ledger::Room};

/// The accounts that are listened to: those that send, and retired ones until nothing more is heard of them.
#[derive(Debug, Default)]
pub(crate) struct Seats(BTreeMap<Address, Seat>);

#[derive(Debug)]
struct Seat {
    account: Account,
    /// Who waits until nothing of it is in flight.
    retiring: Vec<oneshot::Sender<()>>,
}

impl Seats {
    pub(crate) fn add(&mut self, account: Account) {
        let seat = Seat {
            account,
            retiring: Vec::new(),
        };
        self.0.insert(seat.account.address(), seat);
    }

    /// Those that send, for whoever does the work.
    pub(crate) fn txmgrs(&self) -> Arc<BTreeMap<Address, TxMgr>> {
        let txmgrs = self
            .0
            .iter()
            .map(|(address, seat)| (*address, seat.account.txmgr.clone()));
        Arc::new(txmgrs.collect())
    }

    /// What each takes now.
    pub(crate) fn rooms(&self) -> Vec<Room> {
        let room = |(address, seat): (&Address, &Seat)| Room {
            account: *address,
            calls: seat.account.txmgr.room(),
            watch_until: seat.account.txmgr.config().watch_until,
        };
        self.0.iter().map(room).collect()
    }

    /// Waits with `done` until nothing of the account is in flight.
    pub(crate) fn retire(&mut self, account: Address, done: oneshot::Sender<()>) {
        if let Some(seat) = self.0.get_mut(&account) {
            seat.retiring.push(done);
        }
    }

    /// Tells those who wait for accounts that have nothing in flight any more, by the word of the ledger
    /// (`is_retired`) and of the transaction manager; and drops those of which nothing more will be heard.
    /// Says whether one was dropped.
    pub(crate) fn release(
        &mut self,
        is_retired: impl Fn(Address) -> bool,
        mut forget: impl FnMut(Address) -> bool,
    ) -> bool {
        let before = self.0.len();
        self.0.retain(|address, seat| {
            let status = seat.account.txmgr.status();
            if !is_retired(*address) || !status.is_idle() {
                return true;
            }
            for done in seat.retiring.drain(..) {
                // Nobody waits any more where the receiver is gone.
                let _ = done.send(());
            }
            !(status.awaiting_settlement == 0 && forget(*address))
        });
        self.0.len() < before
    }

    /// The next events; `None`: a transaction manager has ended.
    pub(crate) fn poll_events(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<TxEvent>>> {
        let mut events = Vec::new();
        for seat in self.0.values_mut() {
            loop {
                match seat.account.events.poll_recv(context) {
                    Poll::Ready(Some(event)) => events.push(event),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => break,
                }
            }
        }
        if events.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Some(events))
        }
    }
}
