//! Whatever happens, in whatever order: nothing is committed twice, nothing is lost, streams keep their
//! order, a bad commitment stops only its own stream, and what is anchored is reported with one hash.

use proptest::prelude::*;

use super::model::{Defect, World};

#[derive(Debug, Clone)]
enum Action {
    Make(u8, u32, Option<Defect>),
    Pass(u64),
    Finish(usize, bool),
    Deliver,
    Mine(usize),
    Reorg(usize, bool),
    Race(u8),
    Supersede(bool),
    Drop,
    GiveBack,
    ReportElsewhere(u8),
    Stale(bool),
    Reachable(bool),
    Pause(bool),
    Index(u64),
    Restart(bool),
    Admit(u8),
    Retire(u8),
    Authorise(u8, bool),
    Bind(u8, u8),
    Lead(bool),
    Round,
}

fn defect() -> impl Strategy<Value = Option<Defect>> {
    prop_oneof![
        16 => Just(None),
        1 => Just(Some(Defect::Shape)),
        1 => Just(Some(Defect::Refused)),
        1 => Just(Some(Defect::Root)),
        1 => Just(Some(Defect::Proof)),
        1 => Just(Some(Defect::Excluded)),
        1 => Just(Some(Defect::Order)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (0u8..4, 1u32..4, defect()).prop_map(|(stream, events, defect)| Action::Make(stream, events, defect)),
        10 => (0u64..3_000).prop_map(Action::Pass),
        40 => (0usize..8, prop::bool::weighted(0.12)).prop_map(|(which, fails)| Action::Finish(which, fails)),
        20 => Just(Action::Deliver),
        12 => (0usize..5).prop_map(Action::Mine),
        4 => (1usize..3, any::<bool>()).prop_map(|(depth, keep)| Action::Reorg(depth, keep)),
        3 => (0u8..4).prop_map(Action::Race),
        2 => any::<bool>().prop_map(Action::Supersede),
        1 => Just(Action::Drop),
        1 => Just(Action::GiveBack),
        2 => (0u8..4).prop_map(Action::ReportElsewhere),
        2 => any::<bool>().prop_map(Action::Stale),
        2 => any::<bool>().prop_map(Action::Reachable),
        1 => any::<bool>().prop_map(Action::Pause),
        8 => (0u64..4).prop_map(Action::Index),
        2 => any::<bool>().prop_map(Action::Restart),
        3 => (0u8..3).prop_map(Action::Admit),
        2 => (0u8..3).prop_map(Action::Retire),
        2 => (0u8..3, any::<bool>()).prop_map(|(account, authorised)| Action::Authorise(account, authorised)),
        1 => (0u8..4, 0u8..3).prop_map(|(stream, account)| Action::Bind(stream, account)),
        2 => prop::bool::weighted(0.7).prop_map(Action::Lead),
        4 => Just(Action::Round),
    ]
}

fn play(world: &mut World, action: Action) {
    match action {
        Action::Make(stream, events, defect) => world.make(stream, events, defect),
        Action::Pass(milliseconds) => world.time_passes(milliseconds),
        Action::Finish(which, fails) => world.finish_work(which, fails),
        Action::Deliver => world.deliver(),
        Action::Mine(most) => world.mine(most),
        Action::Reorg(depth, keep_foreign) => world.reorg(depth, keep_foreign),
        Action::Race(stream) => world.race(stream),
        Action::Supersede(commits) => world.supersede(commits),
        Action::Drop => world.drop_call(),
        Action::GiveBack => world.give_back(),
        Action::ReportElsewhere(stream) => world.report_elsewhere(stream),
        Action::Stale(stale) => world.set_stale(stale),
        Action::Reachable(reachable) => world.set_reachable(reachable),
        Action::Pause(paused) => world.paused = paused,
        Action::Index(blocks) => world.index(blocks),
        Action::Restart(journal) => world.restart(journal),
        Action::Admit(account) => world.admit(account),
        Action::Retire(account) => world.retire(account),
        Action::Authorise(account, authorised) => world.authorise(account, authorised),
        Action::Bind(stream, account) => world.bind(stream, account),
        Action::Lead(leading) => world.lead(leading),
        Action::Round => world.round(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_is_done_twice(actions in prop::collection::vec(action(), 1..250)) {
        let mut world = World::new();
        world.set_reachable(true);
        for action in actions {
            play(&mut world, action);
        }
        world.calm();
        world.check();
    }
}
