//! What the ledger does in one situation each, and what it says of it.

mod accounts;
mod listing;
mod planning;
mod reporting;
mod window;

use std::time::Duration;

use set_types::{BatchId, PendingCursor, Stage, Verdict};

use super::model::{Defect, World, stream_id};
use crate::status::{AlarmKind, HoldKind, PendingFilter};

fn rounds(world: &mut World, count: usize) {
    for _ in 0..count {
        world.round();
    }
}

fn stage(world: &World, batch_id: BatchId) -> Option<Stage> {
    world.ledger.get(batch_id).map(|pending| pending.stage)
}

fn reason(world: &World, batch_id: BatchId) -> String {
    let pending = world.ledger.get(batch_id).expect("it is in memory");
    pending.reason.unwrap_or_default()
}

fn alarms(world: &World) -> Vec<(AlarmKind, usize)> {
    let alarms = world.ledger.status().alarms;
    alarms.into_iter().map(|alarm| (alarm.kind, alarm.count)).collect()
}

fn holds(world: &World) -> Vec<HoldKind> {
    world.ledger.status().holds.into_iter().map(|hold| hold.kind).collect()
}

/// A world in which everything answers.
fn world(commitments: &[(u8, Option<Defect>)]) -> World {
    let mut world = World::new();
    for (stream, defect) in commitments {
        world.make(*stream, 2, *defect);
    }
    world.set_reachable(true);
    world
}

#[test]
fn a_stream_is_pipelined_into_calls_that_do_not_wait_for_receipts() {
    let mut world = world(&[(0, None); 7]);
    world.work_off();
    assert_eq!(
        world.submissions, 3,
        "seven fit three calls, and no block came in between"
    );
    let stages: Vec<_> = world.made(0).into_iter().map(|batch| stage(&world, batch)).collect();
    assert_eq!(stages, [Some(Stage::Sent); 7]);
    world.calm();
    world.check();
    assert_eq!(world.submissions, 3);
}

#[test]
fn other_content_under_the_same_id_on_chain_is_an_alarm_and_stops_the_stream() {
    let mut world = world(&[(0, None), (0, None), (1, None)]);
    world.squat(0);
    world.mine(0);
    rounds(&mut world, 8);
    let made = world.made(0);
    assert_eq!(stage(&world, made[0]), Some(Stage::Quarantined));
    assert!(
        reason(&world, made[0]).contains("other content"),
        "{}",
        reason(&world, made[0])
    );
    assert_eq!(stage(&world, made[1]), Some(Stage::Blocked));
    assert_eq!(alarms(&world), [(AlarmKind::ChainConflict, 1)]);
    assert_eq!(stage(&world, world.made(1)[0]), Some(Stage::Reported));
    assert_eq!((world.reports, world.submissions), (1, 1));
}

#[test]
fn what_keeps_a_commitment_back_is_shown_while_it_is_asked_about_again() {
    let mut world = world(&[(0, None), (0, None), (1, Some(Defect::Proof))]);
    world.recheck_after(Duration::from_secs(20));
    world.squat(0);
    world.mine(0);
    rounds(&mut world, 8);
    let [conflicting, behind] = world.made(0)[..] else {
        panic!("two were made");
    };
    let unproven = world.made(1)[0];
    let shown = |world: &World| {
        [conflicting, behind, unproven].map(|batch| {
            let pending = world.ledger.get(batch).expect("it is in memory");
            (pending.stage, pending.since)
        })
    };
    let before = shown(&world);
    assert_eq!(
        before.map(|(stage, _)| stage),
        [Stage::Quarantined, Stage::Blocked, Stage::Quarantined]
    );
    for _ in 0..60 {
        world.time_passes(1_000);
        for _ in 0..20 {
            world.finish_work(0, false);
            world.deliver();
            assert_eq!(shown(&world), before);
        }
    }
}

#[test]
fn what_nothing_but_a_policy_keeps_back_any_more_is_held() {
    let mut world = world(&[(0, Some(Defect::Shape)), (0, None)]);
    world.verdict = Verdict::Hold {
        until: Some(set_types::Timestamp::MAX),
        reason: "too few events".into(),
    };
    let stages = |world: &World| {
        let made = world.made(0).into_iter();
        made.map(|batch| stage(world, batch).unwrap()).collect::<Vec<_>>()
    };
    rounds(&mut world, 8);
    assert_eq!(stages(&world), [Stage::Quarantined, Stage::Blocked]);
    let first = world.made(0)[0];
    world.mend(first, |commitment| commitment.event_count -= 1);
    rounds(&mut world, 8);
    assert_eq!(stages(&world), [Stage::Held; 2]);
}

#[test]
fn a_commitment_that_is_being_proven_survives_a_new_reading_of_its_head() {
    let mut world = world(&[(0, None)]);
    rounds(&mut world, 6);
    world.make(0, 2, None);
    world.make(0, 2, None);
    let [first, stray, next] = world.made(0)[..] else {
        panic!("three were made");
    };
    assert_eq!(stage(&world, first), Some(Stage::Reported));
    // A batch that the chain passed over without it comes to light: that calls for a new look at the head,
    // while the commitment behind it goes to be proven.
    let mut honest = None;
    world.rewrite(stray, |commitment| {
        honest = Some(commitment.clone());
        (commitment.sequence_start, commitment.sequence_end) = (1, 2);
    });
    world.rewrite(next, |commitment| {
        let batch_id = commitment.batch_id;
        *commitment = honest.unwrap();
        commitment.batch_id = batch_id;
    });
    rounds(&mut world, 8);
    assert_eq!(stage(&world, stray), Some(Stage::Quarantined));
    assert!(world.is_recorded(next), "{:?}", reason(&world, next));
}

#[test]
fn what_never_continues_the_head_is_quarantined_after_three_strikes() {
    let mut world = world(&[(0, Some(Defect::Order)), (0, None), (1, None)]);
    rounds(&mut world, 12);
    let made = world.made(0);
    assert_eq!(stage(&world, made[0]), Some(Stage::Quarantined));
    assert!(
        reason(&world, made[0]).contains("3 times"),
        "{}",
        reason(&world, made[0])
    );
    assert_eq!(stage(&world, made[1]), Some(Stage::Blocked));
    assert_eq!(world.submissions, 3, "and no more is paid for it");
}

#[test]
fn what_the_contract_refuses_is_sent_again_alone_and_ever_more_rarely() {
    const MINUTE: Duration = Duration::from_secs(60);
    let minutes_pass = |world: &mut World, minutes: u64| {
        world.time_passes(minutes * 60_000);
        rounds(world, 3);
    };
    let mut world = world(&[(0, Some(Defect::Refused)), (0, None)]);
    world.recheck_after(10 * MINUTE);
    rounds(&mut world, 4);
    let made = world.made(0);
    assert_eq!(
        (stage(&world, made[0]), world.submissions),
        (Some(Stage::Quarantined), 1)
    );
    assert_eq!(stage(&world, made[1]), Some(Stage::Blocked));
    let refused = world.kept[&made[0]].clone();
    let mut tries = Vec::new();
    for minute in 1..=90 {
        let before = world.submissions;
        minutes_pass(&mut world, 1);
        if world.submissions > before {
            tries.push(minute);
        }
    }
    assert_eq!(tries.len(), 4, "after 10, 20, 40 and 80 minutes: {tries:?}");
    assert_eq!(world.kept[&made[0]], refused, "it is the same quarantine all along");
    world.restart(true);
    rounds(&mut world, 8);
    assert_eq!(
        (stage(&world, made[0]), world.submissions),
        (Some(Stage::Quarantined), 5)
    );
    minutes_pass(&mut world, 10);
    assert_eq!(
        world.submissions, 6,
        "a new run does not wait for what is left of the pause"
    );
    assert_eq!(stage(&world, made[0]), Some(Stage::Quarantined));
    world.mend(made[0], |_| ());
    minutes_pass(&mut world, 24 * 60);
    world.calm();
    world.check();
    assert!(world.kept.is_empty(), "{:?}", world.kept);
}

#[test]
fn strikes_do_not_count_while_the_source_is_ill() {
    let mut world = world(&[(0, Some(Defect::Order))]);
    world.work_off();
    world.fail_polls(true);
    for _ in 0..6 {
        world.round();
    }
    assert_ne!(stage(&world, world.made(0)[0]), Some(Stage::Quarantined));
    world.fail_polls(false);
    rounds(&mut world, 20);
    assert_eq!(stage(&world, world.made(0)[0]), Some(Stage::Quarantined));
}

#[test]
fn a_paused_contract_is_tried_again_ever_more_rarely_with_one_commitment() {
    let mut world = world(&[(0, None), (0, None), (1, None)]);
    world.paused = true;
    rounds(&mut world, 30);
    assert!(holds(&world).contains(&HoldKind::Contract), "{:?}", holds(&world));
    assert!((4..=12).contains(&world.submissions), "{}", world.submissions);
    assert_eq!(stage(&world, world.made(0)[0]), Some(Stage::Held));
    world.paused = false;
    world.calm();
    world.check();
    assert!(!holds(&world).contains(&HoldKind::Contract));
}

#[test]
fn planning_waits_for_transactions_of_the_run_before() {
    let mut world = world(&[(0, None), (0, None)]);
    world.work_off();
    assert_eq!(world.submissions, 1);
    world.restart(true);
    world.set_reachable(true);
    world.time_passes(1_000);
    world.work_off();
    assert!(holds(&world).contains(&HoldKind::Recovery));
    assert_eq!(world.submissions, 1);
    world.calm();
    world.check();
    assert_eq!(world.submissions, 1, "what was on its way arrived");
}

#[test]
fn a_hold_is_judged_anew_when_more_waits() {
    let mut world = world(&[(0, None)]);
    world.verdict = Verdict::Hold {
        until: Some(set_types::Timestamp::MAX),
        reason: "too few events".into(),
    };
    rounds(&mut world, 4);
    let asked = world.judgements;
    rounds(&mut world, 4);
    assert_eq!(world.judgements, asked, "its time has not come");
    world.make(0, 2, None);
    rounds(&mut world, 2);
    assert!(world.judgements > asked);
    world.verdict = Verdict::Allow;
    world.make(0, 2, None);
    world.calm();
    world.check();
}

#[test]
fn what_is_quarantined_is_written_down_as_soon_as_it_can_be() {
    let mut world = world(&[(0, Some(Defect::Shape))]);
    let batch = world.made(0)[0];
    world.records_fail = true;
    rounds(&mut world, 3);
    assert_eq!(alarms(&world), [(AlarmKind::Store, 0)]);
    assert!(world.kept.is_empty());
    world.records_fail = false;
    rounds(&mut world, 6);
    assert_eq!(alarms(&world), []);
    assert!(world.kept.keys().eq([&batch]), "{:?}", world.kept);
    world.mend(batch, |commitment| commitment.event_count -= 1);
    world.calm();
    assert!(world.kept.is_empty(), "and struck out once it goes: {:?}", world.kept);
}

#[test]
fn draining_begins_nothing_new() {
    let mut world = world(&[(0, None), (1, None)]);
    rounds(&mut world, 3);
    world.make(0, 1, None);
    let (polls, submissions) = (world.polls, world.submissions);
    world.ledger.drain();
    rounds(&mut world, 8);
    assert_eq!((world.polls, world.submissions), (polls, submissions));
    assert!(world.ledger.is_drained());
    assert!(world.ledger.status().draining);
}

#[test]
fn what_is_pending_is_listed_in_pages_by_stream_and_sequence() {
    let mut world = world(&[(1, None), (0, None), (1, None), (0, None), (0, None)]);
    world.work_off();
    let filter = PendingFilter::default();
    let all = world.ledger.pending(filter, None, 10);
    let places: Vec<_> = all
        .iter()
        .map(|pending| (pending.commitment.stream(), pending.commitment.sequence_start))
        .collect();
    assert_eq!(places.len(), 5);
    assert!(places.is_sorted());
    let mut paged = world.ledger.pending(filter, None, 2);
    while let Some(last) = paged.last() {
        let page = world.ledger.pending(filter, Some(PendingCursor::from(last)), 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let one = PendingFilter {
        stream: Some(stream_id(1)),
        stage: Some(Stage::Sent),
    };
    assert_eq!(world.ledger.pending(one, None, 10).len(), 2);
    assert_eq!(
        world.ledger.pending(one, Some(PendingCursor::from(&all[0])), 10).len(),
        2
    );
    let none = PendingFilter {
        stage: Some(Stage::Held),
        ..filter
    };
    assert_eq!(world.ledger.pending(none, None, 10), []);
}
