//! The lease in files.

use std::fs;

use set_lease::{LeaseKind, LeaseState};
use tempfile::TempDir;

use crate::{holder, pair};

fn place(directory: &TempDir) -> String {
    directory.path().join("lease").to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_it_until_it_gives_it_up() {
    let directory = TempDir::new().unwrap();
    let config = holder::config(LeaseKind::File, &place(&directory));
    pair::one_holds_it_until_it_gives_it_up(LeaseKind::File, &config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_takes_over_from_the_dead() {
    let directory = TempDir::new().unwrap();
    let config = holder::config(LeaseKind::File, &place(&directory));
    pair::another_takes_over_from_the_dead(LeaseKind::File, &config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_knows_at_once() {
    let directory = TempDir::new().unwrap();
    holder::a_frozen_holder_knows_at_once(LeaseKind::File, &place(&directory)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_before_left_is_followed() {
    let directory = TempDir::new().unwrap();
    let config = holder::config(LeaseKind::File, &place(&directory));
    let record = |lease: &str| {
        format!(
            "{{\"lease\":\"{lease}\",\"holder\":\"x\",\"boot\":\"another\",\"deadline\":{}}}",
            u64::MAX
        )
    };
    for (number, content) in [(7, "not a record".to_owned()), (8, record(pair::NAME))] {
        fs::write(directory.path().join(format!("lease.{number}")), content).unwrap();
        let side = pair::Side::start(LeaseKind::File, config.clone(), "a").await;
        assert_eq!(side.won().await.term, number + 1);
        side.task.release().await;
        fs::remove_file(directory.path().join(format!("lease.{}", number + 1))).unwrap();
    }
    // Another lease's file is left alone.
    fs::write(directory.path().join("lease.9"), record("1:0x02")).unwrap();
    let side = pair::Side::start(LeaseKind::File, config, "a").await;
    let state = side.until("refused", |state| state.error.is_some()).await;
    assert!(
        state.error.as_ref().unwrap().contains("is the lease of 1:0x02, not of"),
        "{state:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_missing_is_named_and_tried_again() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let config = holder::config(LeaseKind::File, missing.join("lease").to_str().unwrap());
    let side = pair::Side::start(LeaseKind::File, config, "a").await;
    let failed = |state: &LeaseState| state.error.as_ref().is_some_and(|error| error.contains("missing"));
    side.until("failed", failed).await;
    assert!(!side.leadership.holds());
    fs::create_dir(missing).unwrap();
    side.won().await;
}
