//! The lease in files.

use std::fs;

use set_lease::LeaseState;
use tempfile::TempDir;

use crate::{
    holder,
    pair::{self, Lease},
};

const NAME: &str = "84532001:0x01";

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_it_and_another_takes_over() {
    let directory = TempDir::new().unwrap();
    let lease = |name| Lease::in_files(directory.path().join(name), name);
    pair::side_by_side([
        (
            "given up",
            Box::pin(pair::one_holds_it_until_it_gives_it_up(lease("a"))) as pair::Case,
        ),
        ("dead", Box::pin(pair::another_takes_over_from_the_dead(lease("b")))),
        ("frozen", Box::pin(holder::a_frozen_holder_knows_at_once(lease("c")))),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_before_left_is_followed() {
    let directory = TempDir::new().unwrap();
    let lease = Lease::in_files(directory.path().join("lease"), NAME);
    let record = |lease: &str| {
        format!(
            "{{\"lease\":\"{lease}\",\"holder\":\"x\",\"boot\":\"another\",\"deadline\":{}}}",
            u64::MAX
        )
    };
    for (number, content) in [(7, "not a record".to_owned()), (8, record(NAME))] {
        fs::write(directory.path().join(format!("lease.{number}")), content).unwrap();
        let side = lease.side("a").await;
        assert_eq!(side.won().await.term, number + 1);
        side.task.release().await;
        fs::remove_file(directory.path().join(format!("lease.{}", number + 1))).unwrap();
    }
    // Another lease's file is left alone.
    fs::write(directory.path().join("lease.9"), record("1:0x02")).unwrap();
    let side = lease.side("a").await;
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
    let lease = Lease::in_files(missing.join("lease"), NAME);
    let side = lease.side("a").await;
    let failed = |state: &LeaseState| state.error.as_ref().is_some_and(|error| error.contains("missing"));
    side.until("failed", failed).await;
    assert!(!side.leadership.holds());
    fs::create_dir(missing).unwrap();
    side.won().await;
}
