//! Games followed on the real contracts of L1, with a chain beside them whose blocks they claim.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{eips::BlockNumberOrTag, providers::Provider};
use alloy_primitives::{Address, B256};
use set_chain::{ChainView, EndpointConfig, L2Provider, connect, track};
use set_proof::OutputRoot;
use set_settlement::{
    Alarm, AlarmKind, ClaimStatus, GamesView, L1Access, Settlement, SettlementSettings, SettlementView, l1,
};
use set_testkit::{
    Action, Anvil, RpcProxy, Rule,
    op_stack::{ALPHABET_GAME, Disputes, FINALITY_DELAY, GAME_CLOCK, L1Contracts, start_l1},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Development accounts: who opens games in good faith, and who does not.
const PROPOSER: usize = 3;
const STRANGER: usize = 1;
/// A type that nobody knows, and one that claims roots over several chains.
const UNKNOWN: u32 = 77;
const SUPER_CANNON: u32 = 4;
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(180);

/// L1 with the real contracts, and a chain of some blocks, all of them final.
struct Rig {
    l1: Anvil,
    on_l1: L1Contracts,
    l2: Anvil,
    provider: L2Provider,
    heads: watch::Receiver<Arc<ChainView>>,
}

/// What follows settlement, until it is dropped.
struct Following {
    settlement: Settlement,
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rig {
    async fn start() -> Self {
        let (l1, on_l1) = start_l1(B256::repeat_byte(0xa0)).await.unwrap();
        let l2 = Anvil::builder().no_mining().slots_in_an_epoch(1).spawn().await.unwrap();
        l2.mine(40).await.unwrap();
        let provider = connect(&EndpointConfig {
            rpc_urls: vec![l2.url().clone()],
            chain_id: None,
            timeout: Duration::from_secs(5),
            poll_interval: POLL,
        });
        let provider = provider.unwrap();
        let (heads, tracking) = track(provider.clone(), l2.chain_id(), POLL);
        tokio::spawn(tracking);
        Self {
            l1,
            on_l1,
            l2,
            provider,
            heads,
        }
    }

    fn disputes(&self) -> Disputes<'_> {
        Disputes::new(&self.l1, &self.on_l1)
    }

    /// The output root of the chain's own block.
    async fn root(&self, number: u64) -> B256 {
        let block = self
            .provider
            .get_block_by_number(BlockNumberOrTag::Number(number))
            .await;
        OutputRoot::of(&block.unwrap().unwrap().header.inner).unwrap().hash()
    }

    /// A game of good faith.
    async fn propose(&self, number: u64) -> Address {
        let root = self.root(number).await;
        let game = self.disputes().open(PROPOSER, ALPHABET_GAME, root, number).await;
        game.unwrap()
    }

    async fn follow(&self, l1: &url::Url, dir: Option<&Path>) -> Following {
        let settings = SettlementSettings {
            chain_id: self.l2.chain_id(),
            first_block: 1,
            op_node: None,
            l1: Some(L1Access {
                provider: l1::connect(l1, Duration::from_secs(5)).unwrap(),
                chain_id: self.l1.chain_id(),
                portal: self.on_l1.portal,
                poll: POLL,
            }),
            head_alarm: Duration::from_secs(1),
            safe_alarm: Duration::from_secs(600),
        };
        let path = dir.map(|dir| dir.join("settlement.redb"));
        let opened = Settlement::open(path.as_deref(), settings, self.provider.clone(), self.heads.clone()).await;
        let (settlement, following) = opened.unwrap();
        Following {
            settlement,
            task: tokio::spawn(following),
        }
    }
}

impl Following {
    /// Waits until the claims are these games, by their blocks, at these standings.
    async fn claims(&self, expected: &[(Address, u64, ClaimStatus)]) {
        let mut claims = self.settlement.claims();
        let are = |claims: &Arc<Vec<set_settlement::Claim>>| {
            let found = claims
                .iter()
                .map(|claim| (claim.game, claim.l2_block.number, claim.status));
            found.eq(expected.iter().copied())
        };
        if timeout(PATIENCE, claims.wait_for(are)).await.is_err() {
            let view = self.settlement.view().borrow().clone();
            panic!("the claims stay {:?}; {view:?}", claims.borrow());
        }
    }

    async fn view(&self, fits: impl Fn(&SettlementView) -> bool) -> Arc<SettlementView> {
        let mut views = self.settlement.view();
        let last = views.clone();
        match timeout(PATIENCE, views.wait_for(|view| fits(view))).await {
            Ok(view) => view.unwrap().clone(),
            Err(_) => panic!("the view stays {:?}", last.borrow()),
        }
    }

    async fn l1(&self, fits: impl Fn(&GamesView) -> bool) -> GamesView {
        let view = self.view(|view| view.l1.as_ref().is_some_and(&fits)).await;
        view.l1.clone().unwrap()
    }
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn only_games_that_claim_the_nodes_own_blocks_count() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    let first = rig.propose(10).await;
    // A stranger claims something else for a block of ours, a type that nobody knows and a root over several chains.
    let falsehood = B256::repeat_byte(0xbb);
    let false_game = disputes.open(STRANGER, ALPHABET_GAME, falsehood, 12).await.unwrap();
    disputes.allow(UNKNOWN).await.unwrap();
    disputes.allow(SUPER_CANNON).await.unwrap();
    let unknown = disputes.open(STRANGER, UNKNOWN, rig.root(13).await, 13).await.unwrap();
    let several = disputes
        .open(STRANGER, SUPER_CANNON, rig.root(14).await, 14)
        .await
        .unwrap();
    let second = rig.propose(20).await;

    let following = rig.follow(rig.l1.url(), None).await;
    let open = ClaimStatus::InProgress;
    following.claims(&[(first, 10, open), (second, 20, open)]).await;
    let view = following.l1(|view| view.read == 5 && view.passed_over.len() == 3).await;
    let reason = |game: Address| {
        let passed_over = view.passed_over.iter().find(|passed_over| passed_over.game == game);
        passed_over.unwrap().reason.clone()
    };
    assert!(reason(false_game).contains(&falsehood.to_string()), "{view:?}");
    assert!(reason(unknown).contains("unknown type 77"), "{view:?}");
    assert!(reason(several).contains("super cannon (type 4)"), "{view:?}");

    // A block is claimed by the first game at or above it.
    let games = following.settlement.of_all(&[1, 10, 11, 20, 21]).await;
    let games: Vec<_> = games.iter().map(|settled| Some(settled.claim?.game)).collect();
    assert_eq!(games, [Some(first), Some(first), Some(second), Some(second), None]);

    // Won, then final; and one that the guardian takes out.
    disputes.pass(GAME_CLOCK).await.unwrap();
    disputes.resolve(first, 0).await.unwrap();
    // Until the next block, L1's clock stands still.
    following
        .claims(&[(first, 10, ClaimStatus::Won), (second, 20, open)])
        .await;
    disputes.blacklist(second).await.unwrap();
    disputes.pass(FINALITY_DELAY + Duration::from_secs(1)).await.unwrap();
    following.claims(&[(first, 10, ClaimStatus::Final)]).await;
    // The view is of a moment; the one before has the second game's claim still.
    let view = following
        .view(|view| view.lags.resolved.is_some() && view.lags.claimed.is_some_and(|lag| lag.block == 10))
        .await;
    assert_eq!(view.lags.resolved.unwrap().blocks, 30);
    let settled = following.settlement.of(5).await.claim.unwrap();
    assert!(settled.resolved_at.is_some());
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_claim_of_a_block_that_is_not_there_yet_is_judged_when_it_is() {
    let rig = Rig::start().await;
    let first = rig.propose(30).await;
    let ahead = rig
        .disputes()
        .open(PROPOSER, ALPHABET_GAME, B256::repeat_byte(1), 60)
        .await
        .unwrap();
    let following = rig.follow(rig.l1.url(), None).await;
    following.claims(&[(first, 30, ClaimStatus::InProgress)]).await;
    let view = following.l1(|view| view.read == 2).await;
    assert_eq!(view.passed_over, []);
    rig.l2.mine(40).await.unwrap();
    let view = following.l1(|view| !view.passed_over.is_empty()).await;
    assert_eq!(view.passed_over[0].game, ahead);
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_game_that_an_l1_reorg_takes_away_counts_no_more() {
    let rig = Rig::start().await;
    let open = ClaimStatus::InProgress;
    let first = rig.propose(10).await;
    rig.disputes().finalize().await.unwrap();
    let before = rig.l1.snapshot().await.unwrap();
    let second = rig.propose(20).await;
    let following = rig.follow(rig.l1.url(), None).await;
    following.claims(&[(first, 10, open), (second, 20, open)]).await;

    // L1 goes another way, on which the stranger was quicker, and the proposer later.
    assert!(rig.l1.revert(before).await.unwrap());
    let disputes = rig.disputes();
    disputes
        .open(STRANGER, ALPHABET_GAME, B256::repeat_byte(9), 20)
        .await
        .unwrap();
    rig.l1.mine(8).await.unwrap();
    following.claims(&[(first, 10, open)]).await;
    let again = rig.propose(25).await;
    following.claims(&[(first, 10, open), (again, 25, open)]).await;
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn what_was_read_outlives_a_restart_and_l1() {
    let rig = Rig::start().await;
    let open = ClaimStatus::InProgress;
    let dir = tempfile::tempdir().unwrap();
    let mut proxy = RpcProxy::start(rig.l1.url().clone()).await.unwrap();
    let first = rig.propose(10).await;
    let following = rig.follow(&proxy.url(), Some(dir.path())).await;
    following.claims(&[(first, 10, open)]).await;
    drop(following);

    // L1 is away: what was known is known, and the sidecar says so.
    proxy.go_down().await;
    let following = rig.follow(&proxy.url(), Some(dir.path())).await;
    assert_eq!(following.settlement.of(7).await.claim.unwrap().game, first);
    let alarm = |view: &SettlementView| view.alarms.iter().any(|alarm| alarm.kind == AlarmKind::L1);
    let view = following.view(alarm).await;
    let told = |alarm: &Alarm| alarm.message.contains("L1 node cannot be asked");
    assert!(view.alarms.iter().any(told), "{view:?}");
    let second = rig.propose(20).await;
    proxy.come_back().await.unwrap();
    following.claims(&[(first, 10, open), (second, 20, open)]).await;
    following.view(|view| !alarm(view)).await;
    drop(following);

    // Without the file, all of it is read from L1 again.
    std::fs::remove_file(dir.path().join("settlement.redb")).unwrap();
    let following = rig.follow(&proxy.url(), Some(dir.path())).await;
    following.claims(&[(first, 10, open), (second, 20, open)]).await;

    // A node of another chain is not believed.
    proxy.inject(Rule::on(["eth_chainId"], Action::Answer("0x5".into())));
    let view = following.l1(|view| view.error.is_some()).await;
    assert!(view.error.unwrap().contains("serves chain 5"));
}
