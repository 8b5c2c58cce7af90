//! Reports: when they go out, what the source says to them, and what a reorg makes of them.

use std::time::Duration;

use alloy_primitives::B256;
use set_types::{ReportStatus, Stage};

use super::{alarms, reason, rounds, stage, world};
use crate::status::AlarmKind;

#[test]
fn nothing_is_reported_before_its_tag() {
    let mut world = world(&[(0, None)]);
    rounds(&mut world, 2);
    let batch = world.made(0)[0];
    assert_eq!(stage(&world, batch), Some(Stage::Included));
    assert!(reason(&world, batch).contains("safe"), "{}", reason(&world, batch));
    assert_eq!(world.reports, 0);
    rounds(&mut world, 4);
    assert_eq!((stage(&world, batch), world.reports), (Some(Stage::Reported), 1));
}

#[test]
fn a_receipt_says_what_gas_was_used_where_this_run_sent_the_transaction() {
    // A transaction of the model uses 1,000 gas.
    let mut world = world(&[(0, None), (0, None)]);
    rounds(&mut world, 6);
    assert_eq!(world.gas, [Some(500), Some(500)]);
    world.make(0, 2, None);
    world.race(0);
    world.mine(0);
    rounds(&mut world, 6);
    assert_eq!(
        world.gas,
        [Some(500), Some(500), None],
        "somebody else committed the third"
    );
}

#[test]
fn a_reorg_that_moves_a_transaction_leaves_its_gas_in_the_receipts() {
    let mut world = world(&[(0, None), (0, None)]);
    rounds(&mut world, 2);
    assert_eq!(stage(&world, world.made(0)[1]), Some(Stage::Included));
    world.reorg(1, false);
    rounds(&mut world, 20);
    assert_eq!(world.gas, [Some(500), Some(500)]);
}

#[test]
fn what_nobody_can_locate_is_named_and_looked_for_ever_more_seldom() {
    let mut world = world(&[(0, None)]);
    world.race(0);
    world.mine(0);
    world.dropped = true;
    world.recheck_after(Duration::from_secs(100));
    rounds(&mut world, 60);
    let batch = world.made(0)[0];
    assert_eq!(alarms(&world), [(AlarmKind::Unlocated, 1)]);
    let searches = world.searches;
    rounds(&mut world, 300);
    let more = world.searches - searches;
    assert!((1..20).contains(&more), "{more} searches in 300 rounds");
    assert_eq!((world.reports, world.submissions), (0, 0));
    world.dropped = false;
    rounds(&mut world, 120);
    assert_eq!(alarms(&world), []);
    assert_eq!((stage(&world, batch), world.reports), (Some(Stage::Reported), 1));
}

#[test]
fn a_report_that_the_source_contradicts_is_never_repeated() {
    let mut world = world(&[(0, None)]);
    world.report_answer = Some(ReportStatus::Conflict {
        recorded: Some(B256::repeat_byte(9)),
        reason: "other hash".into(),
    });
    rounds(&mut world, 30);
    assert_eq!(world.reports, 1);
    assert_eq!(alarms(&world), [(AlarmKind::ReportConflict, 1)]);
    assert!(reason(&world, world.made(0)[0]).contains("other hash"));
}

#[test]
fn a_report_that_is_to_be_repeated_waits_as_long_as_the_source_says() {
    let mut world = world(&[(0, None)]);
    world.report_answer = Some(ReportStatus::Retry {
        after_ms: Some(20_000),
        reason: "slow down".into(),
    });
    rounds(&mut world, 20);
    assert_eq!(world.reports, 1);
    world.report_answer = None;
    rounds(&mut world, 10);
    assert_eq!(
        (world.reports, stage(&world, world.made(0)[0])),
        (2, Some(Stage::Reported))
    );
}

#[test]
fn a_reorg_past_a_report_is_an_alarm_that_names_the_batch_until_it_is_committed_again() {
    let mut world = world(&[(0, None)]);
    rounds(&mut world, 5);
    let batch = world.made(0)[0];
    assert_eq!(stage(&world, batch), Some(Stage::Reported));
    world.reorg_past_safe(5);
    world.work_off();
    assert_eq!(alarms(&world), [(AlarmKind::ReorgAfterReport, 1)]);
    assert_eq!(world.ledger.status().alarms[0].batches, [batch]);
    world.calm();
    assert_eq!(world.committed(), 1, "it is committed again");
    // In another transaction than the one that was reported: that is what an operator has to mend by hand.
    assert_eq!(alarms(&world), [(AlarmKind::ReportConflict, 1)]);
    assert!(world.conflicts[&batch].reason.contains("which a reorg undid"));
}

#[test]
fn a_dismissed_conflict_is_silent_for_good_and_still_never_reported() {
    let mut world = world(&[(0, None), (1, None)]);
    let batch = world.made(0)[0];
    world.report_answer = Some(ReportStatus::Conflict {
        recorded: Some(B256::repeat_byte(9)),
        reason: "other hash".into(),
    });
    rounds(&mut world, 8);
    assert_eq!(alarms(&world), [(AlarmKind::ReportConflict, 2)]);
    assert!(world.ledger.dismiss_conflict(batch));
    assert!(
        !world.ledger.dismiss_conflict(B256::repeat_byte(1).into()),
        "there is none"
    );
    rounds(&mut world, 2);
    assert_eq!(alarms(&world), [(AlarmKind::ReportConflict, 1)]);
    let reports = world.reports;
    for _ in 0..2 {
        world.restart(true);
        rounds(&mut world, 12);
        assert_eq!(alarms(&world), [(AlarmKind::ReportConflict, 1)], "only the other one");
        assert_eq!(world.reports, reports);
    }
    assert!(reason(&world, batch).contains("other hash"));
    assert_eq!(world.conflicts.len(), 2);
    // Once the source lists it no more, nothing needs to be known of it.
    world.record(batch, B256::repeat_byte(9));
    rounds(&mut world, 3);
    assert_eq!((stage(&world, batch), world.conflicts.len()), (None, 1));
}

#[test]
fn what_a_reorg_undid_is_read_from_the_chain_once_it_is_included_anew() {
    let mut world = world(&[(0, None), (0, None), (1, None)]);
    rounds(&mut world, 2);
    let batch = world.made(0)[0];
    assert_eq!(stage(&world, batch), Some(Stage::Included));
    // The outcome was read, and the calldata that told it is not kept.
    world.reorg(2, true);
    world.work_off();
    assert_eq!(stage(&world, batch), Some(Stage::Sent));
    world.calm();
    world.check();
    assert_eq!(world.submissions, 1, "the same bytes were included again");
}
