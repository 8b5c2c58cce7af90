//! `settlement.redb`: steps of the safe head, and the games that claim the chain's blocks. Both can be had again from
//! op-node and L1.

use std::path::Path;

use alloy_primitives::{B256, Keccak256};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use set_chain::NumberedHash;
use set_index::{Layout, Opening, Store, StoreError, table};

const LAYOUT: Layout = Layout {
    name: "store of settlement",
    holds: "steps of the safe head and dispute games",
    version: 1,
    cache_bytes: 4 << 20,
    rebuildable: true,
};

/// Number of the safe block after a step → the rest of the [`Step`]. Neighbours leave nothing out between them.
const STEPS: TableDefinition<'_, u64, &[u8; STEP_LEN]> = TableDefinition::new("steps");
/// The same, for single steps that somebody asked for, below those of [`STEPS`].
const SEARCHED: TableDefinition<'_, u64, &[u8; STEP_LEN]> = TableDefinition::new("searched");
/// Index in the factory → what is known of the game, closed by a checksum.
const GAMES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("games");
/// [`SCOPE`] and [`GAMES_READ`] → what it says on them.
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const SCOPE: &str = "scope";
const GAMES_READ: &str = "games_read";

const CHECKSUM_LEN: usize = 8;
const STEP_LEN: usize = 8 * 2 + 32 * 2 + CHECKSUM_LEN;
/// Steps that are kept of those that somebody asked for.
const MAX_SEARCHED: u64 = 10_000;

/// The safe head's way from one L1 block to the next that moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Number of the safe block before it: the step made those behind it safe. Where it is unknown, the step's own,
    /// so that it covers nothing.
    pub(crate) behind: u64,
    /// The safe block after it.
    pub(crate) safe: NumberedHash,
    /// The L1 block.
    pub(crate) l1_block: NumberedHash,
}

impl Step {
    pub(crate) const fn covers(&self, block: u64) -> bool {
        self.behind < block && block <= self.safe.number
    }

    fn encode(&self) -> [u8; STEP_LEN] {
        let mut bytes = [0; STEP_LEN];
        bytes[..8].copy_from_slice(&self.behind.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.l1_block.number.to_be_bytes());
        bytes[16..48].copy_from_slice(self.l1_block.hash.as_slice());
        bytes[48..80].copy_from_slice(self.safe.hash.as_slice());
        let sum = checksum(self.safe.number, &bytes[..STEP_LEN - CHECKSUM_LEN]);
        bytes[STEP_LEN - CHECKSUM_LEN..].copy_from_slice(&sum);
        bytes
    }

    fn decode(safe: u64, bytes: &[u8; STEP_LEN]) -> Result<Self, StoreError> {
        let content = unsealed(safe, bytes)?;
        let number = |at: usize| {
            content[at..at + 8]
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        Ok(Self {
            behind: number(0),
            l1_block: NumberedHash {
                number: number(8),
                hash: B256::from_slice(&content[16..48]),
            },
            safe: NumberedHash {
                number: safe,
                hash: B256::from_slice(&content[48..80]),
            },
        })
    }
}

/// A row of [`GAMES`], as bytes of whoever understands them.
pub(crate) type GameRow = (u64, Vec<u8>);

/// The file. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct SettlementStore {
    store: Store,
    scope: B256,
}

impl SettlementStore {
    /// Opens the file, or a store in memory where `path` is `None`. A file of something else than `scope` is emptied.
    pub(crate) async fn open(path: Option<&Path>, scope: B256) -> Result<Self, StoreError> {
        let path = path.map(Path::to_owned);
        let opened = tokio::task::spawn_blocking(move || Store::open(path.as_deref(), LAYOUT)).await;
        let store = opened.map_err(|_| StoreError::Stopped)??;
        let opened = Self { store, scope };
        match opened.store.write(bind(scope)).await {
            Err(error) if error.is_damage() => opened.mend().await?,
            bound => bound?,
        }
        Ok(opened)
    }

    pub(crate) fn opening(&self) -> Opening {
        self.store.opening()
    }

    /// Puts an empty file in place of one that turned out to be damaged.
    pub(crate) async fn mend(&self) -> Result<(), StoreError> {
        self.store.mend(bind(self.scope)).await.map(drop)
    }

    /// For each block the step that made it safe, where it is known.
    pub(crate) async fn covering(&self, blocks: Vec<u64>) -> Result<Vec<Option<Step>>, StoreError> {
        self.store
            .read(move |transaction| {
                let tables = [table(transaction, STEPS)?, table(transaction, SEARCHED)?];
                let covering = |block: u64| {
                    for table in tables.iter().flatten() {
                        let next = table.range(block..)?.next().transpose()?;
                        if let Some((safe, row)) = next {
                            let step = Step::decode(safe.value(), row.value())?;
                            if step.covers(block) {
                                return Ok(Some(step));
                            }
                        }
                    }
                    Ok(None)
                };
                blocks.into_iter().map(covering).collect()
            })
            .await
    }

    /// The newest steps, the newest first.
    pub(crate) async fn newest_steps(&self, limit: usize) -> Result<Vec<Step>, StoreError> {
        self.store
            .read(move |transaction| {
                let Some(table) = table(transaction, STEPS)? else {
                    return Ok(Vec::new());
                };
                let rows = table.iter()?.rev().take(limit);
                rows.map(|row| {
                    let (safe, row) = row?;
                    Step::decode(safe.value(), row.value())
                })
                .collect()
            })
            .await
    }

    /// The oldest step of those without a gap, and how many there are.
    pub(crate) async fn oldest_step(&self) -> Result<(Option<Step>, u64), StoreError> {
        self.store
            .read(|transaction| {
                let Some(table) = table(transaction, STEPS)? else {
                    return Ok((None, 0));
                };
                let oldest = table.first()?;
                let oldest = oldest
                    .map(|(safe, row)| Step::decode(safe.value(), row.value()))
                    .transpose()?;
                Ok((oldest, table.len()?))
            })
            .await
    }

    /// Enters steps behind the newest, and forgets the oldest above `most`.
    pub(crate) async fn extend(&self, steps: Vec<Step>, most: u64) -> Result<(), StoreError> {
        self.store
            .write(move |transaction| {
                let mut table = transaction.open_table(STEPS)?;
                for step in steps {
                    table.retain_in(step.behind + 1.., |_, _| false)?;
                    table.insert(step.safe.number, &step.encode())?;
                }
                while table.len()? > most {
                    table.pop_first()?;
                }
                Ok(())
            })
            .await
    }

    /// Enters steps before the oldest.
    pub(crate) async fn prepend(&self, steps: Vec<Step>) -> Result<(), StoreError> {
        self.enter(STEPS, steps, u64::MAX).await
    }

    /// Enters a step that somebody asked for.
    pub(crate) async fn enter_searched(&self, step: Step) -> Result<(), StoreError> {
        self.enter(SEARCHED, vec![step], MAX_SEARCHED).await
    }

    async fn enter(
        &self,
        table: TableDefinition<'static, u64, &'static [u8; STEP_LEN]>,
        steps: Vec<Step>,
        most: u64,
    ) -> Result<(), StoreError> {
        self.store
            .write(move |transaction| {
                let mut table = transaction.open_table(table)?;
                for step in steps {
                    table.insert(step.safe.number, &step.encode())?;
                }
                while table.len()? > most {
                    table.pop_first()?;
                }
                Ok(())
            })
            .await
    }

    /// Takes back every step whose safe block has a number above this one; all of them with `None`.
    pub(crate) async fn take_back(&self, above: Option<u64>) -> Result<(), StoreError> {
        self.store
            .write(move |transaction| {
                let first = above.map_or(0, |above| above.saturating_add(1));
                for table in [STEPS, SEARCHED] {
                    transaction.open_table(table)?.retain_in(first.., |_, _| false)?;
                }
                Ok(())
            })
            .await
    }

    /// How far games were read, and the games that matter.
    pub(crate) async fn games(&self) -> Result<(Option<Vec<u8>>, Vec<GameRow>), StoreError> {
        self.store
            .read(|transaction| {
                let read = match table(transaction, FACTS)? {
                    Some(facts) => facts
                        .get(GAMES_READ)?
                        .map(|read| unsealed(0, read.value()).map(<[u8]>::to_vec)),
                    None => None,
                };
                let Some(games) = table(transaction, GAMES)? else {
                    return Ok((read.transpose()?, Vec::new()));
                };
                let rows = games.iter()?.map(|row| {
                    let (index, row) = row?;
                    Ok((index.value(), unsealed(index.value(), row.value())?.to_vec()))
                });
                Ok((read.transpose()?, rows.collect::<Result<_, StoreError>>()?))
            })
            .await
    }

    /// Writes how far games were read, and what changed with it.
    pub(crate) async fn write_games(
        &self,
        read: Vec<u8>,
        games: Vec<GameRow>,
        gone: Vec<u64>,
    ) -> Result<(), StoreError> {
        self.store
            .write(move |transaction: &WriteTransaction| {
                transaction
                    .open_table(FACTS)?
                    .insert(GAMES_READ, sealed(0, read).as_slice())?;
                let mut table = transaction.open_table(GAMES)?;
                for index in gone {
                    table.remove(index)?;
                }
                for (index, row) in games {
                    table.insert(index, sealed(index, row).as_slice())?;
                }
                Ok(())
            })
            .await
    }
}

/// Empties what is of something else than `scope`.
fn bind(scope: B256) -> impl FnOnce(&WriteTransaction) -> Result<(), StoreError> {
    move |transaction| {
        let mut facts = transaction.open_table(FACTS)?;
        let same = facts.get(SCOPE)?.is_some_and(|found| found.value() == scope.as_slice());
        if !same {
            facts.remove(GAMES_READ)?;
            for table in [STEPS, SEARCHED] {
                transaction.open_table(table)?.retain(|_, _| false)?;
            }
            transaction.open_table(GAMES)?.retain(|_, _| false)?;
            facts.insert(SCOPE, scope.as_slice())?;
        }
        Ok(())
    }
}

/// Of a row's content and the number that it stands under: a wrong hash must not be shown because a disk changed it.
fn checksum(key: u64, content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = Keccak256::new();
    hasher.update(key.to_be_bytes());
    hasher.update(content);
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM_LEN]);
    sum
}

fn sealed(key: u64, mut content: Vec<u8>) -> Vec<u8> {
    content.extend(checksum(key, &content));
    content
}

fn unsealed(key: u64, row: &[u8]) -> Result<&[u8], StoreError> {
    row.split_last_chunk::<CHECKSUM_LEN>()
        .filter(|(content, sum)| **sum == checksum(key, content))
        .map(|(content, _)| content)
        .ok_or_else(|| StoreError::Damaged(format!("row {key} of settlement has changed")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn steps_round_trip_and_a_changed_byte_shows(
            behind: u64, safe: u64, l1: u64, hashes: [[u8; 32]; 2], at: usize, bit in 1u8..,
        ) {
            let [safe_hash, l1_hash] = hashes.map(B256::from);
            let step = Step {
                behind,
                safe: NumberedHash { number: safe, hash: safe_hash },
                l1_block: NumberedHash { number: l1, hash: l1_hash },
            };
            let mut bytes = step.encode();
            prop_assert_eq!(Step::decode(safe, &bytes).unwrap(), step);
            bytes[at % STEP_LEN] ^= bit;
            prop_assert!(Step::decode(safe, &bytes).unwrap_err().is_damage());
        }
    }

    #[tokio::test]
    async fn a_file_of_something_else_is_emptied_and_a_file_of_the_same_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settlement.redb");
        let step = Step {
            behind: 3,
            safe: NumberedHash {
                number: 9,
                hash: B256::repeat_byte(9),
            },
            l1_block: NumberedHash {
                number: 2,
                hash: B256::repeat_byte(2),
            },
        };
        let open = |scope: u8| SettlementStore::open(Some(&path), B256::repeat_byte(scope));
        let store = open(1).await.unwrap();
        store.extend(vec![step], 10).await.unwrap();
        store.write_games(vec![7], vec![(4, vec![1, 2])], vec![]).await.unwrap();
        drop(store);

        let store = open(1).await.unwrap();
        let covering = store.covering(vec![3, 4, 9, 10]).await.unwrap();
        assert_eq!(covering, [None, Some(step), Some(step), None]);
        assert_eq!(store.games().await.unwrap(), (Some(vec![7]), vec![(4, vec![1, 2])]));
        drop(store);

        let store = open(2).await.unwrap();
        assert_eq!(store.covering(vec![4]).await.unwrap(), [None]);
        assert_eq!(store.games().await.unwrap(), (None, vec![]));
    }
}
