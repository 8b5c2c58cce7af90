//! The lease in a real PostgreSQL server.

use std::{sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use set_lease::POSTGRES_TABLE;
use set_testkit::{Postgres, TcpProxy};

use crate::{
    cluster::Cluster,
    holder,
    pair::{self, Eye, Lease, Side},
};

const NAME: &str = "84532001:0x01";

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_it_and_another_takes_over() {
    let cluster = Arc::new(Cluster::start().await);
    pair::side_by_side([
        (
            "given up",
            Box::pin(pair::one_holds_it_until_it_gives_it_up(cluster.lease("a"))) as pair::Case,
        ),
        (
            "dead",
            Box::pin(pair::another_takes_over_from_the_dead(cluster.lease("b"))),
        ),
        (
            "frozen",
            Box::pin(holder::a_frozen_holder_knows_at_once(cluster.lease("c"))),
        ),
        ("cut", Box::pin(a_broken_way(cluster.clone(), "d", TcpProxy::cut))),
        ("stalled", Box::pin(a_broken_way(cluster.clone(), "e", TcpProxy::stall))),
        ("two hosts", Box::pin(a_host_that_does_not_answer(cluster.clone(), "f"))),
        (
            "rows",
            Box::pin(the_row_decides_on_the_databases_clock(cluster.clone(), "g")),
        ),
        (
            "locked",
            Box::pin(a_locked_row_costs_the_lease_and_piles_up_nothing(cluster.clone(), "h")),
        ),
    ])
    .await;
}

/// A broken way to the database: the holder stops by its own deadline, before the other begins.
async fn a_broken_way(cluster: Arc<Cluster>, name: &'static str, breaking: fn(&TcpProxy)) {
    let way = TcpProxy::start(cluster.server.address()).await.unwrap();
    let a = cluster.lease_at(way.address(), name).side("a").await;
    a.won().await;
    let b = cluster.lease(name).side("b").await;
    let eye = Eye::on(&a, &b);
    b.until("standing by", |state| state.holder.is_some()).await;
    breaking(&way);
    let state = a.lost().await;
    assert!(state.error.is_some(), "{state:?}");
    assert_eq!(b.won().await.term, 2);
    way.mend();
    let state = a.until("standing by", |state| state.error.is_none()).await;
    assert_eq!(state.holder.as_deref(), Some("b"));
    assert!(b.leadership.holds() && !a.leadership.holds());
    eye.saw_no_overlap();
}

/// Of two hosts the next one gets its turn.
async fn a_host_that_does_not_answer(cluster: Arc<Cluster>, name: &'static str) {
    let way = TcpProxy::start(cluster.server.address()).await.unwrap();
    let both = format!("{},{}", way.address(), cluster.server.address());
    let url = cluster
        .server
        .url()
        .replace(&cluster.server.address().to_string(), &both);
    way.stall();
    let side = cluster.lease_by(&url, name).side("a").await;
    side.won().await;
    side.task.release().await;
    way.mend();
    let side = cluster.lease_by(&url, name).side("b").await;
    side.won().await;
    way.stall();
    side.until("hindered", |state| state.error.is_some()).await;
    side.until("renewed by the other way", |state| state.held && state.error.is_none())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_is_survived() {
    let mut cluster = Cluster::start().await;
    let a = cluster.lease(NAME).side("a").await;
    a.won().await;
    let b = cluster.lease(NAME).side("b").await;
    let eye = Eye::on(&a, &b);
    b.until("standing by", |state| state.holder.is_some()).await;
    cluster.server.stop().await.unwrap();
    // Nobody sends without a database.
    a.lost().await;
    b.until("unable to ask", |state| state.error.is_some()).await;
    assert!(!b.leadership.holds());
    cluster.server.resume().await.unwrap();
    let mut changes = (a.leadership.changes(), b.leadership.changes());
    tokio::select! {
        won = changes.0.wait_for(|state| state.held) => drop(won.unwrap()),
        won = changes.1.wait_for(|state| state.held) => drop(won.unwrap()),
        () = tokio::time::sleep(pair::PATIENCE) => panic!("{:?}, {:?}", a.leadership.state(), b.leadership.state()),
    }
    eye.saw_no_overlap();
}

async fn the_row_decides_on_the_databases_clock(cluster: Arc<Cluster>, name: &'static str) {
    // The first one makes the table, perhaps together with others.
    let side = cluster.lease(name).side("first").await;
    side.won().await;
    side.task.release().await;
    for (holder, seconds, waits, term) in [
        ("b", -1, false, 6),
        ("a", -1, false, 6),
        ("a", 60, false, 5),
        ("b", 3_600, true, 6),
    ] {
        let row = format!(
            "DELETE FROM set_sidecar_lease WHERE name = '{name}'; INSERT INTO set_sidecar_lease
             VALUES ('{name}', '{holder}', 5, clock_timestamp() + interval '{seconds} seconds')"
        );
        cluster.server.run(&row).await.unwrap();
        let side = cluster.lease(name).side("a").await;
        let first = side.until("answered", |state| state.holder.is_some()).await;
        assert_eq!(first.held, !waits, "{holder} {seconds}");
        if waits {
            let end = format!("UPDATE set_sidecar_lease SET expires_at = clock_timestamp() WHERE name = '{name}'");
            cluster.server.run(&end).await.unwrap();
        }
        assert_eq!(side.won().await.term, term, "{holder} {seconds}");
        side.task.release().await;
    }
}

async fn a_locked_row_costs_the_lease_and_piles_up_nothing(cluster: Arc<Cluster>, name: &'static str) {
    let mut lease = cluster.lease(name);
    // So that there are many attempts while the row is locked. Nobody else wants it, should this machine stall.
    lease.config.ttl = Duration::from_secs(6);
    let side = lease.side("a").await;
    side.won().await;
    let lock = format!("BEGIN; SELECT FROM set_sidecar_lease WHERE name = '{name}' FOR UPDATE; SELECT pg_sleep(3600)");
    let lock = cluster.server.run(&lock);
    let watch = async {
        side.lost().await;
        // Long after the first attempt.
        let waiting = "SELECT pg_sleep(8); SELECT count(*) FROM pg_stat_activity
                       WHERE application_name = 'set-sidecar' AND wait_event_type = 'Lock'";
        let waiting: usize = cluster.server.run(waiting).await.unwrap()[1].parse().unwrap();
        assert!(waiting <= 3, "{waiting} statements wait for the lock");
        assert!(!side.leadership.holds(), "{:?}", side.leadership.state());
        let unlock = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        assert_eq!(cluster.server.run(unlock).await.unwrap(), ["t"]);
    };
    let (locked, ()) = tokio::join!(lock, watch);
    locked.unwrap_err();
    side.won().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_needs_only_the_table_and_no_error_holds_its_password() {
    let cluster = Cluster::start().await;
    let roles = "CREATE ROLE sender LOGIN PASSWORD 'hunter2'; REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    cluster.server.run(roles).await.unwrap();
    let address = cluster.server.address();
    let url = |password: &str| format!("postgresql://sender:{password}@{address}/postgres");
    let wrong = cluster.lease_by(&url("hunter3"), NAME).side("a").await;
    let state = wrong.until("refused", |state| state.error.is_some()).await;
    let error = state.error.as_deref().unwrap();
    assert!(
        error.contains("password authentication failed") && !error.contains("hunter"),
        "{error}"
    );
    // Many at once, which read the answers of their statements in many orders: each names the cause.
    let asking = (0..10).map(|_| async {
        let side = cluster.lease_by(&url("hunter2"), NAME).side("a").await;
        let state = side.until("denied", |state| state.error.is_some()).await;
        let error = state.error.as_deref().unwrap();
        assert!(error.contains("grant SELECT, INSERT and UPDATE"), "{error}");
    });
    futures::future::join_all(asking).await;
    let side = cluster.lease_by(&url("hunter2"), NAME).side("a").await;
    let grant = format!("{POSTGRES_TABLE}; GRANT SELECT, INSERT, UPDATE ON set_sidecar_lease TO sender");
    cluster.server.run(&grant).await.unwrap();
    side.won().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_checks_the_servers_certificate_and_name() {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    let server = Postgres::start_with_tls(&certificate.pem(), &key.serialize_pem())
        .await
        .unwrap();
    let cluster = Cluster::of(server);
    let authority = cluster.file("authority.pem", &authority_pem);
    let authority = authority.display();
    let url = cluster.server.url();

    let trusted = format!("{url}?sslmode=verify-full&sslrootcert={authority}");
    let side = cluster.lease_by(&trusted, NAME).side("a").await;
    side.won().await;
    let encrypted =
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'set-sidecar'";
    assert_eq!(cluster.server.run(encrypted).await.unwrap(), ["t"]);

    let named = url.replace("127.0.0.1", "localhost");
    for (name, url) in [
        ("name", format!("{named}?sslmode=require&sslrootcert={authority}")),
        ("authority", format!("{url}?sslmode=require")),
    ] {
        let Lease { kind, config, .. } = cluster.lease_by(&url, NAME);
        match set_lease::start(kind, config, NAME.to_owned(), "b".to_owned()).await {
            Ok((leadership, task)) => {
                let side = Side { leadership, task };
                let state = side.until("refused", |state| state.error.is_some()).await;
                let error = state.error.as_deref().unwrap();
                assert!(error.contains("certificate"), "{name}: {error}");
            }
            // A system without any authorities says so at once.
            Err(error) => assert!(error.to_string().contains("ca-certificates"), "{name}: {error}"),
        }
    }
}
