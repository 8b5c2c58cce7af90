//! Two sidecars on one chain, one registry and one sequencer: one sends, the other takes over; and without
//! a lease neither does harm.

use std::{collections::BTreeSet, fmt, fs};

use alloy::{network::TransactionResponse, providers::Provider};
use alloy_primitives::Address;
use serde_json::Value;
use set_testkit::{Anvil, Postgres, Sequencer, Sidecar, SidecarBuilder, TcpProxy};
use set_types::Commitment;

use crate::{
    registry::{authorise, mined},
    stage::{Stage, side_by_side},
    watch,
};

/// Account 0 owns the registry, account 1 is the first sidecar's.
const OWNER: usize = 0;
const FIRST: usize = 1;
const OTHER: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    None,
    File,
    Postgres,
}

/// What happens to the one that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// An orderly stop.
    Stop,
    Kill,
    /// SIGSTOP, and SIGCONT once the other has taken over.
    Freeze,
    /// Its connection to the database breaks, and heals once the other has taken over.
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    lease: Lease,
    fault: Fault,
    /// The second sends from this account.
    second: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lease, fault, second } = self;
        write!(f, "{lease:?}, {fault:?}, accounts {FIRST} and {second}")
    }
}

/// The place of the lease, and the first sidecar's way to it. The lease lasts as long as it does by default: a
/// shorter one changes hands where the machine stalls.
struct Place {
    lease: Lease,
    server: Option<(Postgres, TcpProxy)>,
}

impl Place {
    async fn of(lease: Lease) -> Self {
        let server = match lease {
            Lease::Postgres => {
                let server = Postgres::start().await.unwrap();
                let way = TcpProxy::start(server.address()).await.unwrap();
                Some((server, way))
            }
            Lease::None | Lease::File => None,
        };
        Self { lease, server }
    }

    /// A sidecar that takes part, as this account; the first asks the database through the proxy.
    fn sidecar(&self, stage: &Stage, account: usize, first: bool) -> SidecarBuilder {
        let sidecar = stage
            .quick_sidecar()
            .env("SET_COMMITMENTS_KEY", &Anvil::account(account).to_bytes().to_string());
        match (self.lease, &self.server) {
            (Lease::Postgres, Some((server, way))) => {
                let address = if first { way.address() } else { server.address() };
                let path = stage.dir.path().join(address.port().to_string());
                fs::write(&path, server.url_at(address)).unwrap();
                sidecar
                    .set("sidecar.lease", "postgres")
                    .set("lease.postgres_url", format_args!("file:{}", path.display()))
            }
            (Lease::File, _) => sidecar
                .set("sidecar.lease", "file")
                .set("lease.file", stage.dir.path().join("lease").display()),
            _ => sidecar,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sidecar_takes_over_whatever_happens_to_the_first() {
    let case = |lease, fault, second| Case { lease, fault, second };
    let cases = [
        case(Lease::Postgres, Fault::Kill, FIRST),
        case(Lease::File, Fault::Freeze, FIRST),
        case(Lease::File, Fault::Kill, OTHER),
        case(Lease::File, Fault::Stop, FIRST),
        case(Lease::Postgres, Fault::Freeze, FIRST),
        case(Lease::Postgres, Fault::Freeze, OTHER),
        case(Lease::Postgres, Fault::Cut, FIRST),
        case(Lease::Postgres, Fault::Cut, OTHER),
    ];
    side_by_side(cases.map(|case| (case.to_string(), takes_over(case)))).await;
}

async fn takes_over(Case { lease, fault, second }: Case) {
    let stage = Stage::with(Sequencer::builder().seed(90).streams(3)).await;
    if second != FIRST {
        mined(&stage, OWNER, authorise(Anvil::account(second).address(), true)).await;
    }
    let place = Place::of(lease).await;
    let one = place.sidecar(&stage, FIRST, true).start().await.unwrap();
    let holder = leads(&one).await;
    let two = place.sidecar(&stage, second, false).start().await.unwrap();
    stands_by(&two, &holder).await;
    watch::metric_is(&two, "set_lease_held", &[], 0.0).await;
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;

    // In the middle of its work: what was just made is about to be sent, or is on its way.
    made += stage.commit_everywhere(4).len();
    watch::status(&one, "something in flight", |status| {
        in_flight(status) > 0 || stage.sequencer().unreported().is_empty()
    })
    .await;
    match (fault, &place.server) {
        (Fault::Stop, _) => assert!(one.stop().await.unwrap().success()),
        (Fault::Kill, _) => one.process.kill(),
        (Fault::Freeze, _) => one.process.freeze(),
        (Fault::Cut, Some((_, way))) => way.cut(),
        (Fault::Cut, None) => unreachable!("files have no connection"),
    }
    let heir = leads(&two).await;
    assert_ne!(heir, holder);
    watch::metric_is(&two, "set_lease_held", &[], 1.0).await;
    let later = stage.commit_everywhere(2);
    made += later.len();
    stage.reported(made).await;

    let survives = matches!(fault, Fault::Freeze | Fault::Cut);
    if survives {
        one.process.thaw();
        if let Some((_, way)) = &place.server {
            way.mend();
        }
        stands_by(&one, &heir).await;
        watch::metric_is(&one, "set_lease_held", &[], 0.0).await;
    }
    let last = stage.commit_everywhere(2);
    made += last.len();
    stage.reported(made).await;
    stage.assert_all_anchored().await;
    // What came after the takeover is the heir's alone.
    let senders = senders(&stage, &[later, last].concat()).await;
    assert_eq!(senders, [Anvil::account(second).address()].into());
    watch::status(&two, "the end of every hold", watch::is_well).await;
    if survives {
        // What it had on its way is in a block, or it knows that it never will be.
        watch::status(&one, "nothing in flight", |status| in_flight(status) == 0).await;
        assert!(one.stop().await.unwrap().success());
    }
    assert!(two.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_two_sidecars_commit_nothing_twice_and_go_on() {
    let cases = [FIRST, OTHER].map(|second| (format!("accounts {FIRST} and {second}"), compete(second)));
    side_by_side(cases).await;
}

async fn compete(second: usize) {
    let stage = Stage::with(Sequencer::builder().seed(91).streams(3)).await;
    if second != FIRST {
        mined(&stage, OWNER, authorise(Anvil::account(second).address(), true)).await;
    }
    let place = Place::of(Lease::None).await;
    let mut made = stage.commit_everywhere(4).len();
    let builders = [(FIRST, true), (second, false)].map(|(account, first)| place.sidecar(&stage, account, first));
    let (one, two) = tokio::join!(builders[0].start(), builders[1].start());
    let both = [one.unwrap(), two.unwrap()];
    for _ in 0..4 {
        stage.reported(made).await;
        made += stage.commit_everywhere(2).len();
    }
    stage.reported(made).await;
    stage.assert_all_anchored().await;
    for sidecar in &both {
        let status = watch::status(sidecar, "the end of every hold, and of what is in flight", |status| {
            watch::is_well(status) && in_flight(status) == 0
        });
        let status = status.await;
        assert_eq!(status["lease"]["kind"], "none");
        assert_eq!(status["pipeline"]["stages"]["quarantined"], Value::Null, "{status}");
    }
    // Whoever is alone now is not held up by what the other left.
    assert!(both[0].stop().await.unwrap().success());
    made += stage.commit_everywhere(2).len();
    stage.reported(made).await;
    stage.assert_all_anchored().await;
}

/// Waits until it holds the lease; gives its name there.
async fn leads(sidecar: &Sidecar) -> String {
    let status = watch::status(sidecar, "the lease held", |status| {
        status["lease"]["held"] == true && status["lease"]["error"] == Value::Null
    })
    .await;
    status["lease"]["holder"].as_str().unwrap().to_owned()
}

/// Waits until it says that the other holds the lease.
async fn stands_by(sidecar: &Sidecar, holder: &str) {
    let status = watch::status(sidecar, "the other as the holder", |status| {
        status["lease"]["holder"] == holder && status["lease"]["error"] == Value::Null
    });
    assert_eq!(status.await["lease"]["held"], false);
}

/// Transactions of all accounts that are in no block yet.
fn in_flight(status: &Value) -> usize {
    let accounts = status["txmgr"]["accounts"].as_array().unwrap();
    let lists = accounts.iter().filter_map(|account| account["inFlight"].as_array());
    lists.map(Vec::len).sum()
}

/// Who sent the transactions that hold these commitments.
async fn senders(stage: &Stage, commitments: &[Commitment]) -> BTreeSet<Address> {
    let committed = stage.committed().await;
    let mut senders = BTreeSet::new();
    for commitment in commitments {
        let (_, hash) = committed[&commitment.batch_id.to_b256()];
        let sent = stage.chain().provider().get_transaction_by_hash(hash).await.unwrap();
        senders.insert(sent.unwrap().from());
    }
    senders
}
