//! L1: anvil, with the contracts that an OP Stack chain has there.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use alloy_sol_types::{SolCall, SolValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    OpStackError,
    artifacts::creation_code,
    bindings::{
        AnchorStateRegistry, DelayedWETH, DisputeGameFactory, OptimismPortal, Proxy, SuperchainConfig, SystemConfig,
    },
    genesis::SystemConfigValues,
};
use crate::{Anvil, AnvilError};

/// The L1's chain id, which `config/devnet-op.toml` names too.
pub const L1_CHAIN_ID: u64 = 900;
/// The type of the dispute games that the proposer opens: the alphabet game, which is made for tests.
pub const ALPHABET_GAME: u32 = 255;
/// How long each side of a game may think; a game that nobody disputes can be resolved after so long.
pub const GAME_CLOCK: Duration = Duration::from_secs(20);
/// How long after its resolution a game's claim is proven, and the portal pays withdrawals on it.
pub const FINALITY_DELAY: Duration = Duration::from_secs(6);

/// Development accounts on L1.
pub(super) const OWNER: usize = 0;
pub(super) const BATCHER: usize = 2;
pub(super) const PROPOSER: usize = 3;
pub(super) const CHALLENGER: usize = 4;

/// Seconds between two blocks under a chain: not less than L2's, whose blocks move their origin on by one each at most.
pub(super) const BLOCK_TIME: u64 = 2;
/// As on Ethereum.
const GAS_LIMIT: u64 = 60_000_000;
/// Enough for the largest contract.
const CREATION_GAS: u64 = 8_000_000;
const CALL_GAS: u64 = 1_000_000;
/// What opening a game costs until it is won, in wei.
const BOND: u64 = 80_000_000_000_000_000;
/// The state that op-challenger's alphabet game starts from.
const ALPHABET_PRESTATE: B256 = b256!("0x03c7ae758795765c6664a5d39bf63841c71ff191e9189522bad8ebff5d4eca98");
/// Moves until a dispute is about one block, and about one letter of the alphabet's eight.
const SPLIT_DEPTH: u64 = 14;
const MAX_DEPTH: u64 = SPLIT_DEPTH + 4;
/// SystemConfig's name for ether as what gas is paid in.
const ETHER: Address = Address::repeat_byte(0xee);

/// The contracts of the chain on L1 (proxies), and the batcher's account there. As JSON it is what `genesis` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct L1Contracts {
    /// OptimismPortal2.
    #[serde(rename = "OptimismPortal")]
    pub portal: Address,
    /// SystemConfig.
    pub system_config: Address,
    /// DisputeGameFactory.
    pub dispute_game_factory: Address,
    /// AnchorStateRegistry.
    pub anchor_state_registry: Address,
    /// SuperchainConfig.
    pub superchain_config: Address,
    /// DelayedWETH, which holds the games' bonds.
    #[serde(rename = "DelayedWETH")]
    pub delayed_weth: Address,
    /// SystemConfig's implementation.
    #[serde(skip)]
    pub(super) system_config_implementation: Address,
    #[serde(skip)]
    anchor_state_implementation: Address,
    /// The account that posts batches.
    #[serde(rename = "batcher")]
    pub batcher: Address,
}

/// An L1 with everything on it but the anchor state, which L2's first block decides. Makes no block by itself.
pub(super) async fn start(values: &SystemConfigValues) -> Result<(Anvil, L1Contracts), OpStackError> {
    let l1 = Anvil::builder()
        .ethereum()
        .chain_id(L1_CHAIN_ID)
        .no_mining()
        .slots_in_an_epoch(2)
        .gas_limit(GAS_LIMIT)
        .arg("--code-size-limit")
        .arg("50000")
        .spawn()
        .await?;
    let mut deployment = Deployment::new(&l1);
    let contracts = deployment.plan(values)?;
    deployment.send().await?;
    Ok((l1, contracts))
}

/// An L1 with a chain's contracts on it and no chain behind them: for tests of what asks L1 alone. `anchor` is the output
/// root of block 0, which is not looked at unless somebody plays a game down to it. Makes a block whenever a test asks for
/// one, and none by itself: between two of them L1's clock stands still.
///
/// # Errors
/// [`OpStackError`]; the contracts have to be installed, and no program but anvil.
pub async fn start_l1(anchor: B256) -> Result<(Anvil, L1Contracts), OpStackError> {
    let values = SystemConfigValues {
        gas_limit: 30_000_000,
        base_fee_scalar: 0,
        blob_base_fee_scalar: 0,
        owner: Anvil::account(OWNER).address(),
        batch_inbox: Address::repeat_byte(0xba),
    };
    let (l1, contracts) = start(&values).await?;
    set_anchor(&l1, &contracts, anchor).await?;
    Ok((l1, contracts))
}

/// Tells L1 the output that the first games build on.
pub(super) async fn set_anchor(l1: &Anvil, contracts: &L1Contracts, root: B256) -> Result<(), OpStackError> {
    let output = AnchorStateRegistry::OutputRoot {
        root,
        l2BlockNumber: U256::ZERO,
    };
    let roots = vec![AnchorStateRegistry::StartingAnchorRoot {
        gameType: ALPHABET_GAME,
        outputRoot: output,
    }];
    let initialize = AnchorStateRegistry::initializeCall { roots }.abi_encode();
    let implementation = contracts.anchor_state_implementation;
    send_as_owner(
        l1,
        "setting the anchor state",
        contracts.anchor_state_registry,
        upgrade(implementation, initialize),
    )
    .await
}

/// Calls a contract from the owner's account and returns once that is in a block, which is made for it.
pub(super) async fn send_as_owner(
    l1: &Anvil,
    what: &'static str,
    to: Address,
    input: Vec<u8>,
) -> Result<(), OpStackError> {
    let request = json!({
        "from": Anvil::account(OWNER).address(),
        "to": to,
        "gas": U256::from(CALL_GAS),
        "input": Bytes::from(input),
    });
    let hash: Value = l1
        .call("eth_sendTransaction", (request,))
        .await
        .map_err(AnvilError::from)?;
    mined(l1, &[(what, hash)]).await
}

/// Contracts and calls in the order of the owner's nonces.
struct Deployment<'a> {
    l1: &'a Anvil,
    steps: Vec<(&'static str, Option<Address>, Bytes)>,
}

impl<'a> Deployment<'a> {
    const fn new(l1: &'a Anvil) -> Self {
        Self { l1, steps: vec![] }
    }

    fn plan(&mut self, values: &SystemConfigValues) -> Result<L1Contracts, OpStackError> {
        let owner = Anvil::account(OWNER).address();
        let superchain_config = self.proxy("SuperchainConfig's proxy")?;
        let system_config = self.proxy("SystemConfig's proxy")?;
        let portal = self.proxy("OptimismPortal's proxy")?;
        let factory = self.proxy("DisputeGameFactory's proxy")?;
        let anchors = self.proxy("AnchorStateRegistry's proxy")?;
        let weth = self.proxy("DelayedWETH's proxy")?;

        let implementation = self.create("SuperchainConfig", vec![])?;
        let call = SuperchainConfig::initializeCall {
            guardian: owner,
            paused: false,
        };
        self.initialize("setting up SuperchainConfig", superchain_config, implementation, &call);

        let system_config_implementation = self.create("SystemConfig", vec![])?;
        let batcher = Anvil::account(BATCHER).address();
        let call = SystemConfig::initializeCall {
            owner: values.owner,
            basefeeScalar: values.base_fee_scalar,
            blobbasefeeScalar: values.blob_base_fee_scalar,
            batcherHash: batcher.into_word(),
            gasLimit: values.gas_limit,
            // Signs blocks for other nodes, of which there are none.
            unsafeBlockSigner: owner,
            config: DEPOSIT_LIMITS,
            batchInbox: values.batch_inbox,
            addresses: SystemConfig::Addresses {
                l1CrossDomainMessenger: Address::ZERO,
                l1ERC721Bridge: Address::ZERO,
                l1StandardBridge: Address::ZERO,
                disputeGameFactory: factory,
                optimismPortal: portal,
                optimismMintableERC20Factory: Address::ZERO,
                gasPayingToken: ETHER,
            },
        };
        self.initialize(
            "setting up SystemConfig",
            system_config,
            system_config_implementation,
            &call,
        );

        let delays = (
            U256::from(FINALITY_DELAY.as_secs()),
            U256::from(FINALITY_DELAY.as_secs()),
        );
        let implementation = self.create("OptimismPortal2", delays.abi_encode_params())?;
        let call = OptimismPortal::initializeCall {
            disputeGameFactory: factory,
            systemConfig: system_config,
            superchainConfig: superchain_config,
            initialRespectedGameType: ALPHABET_GAME,
        };
        self.initialize("setting up OptimismPortal", portal, implementation, &call);

        let implementation = self.create("DisputeGameFactory", vec![])?;
        let call = DisputeGameFactory::initializeCall { owner };
        self.initialize("setting up DisputeGameFactory", factory, implementation, &call);

        let implementation = self.create("DelayedWETH", U256::ONE.abi_encode())?;
        let call = DelayedWETH::initializeCall {
            owner,
            config: superchain_config,
        };
        self.initialize("setting up DelayedWETH", weth, implementation, &call);

        let anchor_state_implementation = self.create("AnchorStateRegistry", factory.abi_encode())?;
        let game = self.game(weth, anchors)?;
        let set_implementation = DisputeGameFactory::setImplementationCall {
            gameType: ALPHABET_GAME,
            implementation: game,
        };
        self.call(
            "registering the alphabet game",
            factory,
            set_implementation.abi_encode(),
        );
        let set_bond = DisputeGameFactory::setInitBondCall {
            gameType: ALPHABET_GAME,
            bond: U256::from(BOND),
        };
        self.call("setting the alphabet game's bond", factory, set_bond.abi_encode());

        Ok(L1Contracts {
            portal,
            system_config,
            dispute_game_factory: factory,
            anchor_state_registry: anchors,
            superchain_config,
            delayed_weth: weth,
            system_config_implementation,
            anchor_state_implementation,
            batcher,
        })
    }

    /// FaultDisputeGame over the alphabet machine.
    fn game(&mut self, weth: Address, anchors: Address) -> Result<Address, OpStackError> {
        let limits = (U256::from(126_000), U256::from(86_400));
        let oracle = self.create("PreimageOracle", limits.abi_encode_params())?;
        let machine = self.create("AlphabetVM", (ALPHABET_PRESTATE, oracle).abi_encode_params())?;
        let clock = GAME_CLOCK.as_secs();
        let arguments = (
            ALPHABET_GAME,
            ALPHABET_PRESTATE,
            U256::from(MAX_DEPTH),
            U256::from(SPLIT_DEPTH),
            0_u64,
            clock,
            machine,
            weth,
            anchors,
            U256::from(crate::anvil::DEVNET_CHAIN_ID),
        );
        self.create("FaultDisputeGame", arguments.abi_encode_params())
    }

    fn proxy(&mut self, what: &'static str) -> Result<Address, OpStackError> {
        let admin = Anvil::account(OWNER).address().abi_encode();
        let code = creation_code("Proxy", admin)?;
        Ok(self.step(what, None, code))
    }

    fn create(&mut self, name: &'static str, arguments: Vec<u8>) -> Result<Address, OpStackError> {
        let code = creation_code(name, arguments)?;
        Ok(self.step(name, None, code))
    }

    fn initialize(&mut self, what: &'static str, proxy: Address, implementation: Address, call: &impl SolCall) {
        self.call(what, proxy, upgrade(implementation, call.abi_encode()));
    }

    fn call(&mut self, what: &'static str, to: Address, input: Vec<u8>) {
        self.step(what, Some(to), input.into());
    }

    /// Adds a transaction; gives the address of what it would create.
    fn step(&mut self, what: &'static str, to: Option<Address>, input: Bytes) -> Address {
        let nonce = self.steps.len() as u64;
        self.steps.push((what, to, input));
        Anvil::account(OWNER).address().create(nonce)
    }

    async fn send(self) -> Result<(), OpStackError> {
        let from = Anvil::account(OWNER).address();
        let mut sent = vec![];
        for (nonce, (what, to, input)) in (0_u64..).zip(self.steps) {
            let gas = if to.is_some() { CALL_GAS } else { CREATION_GAS };
            let mut request = json!({
                "from": from,
                "nonce": U256::from(nonce),
                "gas": U256::from(gas),
                "input": input,
            });
            if let Some(to) = to {
                request["to"] = json!(to);
            }
            let hash: Value = self
                .l1
                .call("eth_sendTransaction", (request,))
                .await
                .map_err(AnvilError::from)?;
            sent.push((what, hash));
        }
        mined(self.l1, &sent).await
    }
}

/// Makes blocks until every transaction is in one, and checks that each succeeded.
pub(super) async fn mined(l1: &Anvil, sent: &[(&'static str, Value)]) -> Result<(), OpStackError> {
    for (what, hash) in sent {
        let receipt = loop {
            let receipt: Value = l1
                .call("eth_getTransactionReceipt", (hash,))
                .await
                .map_err(AnvilError::from)?;
            if !receipt.is_null() {
                break receipt;
            }
            l1.mine(1).await.map_err(AnvilError::from)?;
        };
        if receipt["status"] != "0x1" {
            return Err(OpStackError::Transaction {
                what,
                hash: hash.as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(())
}

/// What a proxy is told to become `implementation`, and to run `call` as that.
pub(super) fn upgrade(implementation: Address, call: Vec<u8>) -> Vec<u8> {
    let data = call.into();
    Proxy::upgradeToAndCallCall { implementation, data }.abi_encode()
}

/// How much of a block deposits may take (the OP Stack's defaults).
const DEPOSIT_LIMITS: SystemConfig::ResourceConfig = SystemConfig::ResourceConfig {
    maxResourceLimit: 20_000_000,
    elasticityMultiplier: 10,
    baseFeeMaxChangeDenominator: 8,
    minimumBaseFee: 1_000_000_000,
    systemTxMaxGas: 1_000_000,
    maximumBaseFee: u128::MAX,
};
