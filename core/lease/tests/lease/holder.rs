//! A process that holds a lease, stopped and continued: this very program, run again.

use std::{env, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use set_testkit::{Process, Program};

use crate::pair::{Lease, PATIENCE};

const KIND: &str = "SET_TEST_LEASE_KIND";
const PLACE: &str = "SET_TEST_LEASE_PLACE";
const NAME: &str = "SET_TEST_LEASE_NAME";

/// Nanoseconds since the machine started, the same for all its processes.
fn now() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Starts the process, which takes the lease and says so.
async fn start(lease: &Lease) -> Process {
    let holder = Program::new(env::current_exe().unwrap())
        .args(["holder::process", "--exact", "--ignored", "--nocapture"])
        .env(KIND, lease.kind.label())
        .env(PLACE, &lease.place)
        .env(NAME, lease.name)
        .spawn()
        .unwrap();
    holder.line_with("holder won", PATIENCE).await.unwrap();
    holder
}

/// Not a test: what [`start`] runs. Asks without pause whether it holds the lease, and ends when it does
/// not any more, with the last moment at which it did.
#[test]
#[ignore = "the holder's process of other tests"]
#[allow(clippy::print_stdout)]
fn process() {
    let Ok(place) = env::var(PLACE) else { return };
    let name = env::var(NAME).unwrap().leak();
    let lease = match env::var(KIND).unwrap().as_str() {
        "file" => Lease::in_files(place, name),
        _ => Lease::in_database(place, name),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let side = runtime.block_on(async {
        let side = lease.side("frozen").await;
        side.won().await;
        side
    });
    println!("holder won");
    let mut last = 0;
    loop {
        let asked = now();
        if !side.leadership.holds() {
            break;
        }
        last = asked;
        std::thread::sleep(Duration::from_micros(200));
    }
    println!("holder lost, last held at {last}");
}

/// Stops the holder until another has the lease, and continues it: it must know at once.
pub(crate) async fn a_frozen_holder_knows_at_once(lease: Lease) {
    let frozen = start(&lease).await;
    let other = lease.side("b").await;
    other
        .until("standing by", |state| state.holder.as_deref() == Some("frozen"))
        .await;
    frozen.freeze();
    other.won().await;
    let taken = now();
    frozen.thaw();
    let line = frozen.line_with("holder lost", PATIENCE).await.unwrap();
    let last: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(
        last > 0 && last < taken,
        "held at {last}, and the other from {taken} on"
    );
    assert!(other.leadership.holds());
}
