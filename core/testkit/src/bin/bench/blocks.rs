//! What blocks hold, read back from the chain.

use std::collections::{HashMap, hash_map::Entry};

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolEvent;
use eyre::{Result, bail, ensure, eyre};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry::{BatchCommitted, BatchSkipped};
use set_testkit::{Contracts, Rpc};

/// The type of transactions that L1 has the chain make (specification, Deposits).
const DEPOSIT: &str = "0x7e";

/// A transaction that commits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitCall {
    pub(crate) gas_used: u64,
    pub(crate) gas_limit: u64,
    /// Its signed bytes after Fjord's compression estimate.
    pub(crate) estimated_bytes: u64,
}

/// A block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) gas_limit: u64,
    /// Gas that deposit transactions used: they come first, and nobody can have their room.
    pub(crate) deposit_gas: u64,
    /// DA footprint as the header says it (specification, Jovian: in `blobGasUsed`); 0 where the chain counts none.
    pub(crate) da_footprint: u64,
    /// In wei per gas.
    pub(crate) base_fee: f64,
    /// What commits, in order.
    pub(crate) calls: Vec<CommitCall>,
}

impl Block {
    /// Gas that commitments used, of the block's limit.
    pub(crate) fn share(&self) -> f64 {
        let used: u64 = self.calls.iter().map(|call| call.gas_used).sum();
        used as f64 / self.gas_limit as f64
    }

    /// Gas that commitments used, of what deposits leave of the block's limit.
    pub(crate) fn available_share(&self) -> f64 {
        self.share() * self.gas_limit as f64 / (self.gas_limit - self.deposit_gas) as f64
    }

    /// DA footprint, of the most that a block may have: its gas limit. Deposits have none.
    pub(crate) fn footprint_share(&self) -> f64 {
        self.da_footprint as f64 / self.gas_limit as f64
    }
}

/// The blocks of a run.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// From the first that commits to the last.
    pub(crate) blocks: Vec<Block>,
    /// Ids that were committed, each with its block.
    pub(crate) committed: HashMap<B256, u64>,
}

impl Blocks {
    /// Reads everything after the contracts' block.
    ///
    /// # Errors
    /// If a commitment is on the chain twice, a call failed or skipped one, or nothing was committed.
    pub(crate) async fn read(rpc: &Rpc, contracts: &Contracts) -> Result<Self> {
        let newest = quantity(&rpc.call("eth_blockNumber", json!([])).await?)?;
        let mut read = Self {
            blocks: vec![],
            committed: HashMap::new(),
        };
        for number in contracts.block + 1..=newest {
            let block = read.block(rpc, number, contracts.registry).await?;
            read.blocks.push(block);
        }
        let commits = |block: &Block| !block.calls.is_empty();
        let first = read
            .blocks
            .iter()
            .position(commits)
            .ok_or_else(|| eyre!("no block holds a commitment"))?;
        let last = read.blocks.iter().rposition(commits).unwrap_or(first);
        read.blocks.truncate(last + 1);
        read.blocks.drain(..first);
        Ok(read)
    }

    async fn block(&mut self, rpc: &Rpc, number: u64, registry: Address) -> Result<Block> {
        let tag = format!("{number:#x}");
        let header = rpc.call("eth_getBlockByNumber", json!([tag, true])).await?;
        let mut block = Block {
            gas_limit: quantity(&header["gasLimit"])?,
            deposit_gas: 0,
            da_footprint: header.get("blobGasUsed").map_or(Ok(0), quantity)?,
            base_fee: quantity(&header["baseFeePerGas"])? as f64,
            calls: vec![],
        };
        let transactions = header["transactions"].as_array().cloned().unwrap_or_default();
        let deposits = transactions.iter().filter(|transaction| transaction["type"] == DEPOSIT);
        let deposits = deposits.map(|deposit| json!([deposit["hash"]])).collect();
        for receipt in rpc.batch("eth_getTransactionReceipt", deposits).await? {
            block.deposit_gas += quantity(&receipt["gasUsed"])?;
        }
        let to_registry =
            |transaction: &&Value| transaction["to"].as_str().and_then(|to| to.parse().ok()) == Some(registry);
        let ours: Vec<_> = transactions.iter().filter(to_registry).collect();
        let hashes = || {
            ours.iter()
                .map(|transaction| json!([transaction["hash"]]))
                .collect::<Vec<_>>()
        };
        let receipts = rpc.batch("eth_getTransactionReceipt", hashes()).await?;
        let raw = rpc.batch("eth_getRawTransactionByHash", hashes()).await?;
        for ((transaction, receipt), raw) in ours.iter().zip(receipts).zip(raw) {
            let hash = &transaction["hash"];
            ensure!(
                receipt["status"] == "0x1",
                "transaction {hash} in block {number} failed"
            );
            let raw: Bytes = serde_json::from_value(raw)?;
            block.calls.push(CommitCall {
                gas_used: quantity(&receipt["gasUsed"])?,
                gas_limit: quantity(&transaction["gas"])?,
                estimated_bytes: set_chain::estimated_size(&raw),
            });
            for log in receipt["logs"].as_array().into_iter().flatten() {
                let topic: B256 = serde_json::from_value(log["topics"][0].clone())?;
                ensure!(
                    topic != BatchSkipped::SIGNATURE_HASH,
                    "transaction {hash} skipped {}",
                    log["topics"][1]
                );
                if topic == BatchCommitted::SIGNATURE_HASH {
                    let id: B256 = serde_json::from_value(log["topics"][1].clone())?;
                    match self.committed.entry(id) {
                        Entry::Occupied(_) => bail!("batch {id} is on the chain twice"),
                        Entry::Vacant(entry) => entry.insert(number),
                    };
                }
            }
        }
        Ok(block)
    }

    /// The block that holds a batch.
    pub(crate) fn block_of(&self, id: B256) -> Option<u64> {
        self.committed.get(&id).copied()
    }

    /// Blocks between the first and the last, which a backlog fills.
    pub(crate) fn between(&self) -> &[Block] {
        match self.blocks.len() {
            0..=2 => &[],
            count => &self.blocks[1..count - 1],
        }
    }

    /// Blocks without a commitment between those with some.
    pub(crate) fn skipped(&self) -> usize {
        self.blocks.iter().filter(|block| block.calls.is_empty()).count()
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = CommitCall> + '_ {
        self.blocks.iter().flat_map(|block| block.calls.iter().copied())
    }

    /// The last block's base fee, in units of the first's.
    pub(crate) fn base_fee_drift(&self) -> f64 {
        let ends = self.blocks.first().zip(self.blocks.last());
        ends.map_or(1.0, |(first, last)| last.base_fee / first.base_fee)
    }

    /// Gas of a commitment, on average.
    pub(crate) fn gas_per_commitment(&self) -> f64 {
        self.calls().map(|call| call.gas_used).sum::<u64>() as f64 / self.committed.len() as f64
    }

    /// How much of its gas limit a call leaves unused, on average.
    pub(crate) fn unused_gas(&self) -> f64 {
        let (used, limit) = self.calls().fold((0, 0), |(used, limit), call| {
            (used + call.gas_used, limit + call.gas_limit)
        });
        1.0 - used as f64 / limit as f64
    }
}

pub(crate) fn quantity(value: &Value) -> Result<u64> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let digits = digits.ok_or_else(|| eyre!("the chain answers {value} instead of a number"))?;
    Ok(u64::from_str_radix(digits, 16)?)
}
