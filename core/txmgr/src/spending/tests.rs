use std::fs;

use proptest::prelude::*;

use super::*;

const CHAIN: u64 = 84_532_001;

fn at(day: i64, second: i64) -> Timestamp {
    Timestamp::from_second(day * SECONDS_A_DAY + second).unwrap()
}

fn wei(amount: u64) -> U256 {
    U256::from(amount)
}

fn fees(amount: u64) -> Cost {
    Cost {
        fees: wei(amount),
        value: U256::ZERO,
    }
}

fn capped(cap: u128) -> Spending {
    Spending::in_memory().with_cap(Some(Wei(cap)))
}

fn save(spending: &mut Spending) {
    if let Some(unsaved) = spending.unsaved() {
        unsaved.write().unwrap();
    }
}

fn open(dir: &tempfile::TempDir) -> Spending {
    Spending::open(dir.path(), CHAIN, Address::ZERO).unwrap()
}

#[test]
fn a_cap_is_reached_and_corrections_make_room() {
    let mut spending = capped(100);
    spending.admit(0, fees(60), at(9, 1)).unwrap();
    let over = spending.admit(1, fees(41), at(9, 2)).unwrap_err();
    assert_eq!((over.spent, over.until), (wei(60), at(10, 0)));
    assert!(over.to_string().contains("1970-01-11T00:00:00Z"), "{over}");
    spending.paid(0, wei(10), true);
    spending.admit(1, fees(41), at(9, 3)).unwrap();
    assert_eq!(spending.today(at(9, 4)), wei(51));
    // The next day is empty, and a higher cap counts at once.
    assert_eq!(spending.today(at(10, 0)), wei(0));
    spending.admit(2, fees(100), at(10, 0)).unwrap();
    assert!(spending.admit(3, fees(1), at(10, 1)).is_err());
    spending.set_cap(Some(Wei(101)));
    spending.admit(3, fees(1), at(10, 2)).unwrap();
}

#[test]
fn a_replacement_counts_once_at_the_highest() {
    let mut spending = capped(100);
    spending.admit(0, fees(40), at(9, 0)).unwrap();
    spending.admit(0, fees(90), at(9, 1)).unwrap();
    // A filler costs less, but the dearer version may still be included.
    spending.admit(0, fees(5), at(9, 2)).unwrap();
    assert_eq!(spending.today(at(9, 3)), wei(90));
    spending.admit(0, fees(101), at(9, 4)).unwrap_err();
    // What was never included is given back.
    spending.closed(0);
    assert_eq!(spending.today(at(9, 5)), wei(0));
}

#[test]
fn a_reorg_reserves_again() {
    let mut spending = capped(100);
    spending.admit(0, fees(80), at(9, 0)).unwrap();
    spending.paid(0, wei(20), true);
    spending.reopened(0);
    assert_eq!(spending.today(at(9, 1)), wei(80));
    spending.paid(0, wei(30), true);
    spending.closed(0);
    assert_eq!(spending.today(at(9, 2)), wei(30));
}

#[test]
fn what_is_sent_along_counts_unless_it_comes_back() {
    let mut spending = capped(100);
    let cost = Cost {
        fees: wei(20),
        value: wei(50),
    };
    spending.admit(0, cost, at(9, 0)).unwrap();
    spending.admit(1, fees(31), at(9, 0)).unwrap_err();
    spending.paid(0, wei(5), true);
    assert_eq!(spending.today(at(9, 1)), wei(55));
    spending.paid(0, wei(5), false);
    assert_eq!(spending.today(at(9, 2)), wei(5));
}

#[test]
fn a_clock_set_back_gives_nothing_back() {
    let mut spending = capped(100);
    spending.admit(0, fees(100), at(9, 0)).unwrap();
    spending.admit(1, fees(1), at(8, 0)).unwrap_err();
    spending.closed(0);
    spending.admit(1, fees(100), at(8, 1)).unwrap();
    spending.admit(2, fees(1), at(8, 2)).unwrap_err();
    spending.paid(1, wei(100), true);
    spending.closed(1);
    spending.admit(2, fees(1), at(8, 3)).unwrap_err();
    spending.admit(2, fees(100), at(9, 0)).unwrap();
}

#[test]
fn a_lost_file_begins_with_what_the_journal_holds() {
    let dir = tempfile::tempdir().unwrap();
    let mut spending = open(&dir).with_cap(Some(Wei(100)));
    spending.admit(7, fees(60), at(9, 0)).unwrap();
    save(&mut spending);
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();

    let mut kept = open(&dir);
    kept.recover(7, fees(99), at(9, 1));
    assert_eq!(kept.today(at(9, 1)), wei(60), "the books know of it");

    fs::write(&path, "{").unwrap();
    let mut damaged = open(&dir);
    damaged.recover(7, fees(60), at(9, 1));
    assert_eq!(damaged.today(at(9, 1)), wei(60));
    let aside = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        aside
            .into_iter()
            .any(|name| name.to_string_lossy().contains(".damaged-"))
    );
}

#[test]
fn books_of_a_newer_version_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut spending = open(&dir);
    spending.admit(7, fees(60), at(9, 0)).unwrap();
    save(&mut spending);
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    let newer = fs::read_to_string(&path)
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    fs::write(&path, newer).unwrap();
    let error = Spending::open(dir.path(), CHAIN, Address::ZERO).unwrap_err();
    assert!(matches!(error, SpendingError::Version { .. }), "{error}");
}

/// What can happen to an account's spending.
#[derive(Debug, Clone)]
enum Step {
    Sign(u64, u64),
    Include(u64, u64),
    Reorg(u64),
    Close(u64),
    NextDay,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let nonce = || 0u64..6;
    let step = prop_oneof![
        6 => (nonce(), 1u64..60).prop_map(|(nonce, most)| Step::Sign(nonce, most)),
        4 => (nonce(), 0u64..100).prop_map(|(nonce, percent)| Step::Include(nonce, percent)),
        1 => nonce().prop_map(Step::Reorg),
        2 => nonce().prop_map(Step::Close),
        1 => Just(Step::NextDay),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..80)
}

/// A transaction as an onlooker remembers it, for ever.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    nonce: u64,
    day: i64,
    most: u64,
    paid: Option<u64>,
    closed: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Against an onlooker who forgets nothing: the same is counted at any time, whatever is
    /// restarted, and no signature takes the day beyond its cap.
    #[test]
    fn counts_what_an_onlooker_counts(steps in steps()) {
        const CAP: u64 = 120;
        let dir = tempfile::tempdir().unwrap();
        let mut spending = open(&dir).with_cap(Some(Wei(CAP.into())));
        let mut all: Vec<Remembered> = Vec::new();
        let mut day = 100;
        for step in steps {
            let seen = |nonce| move |one: &&mut Remembered| one.nonce == nonce && !one.closed;
            let sum = |all: &[Remembered]| -> u64 {
                let today = all.iter().filter(|one| one.day == day);
                today.map(|one| match one.paid {
                    Some(paid) => paid,
                    None if one.closed => 0,
                    None => one.most,
                }).sum()
            };
            match step {
                Step::Sign(nonce, most) => {
                    if all.iter().any(|one| one.nonce == nonce && !one.closed && one.paid.is_some()) {
                        continue;
                    }
                    let mut tried = all.clone();
                    match tried.iter_mut().find(seen(nonce)) {
                        Some(one) => {
                            one.most = one.most.max(most);
                            one.day = day;
                        }
                        None => tried.push(Remembered { nonce, day, most, paid: None, closed: false }),
                    }
                    let fits = sum(&tried) <= CAP || sum(&tried) == sum(&all);
                    prop_assert_eq!(spending.admit(nonce, fees(most), at(day, 5)).is_ok(), fits);
                    if fits {
                        all = tried;
                    }
                }
                Step::Include(nonce, percent) => {
                    if let Some(one) = all.iter_mut().find(seen(nonce)) {
                        let paid = one.most * percent / 100;
                        one.paid = Some(paid);
                        spending.paid(nonce, wei(paid), true);
                    }
                }
                Step::Reorg(nonce) => {
                    if let Some(one) = all.iter_mut().find(seen(nonce)) {
                        one.paid = None;
                    }
                    spending.reopened(nonce);
                }
                Step::Close(nonce) => {
                    if let Some(one) = all.iter_mut().find(seen(nonce)) {
                        one.closed = true;
                    }
                    spending.closed(nonce);
                }
                Step::NextDay => day += 1,
                Step::Restart => {
                    save(&mut spending);
                    spending = open(&dir).with_cap(Some(Wei(CAP.into())));
                    // The journal holds what is not closed; the books know of all of it.
                    for one in all.iter().filter(|one| !one.closed) {
                        spending.recover(one.nonce, fees(one.most), at(day, 7));
                    }
                }
            }
            let today = all.iter().filter(|one| one.day == day);
            let expected: u64 = today.map(|one| one.paid.unwrap_or(if one.closed { 0 } else { one.most })).sum();
            prop_assert_eq!(spending.today(at(day, 9)), wei(expected));
        }
    }
}
