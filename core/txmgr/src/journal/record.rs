//! Records of the journal's file: how they are written, and what can be read of a damaged one.

use std::io::{self, Read};

use alloy_primitives::keccak256;

/// Bytes of a record before its body.
pub(super) const PREFIX: u64 = 12;
/// Bytes of a body before the signed transaction.
pub(super) const HEAD: u64 = 9;
/// No record is larger: a pool takes 128 KiB a transaction.
const MAX_BODY: usize = 1 << 20;

/// What a record says of its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The nonce's first version; whatever was kept for it is void.
    First = 1,
    /// One more version.
    Replacement = 2,
    /// Settled or void.
    Forget = 3,
}

impl Kind {
    const fn read(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::First),
            2 => Some(Self::Replacement),
            3 => Some(Self::Forget),
            _ => None,
        }
    }
}

/// A record that was read.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it starts in the file.
    pub(super) at: u64,
    pub(super) kind: Kind,
    pub(super) nonce: u64,
    /// The signed transaction.
    pub(super) raw: Vec<u8>,
}

pub(super) fn encode(kind: Kind, nonce: u64, raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEAD as usize + raw.len());
    body.push(kind as u8);
    body.extend(nonce.to_le_bytes());
    body.extend(raw);
    let mut record = Vec::with_capacity(PREFIX as usize + body.len());
    record.extend((body.len() as u32).to_le_bytes());
    record.extend(&keccak256(&body)[..8]);
    record.extend(body);
    record
}

/// What a file holds behind its header.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// Where the next record goes: after the last whole one.
    pub(super) end: u64,
    /// Whether something in front of a whole record cannot be read.
    pub(super) damaged: bool,
    /// Bytes after the last whole record: what a crash cut off.
    pub(super) torn: u64,
}

/// Reads every record from `start` on, one at a time, and goes on behind what is damaged.
pub(super) fn scan(mut file: impl Read, start: u64, mut found: impl FnMut(Record)) -> io::Result<Extent> {
    let mut extent = Extent {
        end: start,
        ..Extent::default()
    };
    loop {
        let mut bytes = Vec::new();
        file.by_ref().take(PREFIX).read_to_end(&mut bytes)?;
        if let Some(len) = body_len(&bytes) {
            file.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        }
        if let Some((record, next)) = record_at(&bytes, 0, extent.end) {
            extent.end += next as u64;
            found(record);
            continue;
        }
        if bytes.is_empty() {
            return Ok(extent);
        }
        // Rare enough to be read at once.
        file.read_to_end(&mut bytes)?;
        let (base, mut at, mut whole) = (extent.end, 0, 0);
        while at < bytes.len() {
            match record_at(&bytes, at, base) {
                Some((record, next)) => {
                    found(record);
                    (at, whole) = (next, next);
                }
                None => at += 1,
            }
        }
        extent.damaged = whole > 0;
        extent.end = base + whole as u64;
        extent.torn = (bytes.len() - whole) as u64;
        return Ok(extent);
    }
}

fn body_len(prefix: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(prefix.get(..4)?.try_into().ok()?) as usize;
    (HEAD as usize..=MAX_BODY).contains(&len).then_some(len)
}

/// The record at `start` and where the next one starts; `None` where there is no whole one. `base` is
/// where `bytes` start in the file.
fn record_at(bytes: &[u8], start: usize, base: u64) -> Option<(Record, usize)> {
    let prefix = bytes.get(start..start + PREFIX as usize)?;
    let body_at = start + PREFIX as usize;
    let end = body_at + body_len(prefix)?;
    let body = bytes.get(body_at..end)?;
    if keccak256(body)[..8] != prefix[4..] {
        return None;
    }
    let record = Record {
        at: base + start as u64,
        kind: Kind::read(body[0])?,
        nonce: u64::from_le_bytes(body[1..HEAD as usize].try_into().ok()?),
        raw: body[HEAD as usize..].to_vec(),
    };
    Some((record, end))
}
