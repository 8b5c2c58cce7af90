//! A window of the source that is full, and what is read past it.

use super::{alarms, rounds, stage, world};
use crate::{
    ledger::model::{Defect, World, stream_id},
    status::AlarmKind,
};

/// Fills the window, which shows eight, with what can never be anchored.
fn clog(world: &mut World, stream: u8) {
    world.make(stream, 1, Some(Defect::Shape));
    for _ in 0..7 {
        world.make(stream, 1, None);
    }
}

#[test]
fn a_window_full_of_what_is_stuck_is_an_alarm_that_names_it() {
    let mut world = world(&[(1, None)]);
    rounds(&mut world, 1);
    clog(&mut world, 0);
    rounds(&mut world, 8);
    // Nobody has seen this one, and nobody can.
    world.make(2, 1, None);
    rounds(&mut world, 12);
    let window = world.ledger.status().window.expect("it is full");
    assert_eq!(window.stages.values().sum::<usize>(), 8);
    assert_eq!(window.worst[0].stream, stream_id(0));
    assert_eq!(window.worst[0].commitments, 8);
    assert_eq!(alarms(&world), [(AlarmKind::WindowFull, 0)]);
    let message = world.ledger.status().alarms[0].message.clone();
    assert!(message.contains("7 blocked, 1 quarantined"), "{message}");
    assert!(message.contains("`event_count` is 2"), "{message}");
    assert_eq!(stage(&world, world.made(2)[0]), None);
    // Once it moves, what was hidden comes to light.
    let first = world.made(0)[0];
    world.mend(first, |commitment| commitment.event_count -= 1);
    rounds(&mut world, 30);
    assert!(world.is_recorded(world.made(2)[0]));
    assert_eq!((alarms(&world), world.ledger.status().window), (vec![], None));
}

#[test]
fn a_new_run_knows_from_the_index_which_streams_to_read_past_a_full_window() {
    let mut world = world(&[(1, None)]);
    rounds(&mut world, 8);
    clog(&mut world, 0);
    rounds(&mut world, 2);
    world.restart(false);
    world.make(1, 1, None);
    rounds(&mut world, 25);
    let hidden = world.made(1)[1];
    assert!(world.is_recorded(hidden), "{:?}", stage(&world, hidden));
}

#[test]
fn what_is_anchored_and_not_reported_yet_does_not_bound_what_is_anchored() {
    const STREAMS: u8 = 40;
    const ROUNDS: usize = 120;
    let mut world = world(&[]);
    world.per_call = 100;
    // Nothing is safe for as long as this takes.
    world.safe_lag = 100_000;
    world.window = 100;
    for stream in 0..STREAMS {
        world.make(stream, 1, None);
    }
    rounds(&mut world, 2);
    world.window = 8;
    for round in 0..ROUNDS {
        for stream in (0..STREAMS).filter(|stream| (usize::from(*stream) + round).is_multiple_of(4)) {
            world.make(stream, 1, None);
        }
        rounds(&mut world, 1);
    }
    rounds(&mut world, 15);
    let made: usize = (0..STREAMS).map(|stream| world.made(stream).len()).sum();
    let committed = world.committed();
    assert!(made > 900, "{made}");
    assert_eq!(world.reports, 0);
    assert!(committed >= made - 60, "{committed} of {made} are anchored");
    assert!(world.readings <= 50 * (ROUNDS + 15), "{} readings", world.readings);
    // What only waits is kept small.
    assert!(world.ledger.resting >= committed - 20, "{} rest", world.ledger.resting);
    world.safe_lag = 2;
    rounds(&mut world, 400);
    assert!(world.reports >= committed, "{} of {committed}", world.reports);
}
