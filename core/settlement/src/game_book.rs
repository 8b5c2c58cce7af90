//! The games that claim blocks of the chain: what is known of each, and which of them count. No network in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use set_chain::BlockRef;
use set_proof::GameClaim;

use crate::claim::{Claim, ClaimStatus, PassedOver};

/// Games that are remembered, of some 300 bytes each: decades of a proposer's hourly games.
const MAX_GAMES: usize = 50_000;
/// Games passed over that are shown.
const SHOWN: usize = 16;

/// A game as DisputeGameFactory lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) claim: GameClaim,
    /// Timestamp of its L1 block, in seconds.
    pub(crate) created_at: u64,
}

/// How far a factory's list was read, and at which L1 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadTo {
    pub(crate) factory: Address,
    /// Index of the next game to be read.
    pub(crate) next: u64,
    pub(crate) at: BlockRef,
}

/// What our own node has at the height that a game claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// It does not have the block yet.
    Ahead,
    /// The very output root.
    Ours(BlockRef),
    /// Another one. Only once our block is final is that the last word.
    Other(B256),
}

/// A game that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Followed {
    pub(crate) listed: Listed,
    pub(crate) verdict: Verdict,
    /// Whether the verdict is the last word, because our block was final.
    pub(crate) judged: bool,
    /// `None` until L1 was asked.
    pub(crate) status: Option<ClaimStatus>,
    pub(crate) resolved_at: Option<u64>,
}

impl Followed {
    pub(crate) const fn new(listed: Listed) -> Self {
        Self {
            listed,
            verdict: Verdict::Ahead,
            judged: false,
            status: None,
            resolved_at: None,
        }
    }

    /// The claim, where it is ours; it may have fallen.
    pub(crate) fn claim(&self) -> Option<Claim> {
        let Verdict::Ours(l2_block) = self.verdict else {
            return None;
        };
        Some(Claim {
            game: self.listed.claim.game,
            index: self.listed.claim.index,
            game_type: self.listed.claim.game_type,
            root_claim: self.listed.claim.root_claim,
            l2_block,
            created_at: self.listed.created_at,
            status: self.status?,
            resolved_at: self.resolved_at,
        })
    }
}

/// All that is known of games.
#[derive(Debug, Clone, Default)]
pub(crate) struct GameBook {
    read: Option<ReadTo>,
    games: BTreeMap<u64, Followed>,
    passed_over: VecDeque<PassedOver>,
    /// What is not written yet.
    changed: BTreeSet<u64>,
    /// Where the next rounds of looking at open and at settled games begin.
    rounds: [u64; 2],
}

impl GameBook {
    pub(crate) fn new(read: Option<ReadTo>, games: impl IntoIterator<Item = Followed>) -> Self {
        Self {
            read,
            games: games.into_iter().map(|game| (game.listed.claim.index, game)).collect(),
            ..Self::default()
        }
    }

    pub(crate) const fn read_to(&self) -> Option<ReadTo> {
        self.read
    }

    /// Notes how far the list was read.
    pub(crate) const fn set_read(&mut self, read: ReadTo) {
        self.read = Some(read);
    }

    /// An L1 reorg: games from this index on may be others now.
    pub(crate) fn take_back(&mut self, from: u64) {
        for index in self.games.split_off(&from).into_keys() {
            self.changed.insert(index);
        }
        self.passed_over.retain(|game| game.index < from);
    }

    /// Follows a game from now on.
    pub(crate) fn follow(&mut self, listed: Listed) {
        self.changed.insert(listed.claim.index);
        self.games.insert(listed.claim.index, Followed::new(listed));
        while self.games.len() > MAX_GAMES {
            if let Some((index, _)) = self.games.pop_first() {
                self.changed.insert(index);
            }
        }
    }

    /// Notes a game that counts for nothing.
    pub(crate) fn pass_over(&mut self, game: PassedOver) {
        self.passed_over.retain(|known| known.index != game.index);
        self.passed_over.push_back(game);
        while self.passed_over.len() > SHOWN {
            self.passed_over.pop_front();
        }
    }

    pub(crate) fn passed_over(&self) -> impl Iterator<Item = &PassedOver> {
        self.passed_over.iter()
    }

    /// Games whose claim is to be held against our own node's blocks up to `head`: those that never were come first,
    /// the newest before older ones.
    pub(crate) fn unjudged(&self, head: u64, limit: usize) -> Vec<Listed> {
        let open = |game: &&Followed| !game.judged && game.listed.claim.l2_block <= head;
        let is_new = |game: &&Followed| game.verdict == Verdict::Ahead;
        let new = self.games.values().rev().filter(open).filter(is_new);
        let others = self.games.values().filter(open).filter(|game| !is_new(game));
        new.chain(others).take(limit).map(|game| game.listed).collect()
    }

    /// What our node has at the height of a game. Gives the game where the claim turns out to be another's, for now or,
    /// where our block is final, for good: then it is no longer followed.
    pub(crate) fn judge(&mut self, index: u64, verdict: Verdict, is_final: bool) -> Option<Listed> {
        let game = self.games.get_mut(&index)?;
        let turned = game.verdict != verdict;
        if turned || game.judged != is_final {
            game.verdict = verdict;
            game.judged = is_final;
            self.changed.insert(index);
        }
        let listed = game.listed;
        let is_other = matches!(verdict, Verdict::Other(_));
        if is_final && is_other {
            self.games.remove(&index);
        }
        if !is_other {
            self.passed_over.retain(|game| game.index != index);
        }
        (turned && is_other).then_some(listed)
    }

    /// Games that L1 is to be asked about: those that it never was asked about, the newest first, then in turn those
    /// whose outcome is open, and a few of the settled.
    pub(crate) fn next_asked(&mut self, new: usize, open: usize, settled: usize) -> Vec<Listed> {
        let ours = |game: &&Followed| matches!(game.verdict, Verdict::Ours(_));
        let unasked = self.games.values().rev().filter(ours);
        let unasked = unasked.filter(|game| game.status.is_none()).take(new);
        let mut asked: Vec<_> = unasked.map(|game| game.listed).collect();
        let is_open = |status: ClaimStatus| matches!(status, ClaimStatus::InProgress | ClaimStatus::Won);
        for (round, (limit, wanted)) in [(open, true), (settled, false)].into_iter().enumerate() {
            let begin = self.rounds[round];
            let turn = self.games.range(begin..).chain(self.games.range(..begin));
            let turn = turn.map(|(_, game)| game).filter(ours);
            let turn = turn.filter(|game| game.status.is_some_and(|status| is_open(status) == wanted));
            let turn: Vec<_> = turn.take(limit).map(|game| game.listed).collect();
            self.rounds[round] = turn.last().map_or(begin, |last| last.claim.index + 1);
            asked.extend(turn);
        }
        asked
    }

    /// Whether there are games whose claim may count and that L1 was never asked about.
    pub(crate) fn has_unasked(&self) -> bool {
        let unasked = |game: &Followed| game.status.is_none() && matches!(game.verdict, Verdict::Ours(_));
        self.games.values().any(unasked)
    }

    /// What L1 says of a game; gives the status before, where it changed.
    pub(crate) fn stands(
        &mut self,
        index: u64,
        status: ClaimStatus,
        resolved_at: Option<u64>,
    ) -> Option<Option<ClaimStatus>> {
        let game = self.games.get_mut(&index)?;
        let before = game.status;
        if (before, game.resolved_at) == (Some(status), resolved_at) {
            return None;
        }
        game.status = Some(status);
        game.resolved_at = resolved_at;
        self.changed.insert(index);
        Some(before)
    }

    /// Rows that are to be written, and those that are to go, until [`Self::written`].
    pub(crate) fn changes(&self) -> (Vec<Followed>, Vec<u64>) {
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        for index in &self.changed {
            match self.games.get(index) {
                Some(game) => rows.push(*game),
                None => gone.push(*index),
            }
        }
        (rows, gone)
    }

    /// The changes are on disk.
    pub(crate) fn written(&mut self) {
        self.changed.clear();
    }

    /// The claims that count, by the block that they claim; of several for one block those that were won come first.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let claims = self.games.values().filter_map(Followed::claim);
        let mut claims: Vec<_> = claims.filter(|claim| claim.status.holds()).collect();
        claims.sort_by_key(|claim| (claim.l2_block.number, !claim.status.is_resolved(), claim.index));
        claims
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(number: u64) -> BlockRef {
        BlockRef {
            number,
            hash: B256::with_last_byte(number as u8),
            timestamp: 2 * number,
        }
    }

    fn listed(index: u64, l2_block: u64, true_root: bool) -> Listed {
        Listed {
            claim: GameClaim {
                game: Address::with_last_byte(index as u8),
                index,
                game_type: 0,
                root_claim: B256::repeat_byte(if true_root { 1 } else { 2 }),
                l2_block,
            },
            created_at: index,
        }
    }

    /// What the chain says to a claim, up to `head`.
    fn verdict(listed: &Listed, head: u64) -> Verdict {
        match listed.claim.l2_block {
            above if above > head => Verdict::Ahead,
            number if listed.claim.root_claim == B256::repeat_byte(1) => Verdict::Ours(block(number)),
            _ => Verdict::Other(B256::repeat_byte(1)),
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Opened { l2_block: u64, true_root: bool },
        Grown { blocks: u64 },
        Judged,
        Asked,
        Resolved { index: u64, defender: bool },
        Reorged { kept: u64 },
        Written,
        Restarted,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            4 => (0u64..60, any::<bool>()).prop_map(|(l2_block, true_root)| Event::Opened { l2_block, true_root }),
            2 => (1u64..20).prop_map(|blocks| Event::Grown { blocks }),
            3 => Just(Event::Judged),
            3 => Just(Event::Asked),
            2 => (0u64..20, any::<bool>()).prop_map(|(index, defender)| Event::Resolved { index, defender }),
            1 => (0u64..20).prop_map(|kept| Event::Reorged { kept }),
            2 => Just(Event::Written),
            1 => Just(Event::Restarted),
        ];
        prop::collection::vec(event, 1..80)
    }

    /// The chain, L1 and the file, beside a book that follows them.
    #[derive(Default)]
    struct World {
        head: u64,
        games: Vec<Listed>,
        resolved: BTreeMap<u64, ClaimStatus>,
        file: BTreeMap<u64, Followed>,
        book: GameBook,
    }

    impl World {
        fn judge(&mut self) {
            let final_block = self.head.saturating_sub(10);
            for listed in self.book.unjudged(self.head, 4) {
                let is_final = listed.claim.l2_block <= final_block;
                let verdict = verdict(&listed, self.head);
                self.book.judge(listed.claim.index, verdict, is_final);
            }
        }

        fn ask(&mut self) {
            for listed in self.book.next_asked(3, 2, 1) {
                let status = self.resolved.get(&listed.claim.index).copied();
                let status = status.unwrap_or(ClaimStatus::InProgress);
                self.book.stands(listed.claim.index, status, None);
            }
        }

        fn write(&mut self) {
            let (games, gone) = self.book.changes();
            self.file.retain(|index, _| !gone.contains(index));
            self.file
                .extend(games.into_iter().map(|game| (game.listed.claim.index, game)));
            self.book.written();
        }

        fn take(&mut self, event: Event) {
            match event {
                Event::Opened { l2_block, true_root } => {
                    let listed = listed(self.games.len() as u64, l2_block, true_root);
                    self.games.push(listed);
                    self.book.follow(listed);
                }
                Event::Grown { blocks } => self.head += blocks,
                Event::Judged => self.judge(),
                Event::Asked => self.ask(),
                Event::Resolved { index, defender } => {
                    let status = if defender {
                        ClaimStatus::Final
                    } else {
                        ClaimStatus::Lost
                    };
                    self.resolved.entry(index).or_insert(status);
                }
                Event::Reorged { kept } => {
                    let kept = kept.min(self.games.len() as u64);
                    self.games.truncate(kept as usize);
                    self.resolved.retain(|index, _| *index < kept);
                    self.book.take_back(kept);
                }
                Event::Written => self.write(),
                // What was not written is read again, as it would be from where the file says.
                Event::Restarted => {
                    self.write();
                    self.book = GameBook::new(None, self.file.values().copied());
                }
            }
        }

        /// What the book must come to: the chain's own claims that did not fall.
        fn expected(&self) -> Vec<(u64, ClaimStatus)> {
            let ours = self
                .games
                .iter()
                .filter(|listed| matches!(verdict(listed, self.head), Verdict::Ours(_)));
            let status = |index: u64| self.resolved.get(&index).copied().unwrap_or(ClaimStatus::InProgress);
            let mut claims: Vec<_> = ours.map(|listed| (listed, status(listed.claim.index))).collect();
            claims.retain(|(_, status)| status.holds());
            claims.sort_by_key(|(listed, status)| (listed.claim.l2_block, !status.is_resolved(), listed.claim.index));
            claims
                .into_iter()
                .map(|(listed, status)| (listed.claim.index, status))
                .collect()
        }
    }

    proptest! {
        #[test]
        fn the_claims_come_to_be_the_chains_own_that_did_not_fall(events in events()) {
            let mut world = World::default();
            for event in events {
                world.take(event);
                // Whatever is in between, no claim is told that the chain contradicts.
                for claim in world.book.claims() {
                    prop_assert_eq!(claim.root_claim, B256::repeat_byte(1));
                    prop_assert!(claim.status.holds());
                }
            }
            // Bounded work a look, and everybody has a turn.
            for _ in 0..4 * world.games.len() + 4 {
                world.judge();
                world.ask();
            }
            let claims = world.book.claims();
            let claims: Vec<_> = claims.iter().map(|claim| (claim.index, claim.status)).collect();
            prop_assert_eq!(claims, world.expected());
        }
    }

    #[test]
    fn what_is_passed_over_is_shown_once_and_not_for_ever() {
        let mut book = GameBook::default();
        for index in (0..40).chain([39]) {
            book.pass_over(PassedOver {
                game: Address::ZERO,
                index,
                game_type: 77,
                reason: String::new(),
            });
        }
        let shown: Vec<_> = book.passed_over().map(|game| game.index).collect();
        assert_eq!(shown, (24..40).collect::<Vec<_>>());
    }

    #[test]
    fn what_could_not_be_written_is_written_the_next_time() {
        let mut book = GameBook::default();
        book.follow(listed(0, 5, true));
        let (rows, gone) = book.changes();
        assert_eq!((rows.len(), gone.len()), (1, 0));
        assert_eq!(book.changes(), (rows, gone));
        book.take_back(0);
        assert_eq!(book.changes(), (vec![], vec![0]));
        book.written();
        assert_eq!(book.changes(), (vec![], vec![]));
    }
}
