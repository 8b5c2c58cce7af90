//! One nonce: who it belongs to, what was signed for it, and how far that is.

use alloy::{
    consensus::{TxEip1559, TxEnvelope, transaction::SignerRecoverable},
    eips::Decodable2718,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, keccak256};
use set_chain::{BlockRef, SettlementTag};
use set_types::Timestamp;
use tokio::time::Instant;

use crate::{Call, CallId, CallSize, block_budget::Share, fees::FeeTerms, room::Place};

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
        let mut rest = raw.as_ref();
        match TxEnvelope::decode_2718(&mut rest).ok()? {
            // No node takes what has more behind it.
            TxEnvelope::Eip1559(signed) if rest.is_empty() => Some(Self {
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

/// A version of which the bytes are not at hand: enough to recognise it in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) hash: B256,
    /// Whether it only uses up its nonce.
    pub(crate) filler: bool,
}

/// How far a nonce that is in no block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Every send so far was surely refused, or there was none: the nonce can be given back.
    Provisional,
    /// Sent, or perhaps sent: the nonce is this call's until the chain says otherwise.
    Committed,
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

/// Blocks that could have held a transaction and do not, although it paid enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passing {
    /// So many in a row, since its bytes were last handed to the node.
    pub(crate) blocks: u32,
    /// Whether its bytes were handed to the node again, to be sure that it has them.
    pub(crate) probed: bool,
    /// Whether the node said since then that it has them.
    pub(crate) vouched: bool,
    /// Whether it was replaced once at a higher price, so that the node's pool took it anew.
    pub(crate) renewed: bool,
    /// Nothing smaller can be sent in its place: it waits, and is renewed after so many blocks.
    pub(crate) waits: Option<u32>,
}

/// A nonce that is taken and in no block.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Whose it is; `None` for an empty transaction that fills a gap.
    pub(crate) id: Option<CallId>,
    /// Signed versions whose bytes are at hand, oldest first.
    pub(crate) versions: Vec<Version>,
    /// Other versions. They are watched like the rest: any may be included.
    pub(crate) known: Vec<Known>,
    pub(crate) progress: Progress,
    /// What the call takes of a block.
    pub(crate) size: CallSize,
    /// For the operator's eyes.
    pub(crate) since: Timestamp,
    /// When it got its nonce.
    pub(crate) created: Instant,
    /// When a version of it was last handed to the node.
    pub(crate) touched: Instant,
    /// Since when nothing before it is missing, so that only price or size can keep it out of a block.
    pub(crate) first_in_line: Option<Instant>,
    pub(crate) absence: Absence,
    pub(crate) passing: Passing,
    /// A version to be sent again as soon as may be.
    pub(crate) resend: Option<B256>,
    /// To be replaced as soon as may be.
    pub(crate) bump: bool,
    /// Whether the node refused its newest bytes for now; a higher price would be refused likewise.
    pub(crate) refused: bool,
    /// Whether a block held it that a reorg took away. Its hash was told, and perhaps reported.
    pub(crate) undone: bool,
    /// The head at which its price was last raised.
    pub(crate) priced_at: B256,
    /// To be replaced by a filler.
    pub(crate) cancel: bool,
    /// Whether a node ever said that it has a version.
    pub(crate) accepted: bool,
    /// Whether a job signs, sends or reads for it right now.
    pub(crate) busy: bool,
    /// Room in flight, given back once it is in a block.
    pub(crate) _place: Option<Place>,
    /// Its share of the block that will hold it, given back likewise.
    pub(crate) share: Option<Share>,
}

impl Slot {
    /// A nonce that was just given to a call, or to a filler.
    pub(crate) fn new(id: Option<CallId>, size: CallSize) -> Self {
        let now = Instant::now();
        Self {
            id,
            versions: Vec::new(),
            known: Vec::new(),
            progress: Progress::Provisional,
            size,
            since: Timestamp::now(),
            created: now,
            touched: now,
            first_in_line: None,
            absence: Absence::default(),
            passing: Passing::default(),
            resend: None,
            bump: false,
            refused: false,
            undone: false,
            priced_at: B256::ZERO,
            cancel: false,
            accepted: false,
            busy: false,
            _place: None,
            share: None,
        }
    }

    /// A nonce that an earlier run signed for, or whose block is gone. `resend` is to be sent again; its
    /// bytes may have to be read first.
    pub(crate) fn again(id: Option<CallId>, known: Vec<Known>, resend: Option<B256>) -> Self {
        Self {
            known,
            resend,
            progress: Progress::Committed,
            ..Self::new(id, CallSize::default())
        }
    }

    pub(crate) fn version(&self, hash: B256) -> Option<&Version> {
        self.versions.iter().find(|version| version.hash == hash)
    }

    pub(crate) fn knows(&self, hash: B256) -> bool {
        self.version(hash).is_some() || self.known.iter().any(|known| known.hash == hash)
    }

    /// All versions, whether their bytes are at hand or not.
    pub(crate) fn all_known(&self, account: Address) -> impl Iterator<Item = Known> + '_ {
        let at_hand = self.versions.iter().map(move |version| Known {
            hash: version.hash,
            filler: version.is_filler(account),
        });
        let others = self.known.iter().copied();
        others.filter(|known| self.version(known.hash).is_none()).chain(at_hand)
    }

    /// The hashes of all versions, the newest last.
    pub(crate) fn hashes(&self) -> Vec<B256> {
        let others = self.known.iter().map(|known| known.hash);
        let mut hashes: Vec<_> = others.filter(|hash| self.version(*hash).is_none()).collect();
        hashes.extend(self.versions.iter().map(|version| version.hash));
        hashes
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

/// A nonce whose transaction is in a block of the canonical chain. There may be thousands of them where
/// settlement lags, so it keeps as little as will repair a reorg.
#[derive(Debug)]
pub(crate) struct Included {
    pub(crate) id: Option<CallId>,
    /// The version that is in the block.
    pub(crate) hash: B256,
    pub(crate) block: BlockRef,
    /// The tag up to which this was told.
    pub(crate) told: SettlementTag,
    /// Every version, to be watched again after a reorg.
    pub(crate) known: Box<[Known]>,
    /// The included version; `None` where the journal has it on disk.
    pub(crate) version: Option<Version>,
}

#[cfg(test)]
mod tests {
    use alloy::{consensus::SignableTransaction, eips::eip2718::Encodable2718, network::TxSignerSync};
    use set_testkit::Anvil;

    use super::*;

    #[test]
    fn bytes_with_more_behind_them_are_no_transaction() {
        let mut tx = unsigned(&filler(Address::ZERO), 3, 1, FeeTerms { tip: 1, cap: 2 });
        let signature = Anvil::account(1).sign_transaction_sync(&mut tx).unwrap();
        let raw = TxEnvelope::from(tx.clone().into_signed(signature)).encoded_2718();
        let signer = Anvil::account(1).address();
        assert!(Version::checked(raw.clone().into(), &tx, signer).is_ok());
        let longer: Bytes = [raw, vec![0]].concat().into();
        assert!(Version::decode(longer.clone()).is_none());
        assert!(Version::checked(longer, &tx, signer).is_err());
    }
}
