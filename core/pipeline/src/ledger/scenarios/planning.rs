//! Plans that the submitter refuses, calls that come back, and answers that come too late.

use set_types::Stage;

use super::{alarms, holds, reason, rounds, stage, world};
use crate::{
    ledger::{Work, model::stream_id},
    status::{AlarmKind, HoldKind},
};

#[test]
fn a_commitment_that_does_not_fit_a_transaction_keeps_only_its_stream_back() {
    let mut world = world(&[(0, None), (1, None), (2, None), (3, None), (0, None)]);
    let large = world.made(0)[0];
    world.unplannable.insert(large);
    rounds(&mut world, 12);
    assert_eq!(alarms(&world), [(AlarmKind::Unplannable, 1)]);
    assert_eq!(world.ledger.status().alarms[0].batches, [large]);
    assert!(
        world.ledger.status().alarms[0]
            .message
            .contains("more than a transaction may have")
    );
    for stream in 1..4 {
        assert_eq!(stage(&world, world.made(stream)[0]), Some(Stage::Reported));
    }
    // It is tried again alone, and the others are not held up by that.
    world.make(1, 1, None);
    rounds(&mut world, 8);
    assert!(world.is_recorded(world.made(1)[1]));
    let plans = world.plans;
    rounds(&mut world, 40);
    assert!(world.plans - plans <= 40, "{} plans in 40 s", world.plans - plans);
    world.unplannable.clear();
    world.calm();
    world.check();
    assert_eq!(alarms(&world), []);
}

#[test]
fn while_nothing_fits_a_transaction_everything_waits_without_a_hot_loop() {
    let mut world = world(&[(0, None)]);
    for stream in 0..40 {
        world.make(stream, 1, None);
    }
    world.window = 1_000;
    world.unplannable = (0..40).flat_map(|stream| world.made(stream)).collect();
    rounds(&mut world, 60);
    assert!(holds(&world).contains(&HoldKind::Submitter), "{:?}", holds(&world));
    assert!(alarms(&world).iter().any(|(kind, _)| *kind == AlarmKind::Unplannable));
    assert!(world.plans < 200, "{} plans in a minute", world.plans);
    assert_eq!(world.submissions, 0);
    world.unplannable.clear();
    world.calm();
    world.check();
}

#[test]
fn a_call_that_is_passed_over_is_planned_again_with_less_in_each() {
    let mut world = world(&[(0, None), (0, None), (0, None)]);
    world.work_off();
    assert_eq!(world.submissions, 1);
    world.per_call = 1;
    world.supersede(false);
    world.work_off();
    rounds(&mut world, 1);
    assert_eq!(world.submissions, 4, "one call of three became three calls");
    world.calm();
    world.check();
}

#[test]
fn a_late_answer_about_an_inclusion_that_was_undone_is_discarded() {
    let mut world = world(&[(0, None)]);
    world.work_off();
    let batch = world.made(0)[0];
    // In its first block the registry was paused; in the block that replaced that one it was not.
    world.paused = true;
    world.mine(4);
    world.deliver_all();
    world.paused = false;
    world.reorg(1, true);
    world.mine(4);
    world.deliver_all();
    let settle = |work: &Work| matches!(work, Work::Settle { .. });
    world.finish(settle);
    assert_eq!((stage(&world, batch), holds(&world)), (Some(Stage::Sent), vec![]));
    world.finish(settle);
    assert_eq!(stage(&world, batch), Some(Stage::Included));
    assert!(!reason(&world, batch).contains("paused"));
}

#[test]
fn a_head_that_was_read_before_a_call_moved_it_does_not_move_it_back() {
    let mut world = world(&[(0, None)]);
    world.work_off();
    let stream = stream_id(0);
    world.ledger.reread(stream, false);
    world.begin();
    // The chain is asked now, and answers late.
    world.read_now();
    world.mine(4);
    world.deliver_all();
    world.finish(|work| matches!(work, Work::Settle { .. }));
    let committed = Some(world.commitment(world.made(0)[0]).head());
    assert_eq!(world.ledger.streams[&stream].head, committed);
    world.finish(|work| matches!(work, Work::ReadHeads { .. }));
    assert_eq!(world.ledger.streams[&stream].head, committed);
    world.calm();
    world.check();
}

#[test]
fn a_state_root_that_differs_is_a_warning_or_a_quarantine_as_configured() {
    use crate::config::StateRootCheck;
    for (check, reached) in [
        (StateRootCheck::Off, Stage::Reported),
        (StateRootCheck::Warn, Stage::Reported),
        (StateRootCheck::Enforce, Stage::Quarantined),
    ] {
        // The model's state roots are none of VES v1.
        let mut world = world(&[(0, None)]);
        world.reconfigure(|config| config.verify_state_root = check);
        rounds(&mut world, 8);
        assert_eq!(stage(&world, world.made(0)[0]), Some(reached), "{check:?}");
    }
}
