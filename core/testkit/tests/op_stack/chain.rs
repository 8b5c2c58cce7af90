//! The OP Stack chain that tests and the devnet run: it settles down to L1, keeps its data, changes its fees, and
//! leaves nothing behind.

use std::{path::Path, time::Duration};

use alloy::{
    eips::BlockNumberOrTag::{self, Finalized, Latest, Safe},
    providers::Provider,
};
use alloy_primitives::{Address, U256, address};
use alloy_sol_types::{SolCall, SolValue, sol};
use serde_json::{Value, json};
use set_testkit::{
    Anvil, OpStack, Rpc, RpcFailure, deploy_on,
    op_stack::{ALPHABET_GAME, L1_CHAIN_ID, SystemConfigChange},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where a chain sees what SystemConfig says.
const L1_BLOCK: Address = address!("0x4200000000000000000000000000000000000015");

sol! {
    function gameAtIndex(uint256 index) returns (uint32, uint64, address);
    function gameCount() returns (uint256);
    function l2BlockNumber() returns (uint256);
    function status() returns (uint8);
    function operatorFeeScalar() returns (uint32);
    function operatorFeeConstant() returns (uint64);
    function daFootprintGasScalar() returns (uint16);
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_chain_settles_keeps_its_data_and_follows_its_system_config() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path()).start().await.unwrap();
    settles(&stack).await;
    is_resolved(&stack).await;
    keeps_its_data(&stack).await;
    follows_its_system_config(&stack).await;

    let mut processes: Vec<_> = stack.parts().map(|part| part.process().id()).collect();
    assert_eq!(processes.len(), 5);
    processes.push(stack.l1.process().id());
    drop(stack);
    for process in processes {
        assert!(
            !Path::new("/proc").join(process.to_string()).exists(),
            "{process} still runs"
        );
    }
}

/// Contracts go onto the chain; their block becomes safe, then final, and op-node names the L1 block that carries it.
async fn settles(stack: &OpStack) {
    let contracts = deploy_on(stack.provider(), Anvil::account(1).address()).await.unwrap();
    let code = stack.provider().get_code_at(contracts.registry).await.unwrap();
    assert!(!code.is_empty());
    for tag in [Safe, Finalized] {
        let awaited = format!("the contracts' block is {tag}");
        until(stack, &awaited, async || height(stack, tag).await >= contracts.block).await;
    }
    assert!(height(stack, Finalized).await <= height(stack, Safe).await);
    let l1 = stack.l1.block_number().await.unwrap();
    let node = Rpc::new(stack.node_url().clone());
    let carried = node
        .call("optimism_safeHeadAtL1Block", json!([format!("{l1:#x}")]))
        .await
        .unwrap();
    assert!(carried["l1Block"]["number"].as_u64().unwrap() <= l1, "{carried}");
    assert!(
        carried["safeHead"]["number"].as_u64().unwrap() >= contracts.block,
        "{carried}"
    );
    let id: U256 = stack.l1.call("eth_chainId", ()).await.unwrap();
    assert_eq!(id, U256::from(L1_CHAIN_ID));
}

/// The first game claims a block of the chain, and is won by the proposer who opened it.
async fn is_resolved(stack: &OpStack) {
    let factory = stack.contracts.dispute_game_factory;
    let count = async || ask::<gameCountCall>(&stack.l1, factory, gameCountCall {}).await;
    until(stack, "a game", async || count().await > U256::ZERO).await;
    let game = gameAtIndexCall { index: U256::ZERO };
    let (kind, _, game) =
        <(u32, u64, Address)>::abi_decode_params(&l1_call(&stack.l1, factory, game.abi_encode()).await).unwrap();
    assert_eq!(kind, ALPHABET_GAME);
    let claimed = ask::<l2BlockNumberCall>(&stack.l1, game, l2BlockNumberCall {}).await;
    // op-proposer had it from op-node, whose word reaches op-geth a little later.
    let status = Rpc::new(stack.node_url().clone())
        .call("optimism_syncStatus", json!([]))
        .await
        .unwrap();
    let safe = status["safe_l2"]["number"].as_u64().unwrap();
    assert!(claimed > U256::ZERO && claimed <= U256::from(safe), "{claimed} {safe}");
    const DEFENDER_WINS: u8 = 2;
    let status = async || ask::<statusCall>(&stack.l1, game, statusCall {}).await;
    until(stack, "the game is won", async || status().await == DEFENDER_WINS).await;
}

/// Each program, killed, starts again where it was, and what requires it with it. op-geth may have lost its newest
/// blocks then, and the chain makes them again.
async fn keeps_its_data(stack: &OpStack) {
    for part in stack.parts() {
        let before = height(stack, Latest).await;
        let finalized = height(stack, Finalized).await;
        stack.restart(part).await.unwrap_or_else(|error| panic!("{error}"));
        let kept = height(stack, Latest).await;
        let name = part.name();
        assert!(
            kept >= finalized,
            "{name} killed: of {finalized} finalized blocks {kept} are left"
        );
        let awaited = format!("a block after {before}, {name} having been killed");
        until(stack, &awaited, async || height(stack, Latest).await > before).await;
    }
    let safe = height(stack, Safe).await;
    until(stack, "a new safe block", async || height(stack, Safe).await > safe).await;
}

async fn follows_its_system_config(stack: &OpStack) {
    let operator_fee = SystemConfigChange::OperatorFee {
        scalar: 4321,
        constant: 987_654_321,
    };
    stack.change_system_config(operator_fee).await.unwrap();
    let constant = operatorFeeConstantCall {}.abi_encode();
    until(stack, "the new operator fee", async || {
        l2_word(stack, &constant).await == U256::from(987_654_321)
    })
    .await;
    let scalar = operatorFeeScalarCall {}.abi_encode();
    assert_eq!(l2_word(stack, &scalar).await, U256::from(4321));

    let footprint = SystemConfigChange::DaFootprintGasScalar(777);
    stack.change_system_config(footprint).await.unwrap();
    let scalar = daFootprintGasScalarCall {}.abi_encode();
    until(stack, "the new footprint scalar", async || {
        l2_word(stack, &scalar).await == U256::from(777)
    })
    .await;

    let least = SystemConfigChange::MinBaseFee(3_000_000_000);
    stack.change_system_config(least).await.unwrap();
    let price = async || stack.provider().get_gas_price().await.unwrap();
    until(stack, "the new least base fee", async || price().await >= 3_000_000_000).await;

    let limit = SystemConfigChange::GasLimit(40_000_000);
    stack.change_system_config(limit).await.unwrap();
    until(stack, "the new gas limit", async || {
        block(stack, Latest).await.unwrap()["gasLimit"] == "0x2625a00"
    })
    .await;
}

/// Asks until it is so. Where that takes too long, the programs' last lines are printed as the stack ends.
async fn until(stack: &OpStack, awaited: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let wait = async {
        while !is_so().await {
            pause.tick().await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        let [latest, safe, finalized] = [Latest, Safe, Finalized].map(|tag| height(stack, tag));
        let heights = (latest.await, safe.await, finalized.await);
        panic!("not within {PATIENCE:?}: {awaited}; latest, safe and finalized block: {heights:?}");
    }
}

async fn block(stack: &OpStack, tag: BlockNumberOrTag) -> Result<Value, RpcFailure> {
    let params = json!([tag, false]);
    let rpc = Rpc::new(stack.rpc_url().clone());
    rpc.call("eth_getBlockByNumber", params).await
}

/// The number of a tag's block; zero while there is none, which op-geth calls an error.
async fn height(stack: &OpStack, tag: BlockNumberOrTag) -> u64 {
    let number = match block(stack, tag).await {
        Ok(block) => block["number"].clone(),
        Err(RpcFailure::Error { .. }) => return 0,
        Err(error) => panic!("{error}"),
    };
    let number: U256 = serde_json::from_value(number).unwrap();
    number.to()
}

async fn l2_word(stack: &OpStack, input: &[u8]) -> U256 {
    let call = json!([{ "to": L1_BLOCK, "input": alloy_primitives::hex::encode_prefixed(input) }, "latest"]);
    let rpc = Rpc::new(stack.rpc_url().clone());
    let answer = rpc.call("eth_call", call).await.unwrap();
    answer.as_str().unwrap().parse().unwrap()
}

async fn ask<C: SolCall>(l1: &Anvil, to: Address, call: C) -> C::Return {
    C::abi_decode_returns(&l1_call(l1, to, call.abi_encode()).await).unwrap()
}

async fn l1_call(l1: &Anvil, to: Address, input: Vec<u8>) -> Vec<u8> {
    let call = json!({ "to": to, "input": alloy_primitives::hex::encode_prefixed(input) });
    let answer: alloy_primitives::Bytes = l1.call("eth_call", (call, "latest")).await.unwrap();
    answer.to_vec()
}
