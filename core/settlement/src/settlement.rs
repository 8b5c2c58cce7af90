//! Settlement as the rest of the program sees it.

use std::{
    future::Future,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Keccak256};
use serde::{Deserialize, Serialize};
use set_chain::{ChainView, L2Provider, NumberedHash, OpNode};
use set_index::StoreError;
use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    capture::Claims,
    claim::Claim,
    games::{Games, GamesView, L1Access},
    lag::{Alarm, AlarmKind, Lags, Watchman},
    safe_heads::{SafeHeadSteps, StepError, Turn},
    store::{SettlementStore, Step},
};

/// Blocks that callers search for in op-node's memory at a time; others get what is known.
const SEARCHES: usize = 4;
/// What a search may take before its caller gets what is known.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// Pause between two batches while steps are caught up with.
const CATCHING_UP: Duration = Duration::from_millis(50);
/// Pause after op-node failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How often a head that stands still is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Games behind a block among which a resolved one is preferred.
const PREFERRED: usize = 256;

/// What is followed, and where.
#[derive(Debug, Clone)]
pub struct SettlementSettings {
    /// Chain id of the L2.
    pub chain_id: u64,
    /// No block before this one is of interest.
    pub first_block: u64,
    /// op-node, for the L1 blocks that made blocks safe.
    pub op_node: Option<OpNode>,
    /// L1, for the games that claim blocks.
    pub l1: Option<L1Access>,
    /// A head that stands still for so long is an alarm; and so is op-node or L1, away for so long.
    pub head_alarm: Duration,
    /// A safe block so much older than the head is an alarm.
    pub safe_alarm: Duration,
}

impl SettlementSettings {
    /// What the file is of: another chain's steps and games are no use.
    fn scope(&self) -> B256 {
        let mut scope = Keccak256::new();
        scope.update(self.chain_id.to_be_bytes());
        scope.update(self.l1.as_ref().map_or(0, |l1| l1.chain_id).to_be_bytes());
        scope.update(self.l1.as_ref().map_or(Address::ZERO, |l1| l1.portal));
        scope.finalize()
    }
}

/// How settled a block is, beyond the chain's own tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// The L1 block with which its data was complete; `None` where op-node does not tell.
    pub safe_l1_block: Option<NumberedHash>,
    /// The game that claims it: the first one that was resolved, or else the first one.
    pub claim: Option<Claim>,
}

/// The steps of op-node's safe head, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepsView {
    /// Whether op-node remembers them (`--safedb.path`); null until it was asked.
    pub kept: Option<bool>,
    /// Whether all that it remembers, as far as it matters, is known here.
    pub complete: bool,
    /// Why they cannot be followed for now.
    pub error: Option<String>,
}

/// How settlement goes; for `set_status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementView {
    /// How far each stage is behind the head.
    pub lags: Lags,
    /// Which L1 blocks made blocks safe; null without op-node.
    pub safe_heads: Option<StepsView>,
    /// The dispute games on L1; null where L1 is not followed.
    pub l1: Option<GamesView>,
    /// What somebody should look at.
    pub alarms: Vec<Alarm>,
    /// Where it is kept.
    pub storage: String,
}

/// What is known of settlement. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Settlement {
    store: SettlementStore,
    steps: Option<SafeHeadSteps<OpNode>>,
    claims: watch::Receiver<Arc<Vec<Claim>>>,
    view: watch::Receiver<Arc<SettlementView>>,
    searches: Arc<Semaphore>,
}

impl Settlement {
    /// Opens the file at `path`, or a store in memory, and gives the future that follows settlement; run it as a task.
    /// It ends with the last reader of `heads`' sender, and touches nothing else than its own file.
    ///
    /// # Errors
    /// [`StoreError`] where the file is another process's, of a newer version, or its directory is not there.
    pub async fn open(
        path: Option<&Path>,
        settings: SettlementSettings,
        l2: L2Provider,
        heads: watch::Receiver<Arc<ChainView>>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let store = SettlementStore::open(path, settings.scope()).await?;
        let steps = settings
            .op_node
            .map(|op_node| SafeHeadSteps::new(op_node, store.clone(), settings.first_block));
        let (claims, claimed) = watch::channel(Arc::default());
        let (games_view, games) = watch::channel(GamesView::default());
        let (steps_view, followed) = watch::channel(StepsView::default());
        let first = SettlementView {
            storage: store.opening().to_string(),
            safe_heads: steps.is_some().then(StepsView::default),
            l1: settings.l1.is_some().then(GamesView::default),
            ..SettlementView::default()
        };
        let (view, shown) = watch::channel(Arc::new(first));
        let keeper = ViewKeeper {
            watchman: Watchman::new(settings.head_alarm, settings.safe_alarm),
            heads: heads.clone(),
            claims: claimed.clone(),
            games: settings.l1.is_some().then_some(games),
            steps: steps.is_some().then_some(followed),
            view,
        };
        let following_games = settings.l1.map(|l1| Games {
            l1,
            l2,
            heads: heads.clone(),
            store: store.clone(),
            first_block: settings.first_block,
            claims,
            view: games_view,
        });
        let book = match &following_games {
            Some(games) => games.read_book().await.ok(),
            None => None,
        };
        let following_steps = steps.clone();
        let settlement = Self {
            store: store.clone(),
            steps,
            claims: claimed,
            view: shown,
            searches: Arc::new(Semaphore::new(SEARCHES)),
        };
        let run = async move {
            let games = async {
                match following_games {
                    Some(games) => games.run(book).await,
                    None => std::future::pending().await,
                }
            };
            let steps = async {
                match following_steps {
                    Some(steps) => follow_steps(steps, store, heads, steps_view).await,
                    None => std::future::pending().await,
                }
            };
            // The keeper ends when nobody tells heads any more.
            tokio::select! {
                () = keeper.run() => {}
                () = games => {}
                () = steps => {}
            }
        };
        Ok((settlement, run))
    }

    /// How settled a block of the chain is. Where op-node remembers and the block is older than what was read of its
    /// memory, it is searched for there.
    pub async fn of(&self, block: u64) -> Settled {
        let settled = self.of_all(&[block]).await.pop().unwrap_or_default();
        let Some(steps) = self.steps.as_ref().filter(|_| settled.safe_l1_block.is_none()) else {
            return settled;
        };
        let Ok(_turn) = self.searches.try_acquire() else {
            return settled;
        };
        match timeout(SEARCH_TIME, steps.search(block)).await {
            Ok(Ok(found)) => Settled {
                safe_l1_block: found.map(|step| step.l1_block),
                ..settled
            },
            Ok(Err(error)) => {
                tracing::debug!(%error, block, "the l1 block that made a block safe cannot be searched for");
                settled
            }
            Err(_) => settled,
        }
    }

    /// How settled each of several blocks is, as far as it is known here.
    pub async fn of_all(&self, blocks: &[u64]) -> Vec<Settled> {
        let steps = match &self.steps {
            Some(_) => self.store.covering(blocks.to_vec()).await,
            None => Ok(Vec::new()),
        };
        let steps: Vec<Option<Step>> = steps.unwrap_or_else(|error| {
            tracing::debug!(%error, "the store of settlement cannot be read");
            Vec::new()
        });
        let claims = Arc::clone(&self.claims.borrow());
        let steps = steps.into_iter().chain(std::iter::repeat(None));
        let settled = blocks.iter().zip(steps).map(|(block, step)| Settled {
            safe_l1_block: step.map(|step| step.l1_block),
            claim: claim_of(&claims, *block),
        });
        settled.collect()
    }

    /// How settlement goes.
    pub fn view(&self) -> watch::Receiver<Arc<SettlementView>> {
        self.view.clone()
    }

    /// The claims that count, in the order of their blocks.
    pub fn claims(&self) -> watch::Receiver<Arc<Vec<Claim>>> {
        self.claims.clone()
    }

    /// The same for [`crate::capture`], and the future that keeps it up to date; run it as a task.
    pub fn claims_to_capture(&self) -> (watch::Receiver<Claims>, impl Future<Output = ()> + Send + use<>) {
        let mut claims = self.claims.clone();
        // Of several games that claim one block, those come first that are won.
        let captured = |claims: &[Claim]| {
            let (won, open): (Vec<_>, Vec<_>) = claims.iter().partition(|claim| claim.status.is_resolved());
            Claims::new(won.into_iter().chain(open).map(Claim::game_claim))
        };
        let (sender, receiver) = watch::channel(captured(&claims.borrow_and_update()));
        let passing_on = async move {
            while claims.changed().await.is_ok() {
                let next = captured(&claims.borrow_and_update());
                sender.send_if_modified(|known| {
                    let changed = *known != next;
                    *known = next;
                    changed
                });
            }
        };
        (receiver, passing_on)
    }
}

/// The claim of a block among claims in the order of their blocks.
fn claim_of(claims: &[Claim], block: u64) -> Option<Claim> {
    let covering = &claims[claims.partition_point(|claim| claim.l2_block.number < block)..];
    let resolved = covering.iter().take(PREFERRED).find(|claim| claim.status.is_resolved());
    resolved.or(covering.first()).copied()
}

/// Follows op-node's safe head, whenever op-node has come further on L1, or has found more in the block it looks at.
async fn follow_steps(
    steps: SafeHeadSteps<OpNode>,
    store: SettlementStore,
    mut heads: watch::Receiver<Arc<ChainView>>,
    view: watch::Sender<StepsView>,
) {
    let mut done = None;
    loop {
        let status = heads.borrow_and_update().op_node.as_ref().map(|op_node| op_node.status);
        let step = status.and_then(|status| Some((status.current_l1?, status.safe_l2)));
        let Some((tip, safe)) = step.filter(|step| done != Some(*step)) else {
            if heads.changed().await.is_err() {
                return;
            }
            continue;
        };
        let turn = steps.turn(tip.number).await;
        if let Err(StepError::Store(error)) = &turn
            && error.is_damage()
            && let Err(error) = store.mend().await
        {
            tracing::warn!(%error, "the store of settlement cannot be mended");
        }
        let next = match &turn {
            Ok(turn) => StepsView {
                kept: Some(*turn != Turn::NotKept),
                complete: *turn == Turn::Done,
                error: None,
            },
            Err(error) => StepsView {
                error: Some(error.to_string()),
                ..view.borrow().clone()
            },
        };
        if next.kept == Some(false) && view.borrow().kept != Some(false) {
            tracing::info!("op-node was started without --safedb.path: which l1 block made a block safe is not known");
        }
        if let Some(error) = next
            .error
            .as_ref()
            .filter(|error| view.borrow().error.as_ref() != Some(error))
        {
            tracing::warn!(error, "the steps of the safe head are not followed");
        }
        view.send_if_modified(|view| {
            let changed = *view != next;
            *view = next;
            changed
        });
        match turn {
            Ok(Turn::More) => sleep(CATCHING_UP).await,
            Ok(Turn::Done | Turn::NotKept) => done = Some((tip, safe)),
            Err(_) => sleep(AFTER_FAILURE).await,
        }
    }
}

/// Puts the parts together.
struct ViewKeeper {
    watchman: Watchman,
    heads: watch::Receiver<Arc<ChainView>>,
    claims: watch::Receiver<Arc<Vec<Claim>>>,
    games: Option<watch::Receiver<GamesView>>,
    steps: Option<watch::Receiver<StepsView>>,
    view: watch::Sender<Arc<SettlementView>>,
}

impl ViewKeeper {
    async fn run(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.heads.changed() => if changed.is_err() { return },
                _ = looks.tick() => {}
            }
            self.show();
        }
    }

    fn show(&mut self) {
        let heads = Arc::clone(&self.heads.borrow_and_update());
        let claims = Arc::clone(&self.claims.borrow());
        let l1 = self.games.as_ref().map(|games| games.borrow().clone());
        let alarms = self.watchman.alarms(&heads, l1.as_ref(), Instant::now());
        let lags = Lags::new(&heads, &claims);
        let safe_heads = self.steps.as_ref().map(|steps| steps.borrow().clone());
        self.view.send_if_modified(|view| {
            let next = SettlementView {
                lags,
                safe_heads,
                l1,
                alarms,
                storage: view.storage.clone(),
            };
            if next == **view {
                return false;
            }
            tell_alarms(&view.alarms, &next.alarms);
            lags.record();
            *view = Arc::new(next);
            true
        });
    }
}

/// Says what was raised and what is over, by kind: an alarm's words may change while it lasts.
fn tell_alarms(before: &[Alarm], after: &[Alarm]) {
    let of = |alarms: &[Alarm], kind| alarms.iter().find(|alarm| alarm.kind == kind).cloned();
    for kind in AlarmKind::ALL {
        let raised = match (of(before, kind), of(after, kind)) {
            (None, Some(alarm)) => {
                tracing::warn!(alarm = kind.label(), "{}", alarm.message);
                true
            }
            (Some(_), None) => {
                tracing::info!(alarm = kind.label(), "over");
                false
            }
            (_, after) => after.is_some(),
        };
        metrics::gauge!("set_settlement_alarm", "kind" => kind.label()).set(f64::from(u8::from(raised)));
    }
}
