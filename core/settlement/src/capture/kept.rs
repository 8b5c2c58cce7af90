//! The file of kept parts: what is in it, at which block it was proven, and how much it is.
//!
//! Parts stand under their hashes, so that what proofs share is there once, and no proof's path is written down:
//! it is found again from the block's hash. Beside them stands which stretch of the chain is proven at which block.

mod rows;
mod stretches;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use alloy::eips::BlockNumHash;
use alloy_primitives::{B256, Bytes, keccak256};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use set_index::{ChainPosition, Layout, Opening, Store, StoreError, table};
use tokio::sync::Notify;

use self::rows::{BLOCK_LEN, BlockRow, STRETCH_LEN, Stretch, key};
use super::trie::{PartMap, Parts, WalkError};

const LAYOUT: Layout = Layout {
    name: "store of proofs",
    holds: "the parts of settlement proofs",
    version: 1,
    cache_bytes: 16 << 20,
    rebuildable: true,
};

/// Hash → the last block whose evidence uses the part (8 bytes), then the part.
const PARTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("parts");
/// Last block that uses a part, its hash → nothing: what goes first when room is needed.
const USES: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("uses");
/// Number of a block at which something was proven → [`BlockRow`].
const BLOCKS: TableDefinition<'_, u64, &[u8; BLOCK_LEN]> = TableDefinition::new("blocks");
/// Place in the chain behind which a stretch begins → [`Stretch`].
const STRETCHES: TableDefinition<'_, (u64, u64), &[u8; STRETCH_LEN]> = TableDefinition::new("stretches");
/// What the file is of, and how many bytes the parts have.
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const SCOPE: &str = "scope";
const BYTES: &str = "bytes";

/// What a part costs beside its own bytes: its rows' keys and values.
const PART_COST: u64 = 8 + 32 + 8 + 32;
/// Parts that are thrown away in one transaction.
const SWEEP: usize = 10_000;

/// What the file holds, but for the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// In the chain's order; they do not overlap.
    pub(crate) stretches: Vec<Stretch>,
    /// By number.
    pub(crate) blocks: BTreeMap<u64, BlockRow>,
    /// Of all parts, with what they cost beside themselves.
    pub(crate) bytes: u64,
}

/// Evidence to be kept: a stretch, and what proves its commitments.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) block: BlockNumHash,
    pub(crate) output_root: B256,
    pub(crate) after: ChainPosition,
    pub(crate) to: ChainPosition,
    pub(crate) commitments: u64,
    pub(crate) parts: PartMap,
}

/// Where a commitment's evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Here, proven at this block with this output root.
    Kept { block: BlockNumHash, output_root: B256 },
    /// It was here, and was thrown away for want of room.
    ThrownAway,
    /// It was never taken.
    Nowhere,
}

/// The file. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    store: Store,
    scope: B256,
    mended: Arc<Notify>,
}

impl Kept {
    /// Opens the file, or a store in memory where `path` is `None`. One that is damaged, or of another registry,
    /// is put aside or emptied: all of it can be had again at a later block.
    pub(crate) async fn open(path: Option<&Path>, scope: B256) -> Result<Self, StoreError> {
        let path = path.map(Path::to_owned);
        let opened = tokio::task::spawn_blocking(move || Store::open(path.as_deref(), LAYOUT)).await;
        let store = opened.map_err(|_| StoreError::Stopped)??;
        let kept = Self {
            store,
            scope,
            mended: Arc::default(),
        };
        match kept.store.write(bind(scope)).await {
            Err(error) if error.is_damage() => drop(kept.mend().await?),
            bound => bound?,
        }
        Ok(kept)
    }

    /// How the file was opened.
    pub(crate) fn opening(&self) -> Opening {
        self.store.opening()
    }

    /// Puts an empty file in place of one that turned out to be damaged; says whether it was.
    pub(crate) async fn mend(&self) -> Result<bool, StoreError> {
        let mended = self.store.mend(bind(self.scope)).await?;
        if mended {
            self.mended.notify_one();
        }
        Ok(mended)
    }

    /// Waits until a damaged file was put aside by somebody.
    pub(crate) async fn mended(&self) {
        self.mended.notified().await;
    }

    /// All but the parts.
    pub(crate) async fn inventory(&self) -> Result<Inventory, StoreError> {
        self.store.read(inventory).await
    }

    /// Where the evidence of the commitment at `position` is.
    pub(crate) async fn whereabouts(&self, position: ChainPosition) -> Result<Whereabouts, StoreError> {
        self.store
            .read(move |transaction| {
                let Some(table) = table(transaction, STRETCHES)? else {
                    return Ok(Whereabouts::Nowhere);
                };
                // A stretch does not hold the place behind which it begins.
                let mut before = table.range::<(u64, u64)>(..key(position))?;
                let Some(row) = before.next_back() else {
                    return Ok(Whereabouts::Nowhere);
                };
                let (start, value) = row?;
                let stretch = Stretch::decode(start.value(), value.value())?;
                match stretch.at {
                    _ if stretch.to < position => Ok(Whereabouts::Nowhere),
                    None => Ok(Whereabouts::ThrownAway),
                    Some(number) => {
                        let BlockRow { hash, output_root, .. } = block(transaction, number)?;
                        let block = BlockNumHash { number, hash };
                        Ok(Whereabouts::Kept { block, output_root })
                    }
                }
            })
            .await
    }

    /// Reads parts in one transaction, on a thread that may block.
    pub(crate) async fn with_parts<T: Send + 'static>(
        &self,
        read: impl FnOnce(&KeptParts<'_>) -> Result<T, WalkError> + Send + 'static,
    ) -> Result<Result<T, WalkError>, StoreError> {
        self.store
            .read(move |transaction| match read(&KeptParts(transaction)) {
                // So that the store knows of damage.
                Err(WalkError::Store(error)) => Err(error),
                read => Ok(read),
            })
            .await
    }

    /// Keeps evidence; all of it is on disk when this returns, or none. What other blocks prove of the same stretch
    /// gives way.
    pub(crate) async fn take(&self, take: Take) -> Result<(), StoreError> {
        self.store.write(move |transaction| keep(transaction, &take)).await
    }

    /// Throws the oldest block's evidence away until all has at most `limit` bytes. The block `spared` stays.
    /// Says whether there is room now.
    pub(crate) async fn make_room(&self, limit: u64, spared: u64) -> Result<bool, StoreError> {
        loop {
            let (bytes, done) = self
                .store
                .write(move |transaction| shrink(transaction, limit, spared))
                .await?;
            if done {
                return Ok(bytes <= limit);
            }
        }
    }
}

/// The parts in one snapshot of the file.
pub(crate) struct KeptParts<'a>(&'a ReadTransaction);

impl Parts for KeptParts<'_> {
    fn part(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        let Some(table) = table(self.0, PARTS)? else {
            return Ok(None);
        };
        let Some(row) = table.get(&hash.0)? else {
            return Ok(None);
        };
        let part = row.value().get(8..).unwrap_or_default();
        if keccak256(part) != hash {
            return Err(StoreError::Damaged(format!("the part with hash {hash} has changed")));
        }
        Ok(Some(Bytes::copy_from_slice(part)))
    }
}

/// Empties a file that is of another registry than `scope`.
fn bind(scope: B256) -> impl FnOnce(&WriteTransaction) -> Result<(), StoreError> {
    move |transaction| {
        let known = transaction
            .open_table(FACTS)?
            .get(SCOPE)?
            .map(|row| row.value().to_vec());
        if known.as_deref() == Some(scope.as_slice()) {
            return Ok(());
        }
        transaction.delete_table(PARTS)?;
        transaction.delete_table(USES)?;
        transaction.delete_table(BLOCKS)?;
        transaction.delete_table(STRETCHES)?;
        transaction.delete_table(FACTS)?;
        transaction.open_table(FACTS)?.insert(SCOPE, scope.as_slice())?;
        Ok(())
    }
}

fn inventory(transaction: &ReadTransaction) -> Result<Inventory, StoreError> {
    let mut inventory = Inventory::default();
    if let Some(table) = table(transaction, STRETCHES)? {
        for row in table.iter()? {
            let (start, value) = row?;
            inventory.stretches.push(Stretch::decode(start.value(), value.value())?);
        }
    }
    if let Some(table) = table(transaction, BLOCKS)? {
        for row in table.iter()? {
            let (number, value) = row?;
            let row = BlockRow::decode(number.value(), value.value())?;
            inventory.blocks.insert(number.value(), row);
        }
    }
    if let Some(table) = table(transaction, FACTS)? {
        inventory.bytes = bytes_fact(&table)?;
    }
    Ok(inventory)
}

fn keep(transaction: &WriteTransaction, take: &Take) -> Result<(), StoreError> {
    let number = take.block.number;
    let mut added = 0;
    {
        let mut parts = transaction.open_table(PARTS)?;
        let mut uses = transaction.open_table(USES)?;
        for (hash, part) in take.parts.iter() {
            let used = match parts.get(&hash.0)? {
                Some(row) => Some(last_use(row.value())?),
                None => None,
            };
            if used.is_some_and(|used| used >= number) {
                continue;
            }
            match used {
                Some(used) => drop(uses.remove((used, &hash.0))?),
                None => added += part.len() as u64 + PART_COST,
            }
            let row = [&number.to_be_bytes()[..], part].concat();
            parts.insert(&hash.0, row.as_slice())?;
            uses.insert((number, &hash.0), ())?;
        }
    }
    add_bytes(transaction, added, 0)?;

    let mut stretches = transaction.open_table(STRETCHES)?;
    let mut blocks = transaction.open_table(BLOCKS)?;
    let mut stretch = Stretch {
        after: take.after,
        to: take.to,
        at: Some(number),
    };
    let before = stretches::ending_at(&stretches, stretch.after)?;
    // Where there is nothing to prove, a row for each game would be all that it comes to.
    if let Some(before) = before.filter(|_| take.commitments == 0) {
        stretch.at = before.at;
    } else {
        let known = match blocks.get(number)? {
            Some(row) => BlockRow::decode(number, row.value())?.commitments,
            None => 0,
        };
        let row = BlockRow {
            hash: take.block.hash,
            output_root: take.output_root,
            commitments: known + take.commitments,
        };
        blocks.insert(number, &row.encode(number))?;
    }
    if stretches::place(&mut stretches, stretch)? {
        let used: BTreeSet<_> = stretches::all(&stretches)?
            .into_iter()
            .filter_map(|stretch| stretch.at)
            .collect();
        blocks.retain(|number, _| used.contains(&number))?;
    }
    Ok(())
}

/// One step towards `limit`; gives the bytes that are left and whether nothing more is to be done.
fn shrink(transaction: &WriteTransaction, limit: u64, spared: u64) -> Result<(u64, bool), StoreError> {
    let bytes = bytes_fact(&transaction.open_table(FACTS)?)?;
    let oldest = {
        let blocks = transaction.open_table(BLOCKS)?;
        blocks.first()?.map(|(number, _)| number.value())
    };
    // What only blocks before the oldest one use, nothing leads to.
    let unused = unused(transaction, oldest.unwrap_or(spared))?;
    if !unused.is_empty() {
        let mut parts = transaction.open_table(PARTS)?;
        let mut uses = transaction.open_table(USES)?;
        let mut freed = 0;
        for (used, hash) in &unused {
            uses.remove((*used, &hash.0))?;
            if let Some(row) = parts.remove(&hash.0)? {
                freed += (row.value().len() as u64).saturating_sub(8) + PART_COST;
            }
        }
        return Ok((add_bytes(transaction, 0, freed)?, false));
    }
    let Some(oldest) = oldest.filter(|oldest| bytes > limit && *oldest != spared) else {
        return Ok((bytes, true));
    };
    let mut stretches = transaction.open_table(STRETCHES)?;
    let of_oldest: Vec<_> = stretches::all(&stretches)?
        .into_iter()
        .filter(|stretch| stretch.at == Some(oldest))
        .collect();
    for stretch in of_oldest {
        stretches::put(&mut stretches, &Stretch { at: None, ..stretch })?;
    }
    transaction.open_table(BLOCKS)?.remove(oldest)?;
    Ok((bytes, false))
}

/// Some parts that no block from `first` on uses.
fn unused(transaction: &WriteTransaction, first: u64) -> Result<Vec<(u64, B256)>, StoreError> {
    let uses = transaction.open_table(USES)?;
    let end = (first, &[0; 32]);
    uses.range::<(u64, &[u8; 32])>(..end)?
        .take(SWEEP)
        .map(|row| {
            let (key, _) = row?;
            let (used, hash) = key.value();
            Ok((used, B256::from(hash)))
        })
        .collect()
}

fn last_use(row: &[u8]) -> Result<u64, StoreError> {
    let number = row.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    number.ok_or_else(|| StoreError::Damaged("a part is shorter than its use".to_owned()))
}

fn bytes_fact(facts: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, StoreError> {
    match facts.get(BYTES)? {
        None => Ok(0),
        Some(row) => match row.value().try_into() {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(_) => Err(StoreError::Damaged("the number of bytes is no number".to_owned())),
        },
    }
}

fn add_bytes(transaction: &WriteTransaction, added: u64, freed: u64) -> Result<u64, StoreError> {
    let mut facts = transaction.open_table(FACTS)?;
    let bytes = (bytes_fact(&facts)? + added).saturating_sub(freed);
    facts.insert(BYTES, bytes.to_be_bytes().as_slice())?;
    Ok(bytes)
}

fn block(transaction: &ReadTransaction, number: u64) -> Result<BlockRow, StoreError> {
    let row = match table(transaction, BLOCKS)? {
        Some(table) => table.get(number)?.map(|row| BlockRow::decode(number, row.value())),
        None => None,
    };
    row.unwrap_or_else(|| {
        Err(StoreError::Damaged(format!(
            "block {number} is referred to and not there"
        )))
    })
}

#[cfg(test)]
mod tests;
