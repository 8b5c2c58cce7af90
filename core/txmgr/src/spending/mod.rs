//! What an account spends in a day, and the cap on it.
//!
//! What a transaction may cost at most is reserved when it is signed; once it is in a block, what it
//! paid takes the reservation's place; one that can never be included any more gives it back. A nonce
//! counts once, with the most that any version of it may cost, on the UTC day of its newest version.
//!
//! The books are kept in a small file beside the journal, written anew as a whole after each change. A
//! restart reads it; what the journal holds and the file does not, after a crash or because the file
//! was lost, is reserved again, as of now. So a lost file forgets only what was settled that day.

mod cost;
mod file;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use set_types::Timestamp;

use crate::Wei;
pub(crate) use cost::{Cost, fees_paid};
use file::File;
pub use file::SpendingError;
pub(crate) use file::Unsaved;

const SECONDS_A_DAY: i64 = 86_400;

/// One account's spending of the day.
#[derive(Debug, Default)]
pub struct Spending {
    cap: Option<U256>,
    books: Books,
    changed: bool,
    file: Option<File>,
}

/// What is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Books {
    /// The UTC day, counted from 1970-01-01.
    day: i64,
    /// Paid today by transactions that are settled, in wei.
    settled: U256,
    /// Transactions that are not settled yet, of any day.
    open: BTreeMap<u64, Entry>,
}

/// A nonce whose transaction may still be included, or whose block may still be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The day on which it counts.
    day: i64,
    /// Most that any of its versions may cost in fees, in wei.
    fees: U256,
    /// Most that any of its versions sends along, in wei.
    value: U256,
    /// What it paid, while it is in a block.
    paid: Option<U256>,
}

impl Entry {
    const fn reserved(&self) -> Cost {
        Cost {
            fees: self.fees,
            value: self.value,
        }
    }

    fn counts(&self) -> U256 {
        self.paid.unwrap_or(self.reserved().most())
    }
}

/// Why a transaction may not be signed today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a transaction that may cost {} does not fit below the day's cap of {} (`daily_spending_cap`), of which {} is spent or reserved; it waits until {until}, or until the cap is raised",
    Wei::saturating_from(*.asked), Wei::saturating_from(*.cap), Wei::saturating_from(*.spent)
)]
pub(crate) struct OverCap {
    pub(crate) cap: U256,
    pub(crate) spent: U256,
    pub(crate) asked: U256,
    /// When the next UTC day begins.
    pub(crate) until: Timestamp,
}

impl Spending {
    /// Books that are forgotten with the process.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Opens an account's books in a directory, which must exist. Reads files; call it off the runtime's
    /// threads.
    ///
    /// # Errors
    /// [`SpendingError`]. A file that is damaged is none: it is moved aside.
    pub fn open(dir: &Path, chain_id: u64, account: Address) -> Result<Self, SpendingError> {
        let (file, books) = File::open(dir, chain_id, account)?;
        Ok(Self {
            books,
            file: Some(file),
            ..Self::default()
        })
    }

    /// Bounds what may be spent in a UTC day; `None` lifts the bound. What is signed already stays.
    #[must_use]
    pub fn with_cap(mut self, cap: Option<Wei>) -> Self {
        self.set_cap(cap);
        self
    }

    pub(crate) fn set_cap(&mut self, cap: Option<Wei>) {
        self.cap = cap.map(|Wei(cap)| U256::from(cap));
    }

    pub(crate) const fn cap(&self) -> Option<U256> {
        self.cap
    }

    /// What is spent and reserved today, in wei.
    pub(crate) fn today(&self, now: Timestamp) -> U256 {
        if day_of(now) > self.books.day {
            return U256::ZERO;
        }
        self.sum()
    }

    fn sum(&self) -> U256 {
        let today = self.books.open.values().filter(|entry| entry.day >= self.books.day);
        today.fold(self.books.settled, |sum, entry| sum.saturating_add(entry.counts()))
    }

    /// Reserves what a version that is about to be signed may cost. A nonce's earlier versions are
    /// counted with it: only what goes beyond them is added.
    pub(crate) fn admit(&mut self, nonce: u64, cost: Cost, now: Timestamp) -> Result<(), OverCap> {
        self.turn_to(now);
        let earlier = self.books.open.get(&nonce);
        let counted = earlier.filter(|entry| entry.day >= self.books.day);
        let reserved = earlier.map_or(cost, |entry| entry.reserved().or(cost));
        let spent = self.sum();
        let more = reserved
            .most()
            .saturating_sub(counted.map_or(U256::ZERO, Entry::counts));
        if let Some(cap) = self.cap
            && !more.is_zero()
            && spent.saturating_add(more) > cap
        {
            return Err(OverCap {
                cap,
                spent,
                asked: cost.most(),
                until: day_after(now),
            });
        }
        self.put(nonce, reserved);
        Ok(())
    }

    /// Counts what an earlier run signed, unless the books know of it.
    pub(crate) fn recover(&mut self, nonce: u64, cost: Cost, now: Timestamp) {
        self.turn_to(now);
        if !self.books.open.contains_key(&nonce) {
            self.put(nonce, cost);
        }
    }

    /// A nonce's transaction is in a block and paid so much in fees. What it was to send along is spent
    /// too where it succeeded.
    pub(crate) fn paid(&mut self, nonce: u64, fees: U256, succeeded: bool) {
        if let Some(entry) = self.books.open.get_mut(&nonce) {
            let value = if succeeded { entry.value } else { U256::ZERO };
            entry.paid = Some(fees.saturating_add(value));
            self.changed = true;
        }
    }

    /// A reorg took the block away; any version of the nonce may be included again.
    pub(crate) fn reopened(&mut self, nonce: u64) {
        if let Some(entry) = self.books.open.get_mut(&nonce) {
            entry.paid = None;
            self.changed = true;
        }
    }

    /// A nonce is done with. What is in a block stays spent; what is in none never will be.
    pub(crate) fn closed(&mut self, nonce: u64) {
        if let Some(entry) = self.books.open.remove(&nonce) {
            self.changed = true;
            if entry.day >= self.books.day {
                let paid = entry.paid.unwrap_or_default();
                self.books.settled = self.books.settled.saturating_add(paid);
            }
        }
    }

    /// What is to be written, if something changed since this was asked last.
    pub(crate) fn unsaved(&mut self) -> Option<Unsaved> {
        let changed = std::mem::take(&mut self.changed);
        let file = self.file.as_ref().filter(|_| changed)?;
        Some(file.unsaved(&self.books))
    }

    fn put(&mut self, nonce: u64, Cost { fees, value }: Cost) {
        let entry = Entry {
            day: self.books.day,
            fees,
            value,
            paid: None,
        };
        self.books.open.insert(nonce, entry);
        self.changed = true;
    }

    /// Begins a new day, if it is one. A clock that was set back begins none: what was spent stays
    /// spent until the next day by the clock as it is now.
    fn turn_to(&mut self, now: Timestamp) {
        let day = day_of(now);
        if day > self.books.day {
            self.books.settled = U256::ZERO;
        }
        if day != self.books.day {
            self.books.day = day;
            self.changed = true;
        }
    }
}

fn day_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(SECONDS_A_DAY)
}

fn day_after(time: Timestamp) -> Timestamp {
    Timestamp::from_second((day_of(time) + 1) * SECONDS_A_DAY).unwrap_or(Timestamp::MAX)
}
