//! What the source lists: changed, twice, stale, unreadable, or too much for its window.

use alloy_primitives::{B256, U256};
use set_types::{Commitment, Malformed, Stage, Verdict};

use super::{reason, rounds, stage, world};
use crate::ledger::model::{Defect, stream_id};

#[test]
fn a_commitment_that_changes_at_the_source_is_held_until_it_changes_back() {
    let mut world = world(&[(0, None), (0, None)]);
    world.verdict = Verdict::Hold {
        until: None,
        reason: "not yet".into(),
    };
    rounds(&mut world, 2);
    let first = world.made(0)[0];
    assert_eq!(stage(&world, first), Some(Stage::Held));
    assert!(reason(&world, first).contains("not yet"));
    let honest = B256::repeat_byte(0x11);
    let mut before = honest;
    world.rewrite(first, |commitment| {
        before = std::mem::replace(&mut commitment.events_root, honest)
    });
    rounds(&mut world, 2);
    assert_eq!(stage(&world, first), Some(Stage::Quarantined));
    assert!(
        reason(&world, first).contains("`events_root` was"),
        "{}",
        reason(&world, first)
    );
    world.verdict = Verdict::Allow;
    rounds(&mut world, 2);
    assert_eq!(world.submissions, 0);
    world.rewrite(first, |commitment| commitment.events_root = before);
    world.calm();
    world.check();
}

#[test]
fn a_malformed_commitment_that_is_mended_goes() {
    let mut world = world(&[(0, Some(Defect::Shape)), (0, None)]);
    rounds(&mut world, 2);
    let first = world.made(0)[0];
    assert_eq!(stage(&world, first), Some(Stage::Quarantined));
    world.mend(first, |commitment| commitment.event_count -= 1);
    world.calm();
    world.check();
}

#[test]
fn entries_that_cannot_be_read_are_shown_and_hide_nobody() {
    let mut world = world(&[(0, None)]);
    world.malformed = vec![Malformed {
        batch_id: Some("no id".into()),
        stream: Some(stream_id(1)),
        reason: "`sequence_end` is a text".into(),
    }];
    rounds(&mut world, 6);
    let status = world.ledger.status();
    assert_eq!(status.malformed.len(), 1);
    assert!(status.malformed[0].reason.contains("sequence_end"));
    assert_eq!(stage(&world, world.made(0)[0]), Some(Stage::Reported));
}

/// Entries that cannot be read, with ids.
fn unreadable(ids: std::ops::Range<u64>) -> Vec<Malformed> {
    ids.map(|id| Malformed {
        batch_id: Some(B256::from(U256::from(id)).to_string()),
        stream: None,
        reason: "`events_root` is missing".into(),
    })
    .collect()
}

#[test]
fn entries_that_cannot_be_read_are_kept_while_they_are_listed_and_no_longer() {
    let mut world = world(&[(0, None)]);
    world.malformed = unreadable(1..4);
    rounds(&mut world, 4);
    assert_eq!(world.kept.len(), 3);
    world.malformed.truncate(1);
    rounds(&mut world, 4);
    assert_eq!(world.kept.len(), 1);
}

#[test]
fn entries_that_cannot_be_read_do_not_pile_up_behind_a_full_window() {
    // What cannot go fills the window, so that no list is complete.
    let mut world = world(&[(0, Some(Defect::Shape)); 8]);
    rounds(&mut world, 2);
    let before = world.kept.len();
    for round in 0..10 {
        world.malformed = unreadable(round * 50..(round + 1) * 50);
        rounds(&mut world, 1);
    }
    rounds(&mut world, 2);
    assert!(world.ledger.status().source.window_full);
    assert_eq!(world.kept.len() - before, 100);
}

#[test]
fn a_batch_that_one_list_shows_with_two_contents_stays_quarantined_for_one_reason() {
    let mut world = world(&[(0, None)]);
    let batch = world.made(0)[0];
    world.strays = vec![Commitment {
        events_root: B256::repeat_byte(0x11),
        ..world.commitment(batch)
    }];
    rounds(&mut world, 2);
    let (records, shown) = (world.records, world.ledger.get(batch).unwrap());
    assert_eq!(shown.stage, Stage::Quarantined);
    assert!(reason(&world, batch).contains("twice"), "{}", reason(&world, batch));
    for round in 0..6 {
        world.strays_first = round % 2 == 0;
        rounds(&mut world, 1);
    }
    assert_eq!(world.ledger.get(batch).unwrap(), shown);
    assert_eq!(
        (world.records, world.submissions),
        (records, 0),
        "and it is written down once"
    );
    world.strays.clear();
    world.calm();
    world.check();
}

#[test]
fn a_batch_that_cannot_be_read_twice_alike_is_not_exchanged_at_every_poll() {
    let mut world = world(&[(0, Some(Defect::Shape))]);
    let batch = world.made(0)[0];
    world.strays = vec![Commitment {
        events_root: B256::repeat_byte(0x11),
        ..world.commitment(batch)
    }];
    rounds(&mut world, 3);
    let records = world.records;
    rounds(&mut world, 6);
    assert_eq!(world.records, records);
    assert_eq!(stage(&world, batch), Some(Stage::Quarantined));
}

#[test]
fn a_newcomer_with_the_id_of_a_batch_that_was_reported_is_shown() {
    let mut world = world(&[(0, None)]);
    rounds(&mut world, 6);
    let batch = world.made(0)[0];
    assert_eq!(stage(&world, batch), Some(Stage::Reported));
    let old = world.commitment(batch);
    world.strays = vec![Commitment {
        prev_state_root: old.new_state_root,
        new_state_root: B256::repeat_byte(0x12),
        sequence_start: 3,
        sequence_end: 4,
        ..old
    }];
    rounds(&mut world, 3);
    assert_eq!(stage(&world, batch), Some(Stage::Quarantined));
    assert!(reason(&world, batch).contains("is anchored: `prev_state_root` was"));
    assert!(world.kept.contains_key(&batch));
    assert_eq!((world.submissions, world.reports), (1, 1));
    world.strays.clear();
    rounds(&mut world, 3);
    assert_eq!((stage(&world, batch), world.submissions), (Some(Stage::Reported), 1));
    assert!(world.kept.is_empty(), "{:?}", world.kept);
}

#[test]
fn a_stale_list_costs_no_report_and_no_transaction() {
    let mut world = world(&[(0, None), (1, None)]);
    world.set_stale(true);
    rounds(&mut world, 10);
    assert_eq!((world.reports, world.submissions), (2, 1));
    let polls = world.polls;
    rounds(&mut world, 60);
    assert_eq!((world.reports, world.submissions), (2, 1));
    assert_eq!(world.polls - polls, 60, "one poll a second, as configured");
}

#[test]
fn a_full_window_of_what_is_stuck_does_not_hide_a_known_stream() {
    // The window shows eight.
    let mut world = world(&[(1, None)]);
    rounds(&mut world, 1);
    for _ in 0..8 {
        world.make(0, 1, None);
    }
    let first = world.made(0)[0];
    world.rewrite(first, |commitment| commitment.prev_state_root = B256::repeat_byte(1));
    rounds(&mut world, 8);
    for _ in 0..3 {
        world.make(1, 1, None);
    }
    rounds(&mut world, 30);
    for batch in world.made(1) {
        assert!(world.is_recorded(batch), "{:?}", stage(&world, batch));
    }
    assert!(world.ledger.status().source.window_full);
}
