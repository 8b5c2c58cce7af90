//! How far each stage is behind the head, and when that is an alarm.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use set_chain::{BlockRef, ChainView};

use crate::{claim::Claim, games::GamesView};

/// How far a stage is behind the newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Number of the newest block at the stage.
    pub block: u64,
    /// Blocks between it and the head.
    pub blocks: u64,
    /// Seconds between the two, by the blocks' own timestamps.
    pub seconds: u64,
}

/// Each stage that somebody follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lags {
    /// The newest safe block.
    pub safe: Option<Lag>,
    /// The newest finalized block.
    pub finalized: Option<Lag>,
    /// The newest block that a game claims.
    pub claimed: Option<Lag>,
    /// The newest block whose game the defender has won.
    pub resolved: Option<Lag>,
}

impl Lags {
    pub(crate) fn new(view: &ChainView, claims: &[Claim]) -> Self {
        let Some(head) = view.latest else {
            return Self::default();
        };
        let lag = |block: BlockRef| Lag {
            block: block.number,
            blocks: head.block.number.saturating_sub(block.number),
            seconds: head.block.timestamp.saturating_sub(block.timestamp),
        };
        // Claims are in the order of their blocks.
        let claimed = claims.last();
        let resolved = claims.iter().rev().find(|claim| claim.status.is_resolved());
        Self {
            safe: view.safe.map(lag),
            finalized: view.finalized.map(lag),
            claimed: claimed.map(|claim| lag(claim.l2_block)),
            resolved: resolved.map(|claim| lag(claim.l2_block)),
        }
    }

    pub(crate) fn record(&self) {
        let stages = [
            ("safe", self.safe),
            ("finalized", self.finalized),
            ("claimed", self.claimed),
            ("resolved", self.resolved),
        ];
        for (stage, lag) in stages {
            let Some(lag) = lag else { continue };
            metrics::gauge!("set_settlement_block", "stage" => stage).set(lag.block as f64);
            metrics::gauge!("set_settlement_lag_blocks", "stage" => stage).set(lag.blocks as f64);
            metrics::gauge!("set_settlement_lag_seconds", "stage" => stage).set(lag.seconds as f64);
        }
    }
}

/// What keeps the chain from being settled, as far as somebody should look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The kind, as metrics name it.
    pub kind: AlarmKind,
    /// What is wrong and where to look.
    pub message: String,
}

/// Kinds of alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// No new block.
    HeadStands,
    /// Blocks are made, and none becomes safe.
    SafeStands,
    /// op-node is not followed.
    OpNode,
    /// L1 is not followed.
    L1,
}

impl AlarmKind {
    pub(crate) const ALL: [Self; 4] = [Self::HeadStands, Self::SafeStands, Self::OpNode, Self::L1];

    /// As metrics name it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::HeadStands => "head_stands",
            Self::SafeStands => "safe_stands",
            Self::OpNode => "op_node",
            Self::L1 => "l1",
        }
    }
}

/// Tells what is late. The head is timed by this machine's clock from when it was seen, so that no other clock matters;
/// the safe block by the blocks' own timestamps, so that a restart or a chain that stands still changes nothing. Who does
/// not answer once may be restarting: that is an alarm only after the time that the head may stand still.
#[derive(Debug)]
pub(crate) struct Watchman {
    head_alarm: Duration,
    safe_alarm: Duration,
    head: Option<(BlockRef, Instant)>,
    /// Since when op-node and L1 are away.
    away: [Option<Instant>; 2],
}

impl Watchman {
    pub(crate) const fn new(head_alarm: Duration, safe_alarm: Duration) -> Self {
        Self {
            head_alarm,
            safe_alarm,
            head: None,
            away: [None; 2],
        }
    }

    /// What is to be said of a view. A node that cannot be reached is another's to say.
    pub(crate) fn alarms(&mut self, view: &ChainView, l1: Option<&GamesView>, now: Instant) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let mut raise = |kind, message| alarms.push(Alarm { kind, message });
        let head = view.latest.map(|head| head.block);
        if self.head.map(|(block, _)| block) != head || !view.reachable {
            self.head = head.map(|head| (head, now));
        }
        if let Some((block, since)) = self.head
            && now.saturating_duration_since(since) >= self.head_alarm
        {
            let number = block.number;
            let message = format!(
                "the newest block is still {number}: no block was made for more than `settlement.head_alarm`; look at \
                 op-node and at the sequencer (admin_sequencerActive)"
            );
            raise(AlarmKind::HeadStands, message);
        }
        if let (Some(head), Some(safe)) = (head, view.safe) {
            let behind = head.timestamp.saturating_sub(safe.timestamp);
            if behind >= self.safe_alarm.as_secs().max(1) {
                let message = format!(
                    "the newest safe block is {}, {behind} s older than the newest: the chain's data does not get to L1; \
                     look at op-batcher (its account's balance, L1's fees) and at op-node's way to L1",
                    safe.number
                );
                raise(AlarmKind::SafeStands, message);
            }
        }
        let errors = [
            (
                AlarmKind::OpNode,
                view.op_node.as_ref().and_then(|op_node| op_node.error.clone()),
            ),
            (AlarmKind::L1, l1.and_then(|l1| l1.error.clone())),
        ];
        for (away, (kind, error)) in self.away.iter_mut().zip(errors) {
            let Some(error) = error else {
                *away = None;
                continue;
            };
            let since = *away.get_or_insert(now);
            if now.saturating_duration_since(since) >= self.head_alarm {
                raise(kind, error);
            }
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use set_chain::Head;

    use super::*;

    const fn block(number: u64) -> BlockRef {
        BlockRef {
            number,
            hash: B256::with_last_byte(number as u8),
            timestamp: 2 * number,
        }
    }

    fn view(head: u64, safe: u64) -> ChainView {
        let head = Head {
            block: block(head),
            parent_hash: B256::ZERO,
            gas_limit: 0,
            gas_used: 0,
            gas_target: 0,
            base_fee: 0,
            next_base_fee: 0,
            suggested_tip: 0,
            da_footprint: None,
            da_footprint_scalar: None,
        };
        ChainView {
            latest: Some(head),
            safe: Some(block(safe)),
            reachable: true,
            error: None,
            ..ChainView::unknown()
        }
    }

    fn kinds(alarms: &[Alarm]) -> Vec<AlarmKind> {
        alarms.iter().map(|alarm| alarm.kind).collect()
    }

    #[test]
    fn a_head_that_stands_still_is_an_alarm_until_it_moves() {
        let begun = Instant::now();
        let later = |seconds| begun + Duration::from_secs(seconds);
        let mut watchman = Watchman::new(Duration::from_secs(60), Duration::from_secs(3600));
        assert_eq!(kinds(&watchman.alarms(&view(9, 5), None, begun)), []);
        assert_eq!(kinds(&watchman.alarms(&view(9, 5), None, later(59))), []);
        assert_eq!(
            kinds(&watchman.alarms(&view(9, 5), None, later(60))),
            [AlarmKind::HeadStands]
        );
        assert_eq!(kinds(&watchman.alarms(&view(10, 5), None, later(61))), []);
        // A node that is away says nothing about the head.
        let away = ChainView {
            reachable: false,
            ..view(10, 5)
        };
        assert_eq!(kinds(&watchman.alarms(&away, None, later(200))), []);
        assert_eq!(kinds(&watchman.alarms(&view(10, 5), None, later(201))), []);
    }

    #[test]
    fn who_is_away_for_a_moment_is_no_alarm() {
        let begun = Instant::now();
        let later = |seconds| begun + Duration::from_secs(seconds);
        let mut watchman = Watchman::new(Duration::from_secs(60), Duration::from_secs(3600));
        let away = GamesView {
            error: Some("away".to_owned()),
            ..GamesView::default()
        };
        let mut at =
            |seconds, l1: &GamesView| kinds(&watchman.alarms(&view(seconds, seconds), Some(l1), later(seconds)));
        assert_eq!(at(0, &away), []);
        assert_eq!(at(50, &GamesView::default()), []);
        assert_eq!(at(100, &away), []);
        assert_eq!(at(159, &away), []);
        assert_eq!(at(160, &away), [AlarmKind::L1]);
        assert_eq!(at(161, &GamesView::default()), []);
    }

    #[test]
    fn safe_that_stands_still_is_an_alarm_only_while_blocks_are_made() {
        let now = Instant::now();
        let mut watchman = Watchman::new(Duration::from_secs(60), Duration::from_secs(100));
        assert_eq!(kinds(&watchman.alarms(&view(54, 5), None, now)), []);
        assert_eq!(
            kinds(&watchman.alarms(&view(55, 5), None, now)),
            [AlarmKind::SafeStands]
        );
        assert_eq!(kinds(&watchman.alarms(&view(56, 50), None, now)), []);
    }
}
