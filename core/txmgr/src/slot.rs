//! One nonce: who it belongs to, what was signed for it, and how far that is.

use alloy::{
    consensus::{TxEip1559, TxEnvelope, transaction::SignerRecoverable},
    eips::Decodable2718,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, keccak256};
use set_chain::{BlockRef, SettlementTag};
use set_types::Timestamp;
use tokio::time::Instant;

use crate::{Call, CallId, block_budget::Share, fees::FeeTerms, room::Place};

/// Gas of a transfer without data, which is what fills a gap between nonces.
const FILLER_GAS: u64 = 21_000;

/// A signed transaction.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) hash: B256,
    pub(crate) raw: Bytes,
    pub(crate) tx: TxEip1559,
}

impl Version {
    /// Reads signed bytes; `None` where they are no EIP-1559 transaction.
    pub(crate) fn decode(raw: Bytes) -> Option<Self> {
        match TxEnvelope::decode_2718(&mut raw.as_ref()).ok()? {
            TxEnvelope::Eip1559(signed) => Some(Self {
                hash: keccak256(&raw),
                tx: signed.strip_signature(),
                raw,
            }),
            _ => None,
        }
    }

    /// Checks what a signer gave: exactly this transaction, signed by exactly this account. A signer
    /// is another process at times, and what it gives is sent with money behind it.
    pub(crate) fn checked(raw: Bytes, tx: &TxEip1559, signer: Address) -> Result<Self, &'static str> {
        let envelope = TxEnvelope::decode_2718(&mut raw.as_ref()).map_err(|_| "what it gave is no transaction")?;
        let sender = envelope
            .recover_signer()
            .map_err(|_| "what it gave has no valid signature")?;
        if sender != signer {
            return Err("it signed with another account's key");
        }
        let version = Self::decode(raw).ok_or("what it gave is not an EIP-1559 transaction")?;
        if version.tx != *tx {
            return Err("it signed another transaction than it was asked to");
        }
        Ok(version)
    }

    pub(crate) fn terms(&self) -> FeeTerms {
        FeeTerms {
            tip: self.tx.max_priority_fee_per_gas,
            cap: self.tx.max_fee_per_gas,
        }
    }

    /// The call inside.
    pub(crate) fn call(&self) -> Call {
        Call {
            to: self.tx.to.to().copied().unwrap_or_default(),
            data: self.tx.input.clone(),
            value: self.tx.value,
            gas_limit: self.tx.gas_limit,
        }
    }

    /// Whether it only uses up its nonce.
    pub(crate) fn is_filler(&self, account: Address) -> bool {
        self.call() == filler(account)
    }
}

/// The call that only uses up a nonce: nothing, from an account to itself.
pub(crate) fn filler(account: Address) -> Call {
    Call {
        to: account,
        data: Bytes::new(),
        value: Default::default(),
        gas_limit: FILLER_GAS,
    }
}

/// The transaction to sign for a call.
pub(crate) fn unsigned(call: &Call, nonce: u64, chain_id: u64, terms: FeeTerms) -> TxEip1559 {
    TxEip1559 {
        chain_id,
        nonce,
        gas_limit: call.gas_limit,
        max_fee_per_gas: terms.cap,
        max_priority_fee_per_gas: terms.tip,
        to: TxKind::Call(call.to),
        value: call.value,
        access_list: Default::default(),
        input: call.data.clone(),
    }
}

/// How far a nonce is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Every send so far was surely refused, or there was none: the nonce can be given back.
    Provisional,
    /// Sent, or perhaps sent: the nonce is this call's until the chain says otherwise.
    Committed,
    /// In a block of the canonical chain.
    Included {
        /// The version that is in it.
        hash: B256,
        /// The block.
        block: BlockRef,
        /// The tag up to which this was told.
        told: SettlementTag,
    },
}

/// How often a nonce was seen used with none of its versions in a block, at different heads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Absence {
    pub(crate) seen: u8,
    pub(crate) at: B256,
}

impl Absence {
    /// Counts a head once; gives whether two different ones agree by now.
    pub(crate) fn count(&mut self, head: B256) -> bool {
        if self.seen == 0 || self.at != head {
            self.seen = self.seen.saturating_add(1);
            self.at = head;
        }
        self.seen >= 2
    }
}

/// A nonce that is taken.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Whose it is; `None` for an empty transaction that fills a gap.
    pub(crate) id: Option<CallId>,
    /// Signed versions, oldest first. All are watched: any of them may be included.
    pub(crate) versions: Vec<Version>,
    pub(crate) progress: Progress,
    /// For the operator's eyes.
    pub(crate) since: Timestamp,
    /// When it got its nonce.
    pub(crate) created: Instant,
    /// When a version of it was last handed to the node.
    pub(crate) touched: Instant,
    /// Since when nothing before it is missing, so that only price or size can keep it out of a block.
    pub(crate) first_in_line: Option<Instant>,
    pub(crate) absence: Absence,
    /// A version to be sent again as soon as may be.
    pub(crate) resend: Option<B256>,
    /// To be replaced as soon as may be.
    pub(crate) bump: bool,
    /// To be replaced by a filler: no node takes what was signed.
    pub(crate) cancel: bool,
    /// Whether a node ever said that it has a version.
    pub(crate) accepted: bool,
    /// Whether a job signs or sends for it right now.
    pub(crate) busy: bool,
    /// Room in flight, given back once it is in a block.
    pub(crate) place: Option<Place>,
    /// Its share of the block that will hold it, given back likewise.
    pub(crate) share: Option<Share>,
}

impl Slot {
    /// A nonce that was just given to a call, or to a filler.
    pub(crate) fn new(id: Option<CallId>, place: Option<Place>, share: Option<Share>) -> Self {
        let now = Instant::now();
        Self {
            id,
            versions: Vec::new(),
            progress: Progress::Provisional,
            since: Timestamp::now(),
            created: now,
            touched: now,
            first_in_line: None,
            absence: Absence::default(),
            resend: None,
            bump: false,
            cancel: false,
            accepted: false,
            busy: false,
            place,
            share,
        }
    }

    /// A nonce that an earlier run signed for. Its newest version is to be sent again.
    pub(crate) fn recovered(id: Option<CallId>, versions: Vec<Version>, share: Share) -> Self {
        Self {
            resend: versions.last().map(|version| version.hash),
            versions,
            progress: Progress::Committed,
            ..Self::new(id, None, Some(share))
        }
    }

    pub(crate) fn version(&self, hash: B256) -> Option<&Version> {
        self.versions.iter().find(|version| version.hash == hash)
    }

    /// Whether it is in no block.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.progress, Progress::Included { .. })
    }

    /// The call that a replacement carries.
    pub(crate) fn replacement_call(&self, account: Address) -> Option<Call> {
        if self.cancel {
            return Some(filler(account));
        }
        self.versions.last().map(Version::call)
    }

    /// Since when the chain could have included what was sent last.
    pub(crate) fn waiting_since(&self) -> Instant {
        self.first_in_line.map_or(self.touched, |since| since.max(self.touched))
    }
}
