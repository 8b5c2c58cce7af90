//! Can settlement proofs be made? Games on L1 claim blocks about as old as the finalized one.

use alloy::{
    eips::{BlockNumHash, BlockNumberOrTag},
    providers::Provider,
};
use set_chain::{L2Provider, transport_cause};
use set_settlement::capture::STATE_SETTING;

use super::report::Finding;
use crate::{assembly, config::Config};

const CHECK: &str = "proofs";

/// Asks for a proof at the finalized block.
pub(crate) async fn check(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    vec![prove(config, provider).await]
}

async fn prove(config: &Config, provider: &L2Provider) -> Finding {
    let key = if config.chain.proof_url.is_some() {
        "chain.proof_url"
    } else {
        "chain.rpc_urls"
    };
    if config.l1.rpc_url.is_none() {
        return Finding::skipped(CHECK, key, "no proofs are kept without `l1.rpc_url`");
    }
    let prover = match assembly::prover(config) {
        Ok(prover) => prover,
        Err(error) => return Finding::problem(CHECK, key, format!("{error:#}"), format!("correct `{key}`")),
    };
    let finalized = match provider.get_block_by_number(BlockNumberOrTag::Finalized).await {
        Ok(Some(block)) => block.header,
        Ok(None) => return Finding::skipped(CHECK, key, "the node knows no finalized block"),
        Err(error) => {
            let found = format!("no node could be asked: {}", transport_cause(&error));
            return Finding::skipped(CHECK, key, found);
        }
    };
    let block = BlockNumHash {
        number: finalized.number,
        hash: finalized.hash,
    };
    match prover.probe(block).await {
        Ok(()) => Finding::ok(
            CHECK,
            key,
            format!("eth_getProof answers at the finalized block {}", block.number),
        ),
        Err(error) if error.is_pruned() => Finding::problem(CHECK, key, error.to_string(), STATE_SETTING),
        Err(error) => Finding::problem(
            CHECK,
            key,
            error.to_string(),
            format!("does the node serve eth_getProof? Else {STATE_SETTING}"),
        ),
    }
}
