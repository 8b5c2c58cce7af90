//! What op-geth writes, asked of op-geth itself.

use std::{path::Path, time::Duration};

use alloy::{consensus::TxEip1559, network::ReceiptResponse, providers::Provider, signers::local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes, hex, keccak256};
use serde_json::{Value, json};
use set_chain::L2Provider;
use set_testkit::{
    Anvil,
    op_stack::{LoneGeth, OpStack, Parts, Receipt, signed, transaction},
};
use tokio::time::{interval, timeout};

use super::{
    Outcome::{self, Accepted, Rejected},
    Rejection::{
        InsufficientFunds, Invalid, NodeFeeCap, NonceTooLow, PoolLimit, Refused, ReplacementUnderpriced, Underpriced,
    },
    classify,
};
use crate::fees::FeeTerms;

const GWEI: u128 = 1_000_000_000;
/// Longest wait for a block or a pool.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something.
async fn awaited<T, L: Future<Output = Option<T>>>(look: impl Fn() -> L) -> T {
    let mut looks = interval(Duration::from_millis(50));
    let looking = async {
        loop {
            looks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    timeout(PATIENCE, looking).await.unwrap()
}

/// What a node makes of bytes.
async fn offer(provider: &L2Provider, raw: &Bytes) -> Outcome {
    let sent = provider
        .client()
        .request::<_, B256>("eth_sendRawTransaction", (raw,))
        .await;
    match sent {
        Ok(_) => Accepted,
        Err(error) => classify(&error),
    }
}

/// Checks that a node refuses a transaction for that reason, in those words.
async fn refused(node: &L2Provider, key: &PrivateKeySigner, tx: TxEip1559, why: super::Rejection, words: &str) {
    match offer(node, &signed(tx, key)).await {
        Rejected(rejection, cause) => {
            assert_eq!(rejection, why, "{cause}");
            assert!(cause.contains(words), "`{words}` is not in `{cause}`");
        }
        outcome => panic!("`{words}`: {outcome:?}"),
    }
}

/// Waits until so many transactions are ready in the pool.
async fn ready(node: &L2Provider, count: u64) {
    awaited(|| async {
        let status: Value = node.raw_request("txpool_status".into(), ()).await.unwrap();
        (status["pending"] == format!("{count:#x}")).then_some(())
    })
    .await;
}

/// The receipt of what a block takes.
async fn receipt(node: &L2Provider, raw: &Bytes) -> Receipt {
    awaited(|| async { node.get_transaction_receipt(keccak256(raw)).await.unwrap() }).await
}

fn is_pooled(node: &L2Provider, raw: &Bytes) -> impl Future<Output = bool> {
    let asked = node.get_transaction_by_hash(keccak256(raw));
    async move { asked.await.unwrap().is_some() }
}

/// The chain's first block with an account that carries a delegation, as a file beside it.
fn with_delegation(genesis: &Path, account: Address) -> std::path::PathBuf {
    let mut content: Value = serde_json::from_slice(&std::fs::read(genesis).unwrap()).unwrap();
    let code = [&hex!("ef0100"), Address::repeat_byte(0x42).as_slice()].concat();
    let state = json!({ "balance": U256::from(10).pow(U256::from(20)), "code": Bytes::from(code) });
    content["alloc"][format!("{account:x}")] = state;
    let file = genesis.with_file_name("delegating.json");
    std::fs::write(&file, content.to_string()).unwrap();
    file
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn every_text_of_op_geth_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path()).parts(Parts::NODE).start().await.unwrap();
    what_a_node_never_takes(&stack).await;
    what_a_node_does_not_take_now(&stack).await;
    replacements(&stack).await;
    let genesis = dir.path().join("genesis.json");
    small_pools(dir.path(), &genesis).await;
}

async fn what_a_node_never_takes(stack: &OpStack) {
    let node = stack.provider();
    let key = Anvil::account(1);
    let refused = |tx, words| refused(node, &key, tx, Invalid, words);
    let with_gas = |gas_limit| TxEip1559 {
        gas_limit,
        ..transaction()
    };
    refused(with_gas(20_000), "intrinsic gas too low").await;
    // A deposit's share of the block is nobody else's.
    refused(with_gas(30_000_000 - 69_999), "exceeds block gas limit").await;
    let data = TxEip1559 {
        input: vec![1; 1_000].into(),
        ..with_gas(40_000)
    };
    refused(data, "floor data gas").await;
    let huge = TxEip1559 {
        input: vec![0; 131_072].into(),
        ..with_gas(20_000_000)
    };
    refused(huge, "oversized data").await;
    let creation = TxEip1559 {
        to: TxKind::Create,
        input: vec![0; 49_153].into(),
        ..with_gas(20_000_000)
    };
    refused(creation, "max initcode size exceeded").await;
    let tip = TxEip1559 {
        max_priority_fee_per_gas: 2 * GWEI,
        max_fee_per_gas: GWEI,
        ..transaction()
    };
    refused(tip, "max priority fee per gas higher than max fee per gas").await;
    let elsewhere = TxEip1559 {
        chain_id: 1,
        ..transaction()
    };
    refused(elsewhere, "chain id").await;
    let last = TxEip1559 {
        nonce: u64::MAX,
        ..transaction()
    };
    refused(last, "nonce has max value").await;

    // A deposit, which only L1 can make.
    let latest = node.get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap();
    let first = latest.transactions.hashes().next().unwrap();
    let deposit: Bytes = node
        .raw_request("eth_getRawTransactionByHash".into(), (first,))
        .await
        .unwrap();
    match offer(node, &deposit).await {
        Rejected(Invalid, cause) => assert!(cause.contains("transaction type not supported"), "{cause}"),
        outcome => panic!("{outcome:?}"),
    }
    let unknown = node
        .client()
        .request_noparams::<B256>("eth_sendRawTransactionOfNobody")
        .await;
    match classify(&unknown.unwrap_err()) {
        Rejected(Refused, cause) => assert!(cause.contains("does not exist/is not available"), "{cause}"),
        outcome => panic!("{outcome:?}"),
    }
}

async fn what_a_node_does_not_take_now(stack: &OpStack) {
    let node = stack.provider();
    let key = Anvil::account(1);
    let no_tip = TxEip1559 {
        max_priority_fee_per_gas: 0,
        ..transaction()
    };
    let words = "transaction gas price below minimum: gas tip cap 0, minimum needed 1";
    refused(node, &key, no_tip, Underpriced, words).await;
    let dear = TxEip1559 {
        gas_limit: 20_000_000,
        max_fee_per_gas: 100 * GWEI,
        ..transaction()
    };
    let words = "tx fee (2.00 ether) exceeds the configured cap (1.00 ether)";
    refused(node, &key, dear, NodeFeeCap, words).await;
    let poor = PrivateKeySigner::random();
    let words = "insufficient funds for gas * price + value: balance 0, tx cost";
    refused(node, &poor, transaction(), InsufficientFunds, words).await;

    // One below the base fee is taken, and waits.
    let cheap = TxEip1559 {
        nonce: 0,
        max_fee_per_gas: 1,
        ..transaction()
    };
    let cheap = signed(cheap, &Anvil::account(3));
    assert_eq!(offer(node, &cheap).await, Accepted);

    let raw = signed(transaction(), &key);
    assert_eq!(offer(node, &raw).await, Accepted);
    receipt(node, &raw).await;
    // The pool learns of the block after the receipt is there; then only what waits is left in it.
    ready(node, 1).await;
    let words = "nonce too low: next nonce 1, tx nonce 0";
    refused(node, &key, transaction(), NonceTooLow, words).await;
    assert!(is_pooled(node, &cheap).await);
}

/// Behind a gap, where no block takes what is being compared.
async fn replacements(stack: &OpStack) {
    let node = stack.provider();
    let key = Anvil::account(2);
    let at = |terms: FeeTerms| TxEip1559 {
        nonce: 5,
        max_priority_fee_per_gas: terms.tip,
        max_fee_per_gas: terms.cap,
        ..transaction()
    };
    let first = FeeTerms {
        tip: GWEI + 7,
        cap: 3 * GWEI + 7,
    };
    let raw = signed(at(first), &key);
    assert_eq!(offer(node, &raw).await, Accepted);
    assert_eq!(offer(node, &raw).await, Accepted, "already known");

    let market = FeeTerms { tip: 1, cap: 2 };
    let bumped = first.bumped(market);
    let a_twentieth = |price: u128| price + price / 20;
    for too_little in [
        FeeTerms {
            tip: a_twentieth(first.tip),
            cap: a_twentieth(first.cap),
        },
        FeeTerms {
            tip: first.tip,
            cap: bumped.cap,
        },
        FeeTerms {
            tip: bumped.tip,
            cap: first.cap,
        },
    ] {
        let words = "replacement transaction underpriced";
        refused(node, &key, at(too_little), ReplacementUnderpriced, words).await;
    }
    assert_eq!(offer(node, &signed(at(bumped), &key)).await, Accepted);
    assert!(!is_pooled(node, &raw).await);
    assert_eq!(node.get_transaction_count(key.address()).pending().await.unwrap(), 0);
}

/// Pools of two transactions: one that says what it does not take, and one as op-geth is by default, which says
/// of what it does not take for now that it has it.
async fn small_pools(dir: &Path, genesis: &Path) {
    let delegating = PrivateKeySigner::random();
    let genesis = with_delegation(genesis, delegating.address());
    let small = [
        "--txpool.globalslots",
        "1",
        "--txpool.globalqueue",
        "1",
        "--txpool.maxtxgas",
        "9000000",
    ];
    let plain = [&small[..], &["--txpool.nolocals"]].concat();
    let plain = LoneGeth::start(&dir.join("plain"), &genesis, plain).await.unwrap();
    let node = plain.provider();
    let with_nonce = |nonce| TxEip1559 { nonce, ..transaction() };
    let words = "gapped-nonce tx from delegated accounts";
    refused(node, &delegating, with_nonce(1), PoolLimit, words).await;
    assert_eq!(offer(node, &signed(transaction(), &delegating)).await, Accepted);
    ready(node, 1).await;
    let words = "in-flight transaction limit reached for delegated accounts";
    refused(node, &delegating, with_nonce(1), PoolLimit, words).await;

    let large = TxEip1559 {
        gas_limit: 9_000_001,
        ..transaction()
    };
    let words = "exceeds maximum per-transaction gas limit";
    refused(node, &Anvil::account(0), large, Invalid, words).await;
    // Dearer than what is in the pool, and larger than the pool.
    let four_slots = TxEip1559 {
        gas_limit: 6_000_000,
        max_priority_fee_per_gas: 2 * GWEI,
        input: vec![1; 100_000].into(),
        ..transaction()
    };
    refused(
        node,
        &Anvil::account(0),
        four_slots.clone(),
        PoolLimit,
        "txpool is full",
    )
    .await;
    assert_eq!(offer(node, &signed(transaction(), &Anvil::account(0))).await, Accepted);
    ready(node, 2).await;
    let cheaper = TxEip1559 {
        max_fee_per_gas: 2 * GWEI,
        ..transaction()
    };
    refused(
        node,
        &Anvil::account(1),
        cheaper,
        Underpriced,
        "transaction underpriced",
    )
    .await;
    let dearer = TxEip1559 {
        max_priority_fee_per_gas: 2 * GWEI,
        ..with_nonce(3)
    };
    let words = "future transaction tries to replace pending";
    refused(node, &Anvil::account(1), dearer, PoolLimit, words).await;

    let default = LoneGeth::start(&dir.join("default"), &genesis, small).await.unwrap();
    let raw = signed(four_slots, &Anvil::account(0));
    assert_eq!(offer(default.provider(), &raw).await, Accepted);
    let status: Value = default
        .provider()
        .raw_request("txpool_status".into(), ())
        .await
        .unwrap();
    assert_eq!(status, json!({ "pending": "0x0", "queued": "0x0" }));
}

/// From Karst on a transaction may have so much gas and no more.
#[tokio::test]
#[ignore = "needs op-stack/build karst; scripts/test op-stack runs it"]
async fn the_gas_cap_of_karst_is_understood_and_is_the_configurations() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path())
        .karst()
        .parts(Parts::NODE)
        .start()
        .await
        .unwrap();
    let node = stack.provider();
    awaited(|| async { (node.get_block_number().await.unwrap() >= 4).then_some(()) }).await;
    let key = Anvil::account(1);
    // Uses all of its gas, whatever that is.
    let endless = |gas_limit| TxEip1559 {
        to: TxKind::Create,
        input: bytes!("5b600056"),
        gas_limit,
        ..transaction()
    };
    let words = "transaction gas limit too high (cap: 16777216, tx: 16777217)";
    refused(node, &key, endless(16_777_217), Invalid, words).await;
    let raw = signed(endless(16_777_216), &key);
    assert_eq!(offer(node, &raw).await, Accepted);
    assert_eq!(receipt(node, &raw).await.gas_used(), 16_777_216);
    let config = |max_gas| crate::TxConfig {
        max_gas,
        ..crate::TxConfig::default()
    };
    assert_eq!(config(16_777_216).validate(), []);
    assert_eq!(config(16_777_217).validate()[0].key, "max_gas");
}
