//! op-node and L1, where they are configured: do they answer, and are they of this chain?

use std::time::Duration;

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    providers::Provider,
};
use set_chain::{BlockRef, L2Provider, OpNode, SafeHeads, SyncStatus, transport_cause};
use set_settlement::{
    L1Access,
    l1::{self, Contracts},
};
use url::Url;

use super::report::{Finding, within};
use crate::{config::Config, settling};

/// Looks at both at the same time.
pub(crate) async fn check(config: &Config, provider: &L2Provider, deadline: Duration) -> Vec<Finding> {
    let (op_node, l1) = tokio::join!(
        within(
            deadline,
            "op-node",
            "chain.op_node_url",
            check_op_node(config, provider)
        ),
        within(config.l1.rpc_timeout * 2, "l1", "l1.rpc_url", check_l1(config)),
    );
    [op_node, l1].concat()
}

async fn check_op_node(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let op_node = match settling::op_node(config) {
        Ok(Some(op_node)) => op_node,
        Ok(None) => return vec![],
        Err(error) => {
            let advice = "correct `chain.op_node_url`";
            return vec![Finding::problem(
                "op-node",
                "chain.op_node_url",
                format!("{error:#}"),
                advice,
            )];
        }
    };
    let shown = op_node.endpoint().to_owned();
    let (chains, status) = tokio::join!(op_node.chains(), op_node.sync_status());
    let (chains, status) = match (chains, status) {
        (Ok(chains), Ok(status)) => (chains, status),
        (Err(error), _) | (_, Err(error)) => {
            let advice = "is op-node running, and is this its RPC (--rpc.port)? Correct `chain.op_node_url`";
            return vec![Finding::problem("op-node", shown, error.to_string(), advice)];
        }
    };
    let mut findings = vec![];
    for (key, chain, found, expected) in [
        ("chain.id", "the L2", chains.l2, config.chain.id),
        ("l1.chain_id", "L1", chains.l1, config.l1.chain_id),
    ] {
        findings.push(if found == expected {
            Finding::ok("op-node", shown.as_str(), format!("{chain} is chain {found}"))
        } else {
            let words = format!("it is configured for chain {found} as {chain}, `{key}` is {expected}");
            let advice = format!("give this chain's op-node in `chain.op_node_url`, or correct `{key}`");
            Finding::problem("op-node", shown.as_str(), words, advice)
        });
    }
    findings.push(safe_block(provider, &shown, &status).await);
    findings.push(safe_heads(&op_node, &shown, &status).await);
    findings
}

/// Whether the node has the block that op-node calls safe: only then is op-node's word taken.
async fn safe_block(provider: &L2Provider, shown: &str, status: &SyncStatus) -> Finding {
    let Some(BlockRef { number, hash, .. }) = status.safe_l2 else {
        let advice = "wait until op-node has derived the chain from L1";
        return Finding::problem("op-node", shown, "it knows no safe block yet", advice);
    };
    let found = provider.get_block_by_number(BlockNumberOrTag::Number(number)).await;
    match found {
        Ok(Some(block)) if block.header.hash == hash => {
            Finding::ok("op-node", shown, format!("block {number} is safe, and the node has it"))
        }
        Ok(_) => Finding::problem(
            "op-node",
            shown,
            format!("it calls block {number} ({hash}) safe, which the node does not have"),
            "are `chain.rpc_urls` and `chain.op_node_url` of one chain, and has the node caught up?",
        ),
        Err(error) => Finding::skipped("op-node", shown, transport_cause(&error)),
    }
}

/// Whether op-node remembers its safe head. It need not: less is known then, and nothing else.
async fn safe_heads(op_node: &OpNode, shown: &str, status: &SyncStatus) -> Finding {
    let tip = status.current_l1.map_or(0, |block| block.number);
    match op_node.safe_heads(&[tip]).await {
        Ok(SafeHeads::Kept(_)) => Finding::ok("op-node", shown, "it tells which L1 block made a block safe"),
        Ok(SafeHeads::NotKept) => {
            let found =
                "`safeL1Block` stays null: start op-node with --safedb.path to know which L1 block made a block safe";
            Finding::ok("op-node", shown, found)
        }
        Err(error) => Finding::problem("op-node", shown, error.to_string(), "look at op-node's log"),
    }
}

async fn check_l1(config: &Config) -> Vec<Finding> {
    let (Some(url), Ok(Some(access))) = (&config.l1.rpc_url, settling::l1_access(config)) else {
        return vec![];
    };
    let shown = url
        .parse::<Url>()
        .map_or_else(|_| "l1.rpc_url".to_owned(), |url| url.origin().ascii_serialization());
    let found = match access.provider.get_chain_id().await {
        Ok(found) => found,
        Err(error) => {
            let advice = "is the node running, and is this its RPC? Correct `l1.rpc_url`";
            return vec![Finding::problem("l1", shown, transport_cause(&error), advice)];
        }
    };
    if found != access.chain_id {
        let words = format!("the node serves chain {found}, `l1.chain_id` is {}", access.chain_id);
        let advice = "give an L1 node in `l1.rpc_url`, or correct `l1.chain_id`";
        return vec![Finding::problem("l1", shown, words, advice)];
    }
    vec![
        Finding::ok("l1", shown.as_str(), format!("chain {found}")),
        finality(&access, &shown).await,
        games(&access, &shown).await,
    ]
}

/// What is proven is read at L1's finalized block.
async fn finality(access: &L1Access, shown: &str) -> Finding {
    match l1::block(&access.provider, BlockNumberOrTag::Finalized).await {
        Ok(block) => Finding::ok("l1", shown, format!("finalized up to block {}", block.number)),
        Err(error) => {
            let advice = "wait until the node has caught up, or give one that follows the beacon chain";
            Finding::problem("l1", shown, format!("it names no finalized block: {error}"), advice)
        }
    }
}

async fn games(access: &L1Access, shown: &str) -> Finding {
    let games = async {
        let contracts = Contracts::of(&access.provider, access.portal, BlockId::latest()).await?;
        contracts.game_count(&access.provider, BlockId::latest()).await
    };
    match games.await {
        Ok(count) => Finding::ok("l1", shown, format!("the portal's factory lists {count} dispute games")),
        Err(error) => {
            let advice = "give the proxy of the chain's OptimismPortal in `l1.portal`";
            Finding::problem("l1", shown, error.to_string(), advice)
        }
    }
}
