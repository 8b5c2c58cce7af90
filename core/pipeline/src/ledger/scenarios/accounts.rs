//! Several sending accounts, and the lease.

use std::time::Duration;

use set_types::Stage;

use super::{alarms, holds, reason, rounds, stage, world};
use crate::{
    ledger::model::{Defect, World, account},
    status::{AlarmKind, HoldKind},
};

/// Two accounts, and commitments as `made` says: streams with so many each.
fn two_accounts(streams: u8, each: usize) -> World {
    let made: Vec<(u8, Option<Defect>)> = (0..each)
        .flat_map(|_| (0..streams).map(|stream| (stream, None)))
        .collect();
    let mut world = world(&made);
    world.window = 1_000;
    world.admit(1);
    world
}

fn calls_of(world: &World, which: u8) -> usize {
    world.senders.iter().filter(|sender| **sender == account(which)).count()
}

#[test]
fn two_accounts_send_side_by_side() {
    let mut world = two_accounts(8, 3);
    world.work_off();
    assert_eq!(
        (calls_of(&world, 0), calls_of(&world, 1)),
        (4, 4),
        "no block came in between"
    );
    world.calm();
    world.check();
}

#[test]
fn a_stream_goes_on_at_the_account_that_has_it_on_its_way() {
    let mut world = two_accounts(1, 20);
    world.work_off();
    assert_eq!(world.senders.len(), 4, "one account's room");
    assert!(world.senders.iter().all(|sender| *sender == world.senders[0]));
    world.calm();
    world.check();
}

#[test]
fn an_account_that_is_not_authorised_holds_itself_alone_and_resumes_by_itself() {
    let mut world = two_accounts(4, 2);
    world.authorise(0, false);
    rounds(&mut world, 12);
    assert_eq!(holds(&world), [HoldKind::Account]);
    for stream in 0..4 {
        for batch in world.made(stream) {
            assert_eq!(stage(&world, batch), Some(Stage::Reported));
        }
    }
    world.authorise(0, true);
    // Whoever comes first tries again with it.
    for _ in 0..20 {
        world.make(0, 1, None);
        world.make(1, 1, None);
        rounds(&mut world, 1);
    }
    assert_eq!(holds(&world), []);
    world.calm();
    world.check();
}

#[test]
fn a_stream_bound_to_another_of_the_accounts_goes_on_at_that_one() {
    let mut world = two_accounts(1, 3);
    world.work_off();
    let other = u8::from(world.senders[0] == account(0));
    world.bind(0, other);
    rounds(&mut world, 20);
    assert_eq!((calls_of(&world, 1 - other), calls_of(&world, other)), (1, 1));
    assert_eq!(alarms(&world), []);
    world.make(0, 2, None);
    rounds(&mut world, 8);
    assert_eq!(calls_of(&world, other), 2);
    world.calm();
    world.check();
}

#[test]
fn a_stream_bound_to_an_account_that_does_not_send_here_names_it_until_it_does() {
    let mut world = two_accounts(2, 3);
    world.bind(0, 7);
    world.recheck_after(Duration::from_secs(20));
    rounds(&mut world, 200);
    let first = world.made(0)[0];
    assert_eq!(alarms(&world), [(AlarmKind::BoundElsewhere, 1)]);
    assert!(reason(&world, first).contains(&account(7).to_string()));
    for batch in world.made(1) {
        assert_eq!(stage(&world, batch), Some(Stage::Reported));
    }
    let tries = world.senders.len();
    assert!((3..10).contains(&tries), "ever longer pauses: {tries}");
    world.admit(7);
    rounds(&mut world, 8);
    assert_eq!(alarms(&world), []);
    assert!(calls_of(&world, 7) > 0);
    world.calm();
    world.check();
}

#[test]
fn while_no_account_is_authorised_everything_is_held_without_strikes() {
    let mut world = two_accounts(2, 2);
    world.authorise(0, false);
    world.authorise(1, false);
    rounds(&mut world, 30);
    assert_eq!(holds(&world), [HoldKind::Account, HoldKind::Account]);
    let batch = world.made(0)[0];
    assert_eq!(stage(&world, batch), Some(Stage::Held));
    assert!(reason(&world, batch).contains("not authorised"));
    assert!(world.submissions < 30, "ever more rarely: {}", world.submissions);
    world.authorise(1, true);
    world.calm();
    world.check();
}

#[test]
fn a_retired_account_finishes_what_it_began_and_its_streams_go_on_elsewhere() {
    let mut world = two_accounts(1, 3);
    world.work_off();
    let first = world.senders[0];
    let (retired, other) = if first == account(0) { (0, 1) } else { (1, 0) };
    world.retire(retired);
    assert!(
        !world.ledger.is_retired(account(retired)),
        "something of it is on its way"
    );
    for _ in 0..3 {
        world.make(0, 1, None);
    }
    world.time_passes(1_000);
    world.work_off();
    assert_eq!(calls_of(&world, other), 0, "the stream is on its way elsewhere");
    rounds(&mut world, 4);
    assert!(world.ledger.is_retired(account(retired)));
    assert_eq!((calls_of(&world, retired), calls_of(&world, other)), (1, 1));
    rounds(&mut world, 8);
    assert!(
        !world.ledger.knows(account(retired)),
        "and is forgotten once all of it is settled"
    );
    world.calm();
    world.check();
}

#[test]
fn with_no_account_left_commitments_wait_and_say_so() {
    let mut world = world(&[(0, None)]);
    world.retire(0);
    rounds(&mut world, 3);
    let batch = world.made(0)[0];
    assert!(reason(&world, batch).contains("retired"), "{}", reason(&world, batch));
    world.calm();
    world.check();
}

#[test]
fn a_standby_checks_and_reports_and_sends_nothing() {
    let mut world = world(&[(0, None), (1, None)]);
    world.lead(false);
    rounds(&mut world, 3);
    let batch = world.made(0)[0];
    assert!(!world.ledger.status().leading);
    assert_eq!(stage(&world, batch), Some(Stage::Held));
    assert!(reason(&world, batch).contains("stands by"), "{}", reason(&world, batch));
    // Whoever holds the lease commits one.
    world.race(0);
    rounds(&mut world, 10);
    assert!(world.is_recorded(batch), "{:?}", stage(&world, batch));
    assert_eq!((world.submissions, world.reports), (0, 1));
    world.lead(true);
    rounds(&mut world, 6);
    assert_eq!(stage(&world, world.made(1)[0]), Some(Stage::Reported));
    assert_eq!(world.submissions, 1);
}
