//! What every plugin can rely on and no plugin can break, the same for code that is linked in and for a
//! library that is loaded.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use std::{sync::Arc, task::Poll, time::Duration};

use futures::poll;
use serde_json::{Value, json};
use set_host::{CallErrorKind, Host, HostConfig, PluginState, SourceClient};
use set_types::{BatchId, PollRequest, PollStreamRequest, ReportRequest};
use support::{Core, PluginDir, out_of_time, plugin, refusal, start, stream, until};

const POLL: PollRequest = PollRequest { limit: 1 };

/// Where the fixture comes from in one run of the suite.
struct Setting {
    origin: (&'static str, Value),
    dir: PluginDir,
}

impl Setting {
    fn builtin() -> Self {
        Self {
            origin: ("builtin", json!("fixture-source")),
            dir: PluginDir::new(),
        }
    }

    fn loaded() -> Self {
        let dir = PluginDir::new();
        dir.fixture("libfixture.so");
        Self {
            origin: ("path", json!("libfixture.so")),
            dir,
        }
    }

    /// The fixture alone, with more keys of its entry.
    fn with(&self, config: Value, more: Value) -> HostConfig {
        let mut entry = json!({
            "id": "fixture", "kind": "source", "required": true, "deadline": "20s", "config": config,
            self.origin.0: self.origin.1,
        });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.dir.config(vec![plugin(entry)])
    }
}

macro_rules! both_ways {
    ($($scenario:ident)*) => {
        mod builtin {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::Setting::builtin()).await })*
        }
        mod loaded {
            $(#[tokio::test] async fn $scenario() { super::$scenario(super::Setting::loaded()).await })*
        }
    };
}

both_ways! {
    answers_and_is_reported
    uses_the_services_that_it_is_allowed
    refuses_in_its_own_words
    is_held_to_the_question
    times_out_and_lives_on
    takes_no_more_calls_than_allowed
    is_replaced_after_a_panic_and_given_up_after_five
    is_replaced_when_it_hangs
    that_does_not_start_says_why
    says_no_secret
    shows_its_health
    ends_in_good_order
}

async fn answers_and_is_reported(setting: Setting) {
    let host = start(setting.with(json!({}), json!({}))).await.unwrap();
    let source = host.source().unwrap();
    for expected in ["1", "2"] {
        assert_eq!(source.poll(&POLL).await.unwrap().malformed[0].reason, expected);
    }
    let report = host.plugins().remove(0);
    assert_eq!(
        (report.name.as_deref(), report.state, report.generation),
        (Some("fixture-source"), PluginState::Started, 1)
    );
    assert_eq!(report.sha256.is_some(), setting.origin.0 == "path");
    assert_eq!(
        report.config_schema.unwrap()["properties"]["report"]["description"],
        json!("What `report` does.")
    );
    assert!(report.calls >= 2 && report.failures == 0 && report.in_flight == 0);
    host.shutdown(Duration::from_secs(20)).await;
}

async fn uses_the_services_that_it_is_allowed(setting: Setting) {
    let core = Arc::new(Core::default());
    let config = setting.with(json!({}), json!({ "allow": { "chain_calls": ["eth_getBalance"] } }));
    let host = Host::start(config, &support::BUILTINS, core.clone()).await.unwrap();
    let source = host.source().unwrap();
    let request = |limit| PollStreamRequest {
        stream: serde_json::from_value(stream()).unwrap(),
        after: 0,
        limit,
    };
    for before in [None, Some("0x2a".to_owned())] {
        let answer = source.poll_stream(&request(1)).await.unwrap();
        assert_eq!(
            (answer.malformed[0].reason.as_str(), &answer.malformed[0].batch_id),
            ("0x2a", &before)
        );
    }
    assert_eq!(
        core.asked.lock().unwrap()[0],
        r#"fixture eth_getBalance ["0x00","latest"]"#
    );
    let denied = source.poll_stream(&request(0)).await.unwrap_err();
    assert!(
        denied
            .to_string()
            .contains("`eth_sendRawTransaction` is no read-only method"),
        "{denied}"
    );
    assert_eq!(core.asked.lock().unwrap().len(), 2);

    let nothing = setting.with(json!({}), json!({ "allow": { "chain_calls": [] } }));
    let host = start(nothing).await.unwrap();
    let denied = host.source().unwrap().poll_stream(&request(1)).await.unwrap_err();
    assert!(
        denied.to_string().contains("not in the plugin's `allow.chain_calls`"),
        "{denied}"
    );
}

async fn refuses_in_its_own_words(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "refuse" }), json!({})))
        .await
        .unwrap();
    let error = host.source().unwrap().poll(&POLL).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin `fixture`, `poll`: as configured");
    assert!(error.is_retryable());
}

async fn is_held_to_the_question(setting: Setting) {
    let host = start(setting.with(json!({ "report": "lie" }), json!({})))
        .await
        .unwrap();
    let source = host.source().unwrap();
    let receipt = json!({ "batch_id": BatchId::default(), "chain_id": 1, "tx_hash": format!("0x{:064}", 1), "block_number": 1, "gas_used": 1 });
    let request: ReportRequest = serde_json::from_value(json!({ "receipts": [receipt] })).unwrap();
    let error = source.report(&request).await.unwrap_err();
    assert!(
        matches!(&error.kind, CallErrorKind::Protocol(reason) if reason == "it answered 0 items for 1"),
        "{error}"
    );
    assert!(!error.is_retryable());
    let mut question = stream();
    question.as_object_mut().unwrap().extend([
        ("batch_id".to_owned(), json!(BatchId::default())),
        ("sequence".to_owned(), json!(3)),
    ]);
    let error = source
        .inclusion_proof(&serde_json::from_value(question).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("at 4 instead"), "{error}");
}

/// Asks until there is a place for the call: a cancelled one lets go of its own in its own time.
async fn is_taken(source: &SourceClient, places: usize) {
    loop {
        match poll!(Box::pin(source.poll(&POLL))) {
            Poll::Pending => return,
            Poll::Ready(Err(error)) if error.kind == CallErrorKind::Busy(places) => tokio::task::yield_now().await,
            Poll::Ready(answer) => panic!("{answer:?}"),
        }
    }
}

async fn times_out_and_lives_on(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "wait" }), json!({ "concurrency": 1 })))
        .await
        .unwrap();
    let source = host.source().unwrap();
    let error = out_of_time(source.poll(&POLL)).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Timeout(Duration::from_secs(20)));
    // The cancelled call lets go of its place; the instance stays the first one.
    is_taken(&source, 1).await;
    assert_eq!(host.plugins()[0].generation, 1);
}

async fn takes_no_more_calls_than_allowed(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "wait" }), json!({ "concurrency": 3 })))
        .await
        .unwrap();
    let source = host.source().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(source.poll(&POLL))).collect();
    for call in &mut waiting {
        assert!(poll!(call).is_pending());
    }
    assert_eq!(host.plugins()[0].in_flight, 3);
    let error = source.poll(&POLL).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Busy(3));
    assert!(error.is_retryable());
    // A call that nobody waits for is cancelled, long before its deadline, and makes room.
    drop(waiting);
    is_taken(&source, 3).await;
    assert_eq!(host.plugins()[0].generation, 1);
}

async fn is_replaced_after_a_panic_and_given_up_after_five(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "panic" }), json!({})))
        .await
        .unwrap();
    let source = host.source().unwrap();
    for generation in 1..=5 {
        until(&host, |report| {
            report.generation == generation && report.state == PluginState::Started
        })
        .await;
        let error = source.poll(&POLL).await.unwrap_err();
        assert_eq!(error.kind, CallErrorKind::Panicked("as configured".to_owned()));
    }
    let report = until(&host, |report| report.state == PluginState::Failed).await;
    let reason = report.last_error.unwrap();
    assert!(
        reason.contains("5 times within 10 minutes") && reason.contains("as configured"),
        "{reason}"
    );
    let error = source.poll(&POLL).await.unwrap_err();
    assert!(
        matches!(&error.kind, CallErrorKind::Down(why) if why.starts_with("failed: it failed 5 times")),
        "{error}"
    );
    host.shutdown(Duration::from_secs(20)).await;
    assert_eq!(host.plugins()[0].state, PluginState::Failed);
}

async fn is_replaced_when_it_hangs(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "block" }), json!({ "deadline": "100ms" })))
        .await
        .unwrap();
    let error = host.source().unwrap().poll(&POLL).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Timeout(Duration::from_millis(100)));
    let report = until(&host, |report| {
        report.generation == 2 && report.state == PluginState::Started
    })
    .await;
    assert!(
        report
            .last_error
            .unwrap()
            .contains("still running 250ms after it was cancelled")
    );
}

async fn that_does_not_start_says_why(setting: Setting) {
    let error = refusal(start(setting.with(json!({ "create": "panic" }), json!({}))).await);
    assert_eq!(
        error,
        "plugins: plugin `fixture`: it panicked in `create`: as configured"
    );
    let error = refusal(start(setting.with(json!({ "create": "refuse" }), json!({}))).await);
    assert_eq!(error, "plugins: plugin `fixture`: it does not start: as configured");
    let error = refusal(start(setting.with(json!({ "pol": 1, "poll": "sing" }), json!({}))).await);
    assert!(
        error.contains("`config.pol` is unknown") && error.contains("`config.poll` must be one of"),
        "{error}"
    );

    let optional = setting.with(json!({ "create": "refuse" }), json!({ "required": false }));
    let host = start(optional).await.unwrap();
    let error = host.source().unwrap().poll(&POLL).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it is not running: failed: it does not start: as configured"),
        "{error}"
    );
}

async fn says_no_secret(setting: Setting) {
    let file = setting.dir.path().join("key");
    std::fs::write(&file, "hunter2-and-more\n").unwrap();
    let secret = format!("file:{}", file.display());
    let lines = support_log::Lines::default();
    let _guard = tracing::subscriber::set_default(lines.subscriber());

    let host = start(setting.with(json!({ "secret": secret }), json!({})))
        .await
        .unwrap();
    host.source()
        .unwrap()
        .report(&ReportRequest { receipts: vec![] })
        .await
        .unwrap();
    let report = serde_json::to_string(&host.plugins()).unwrap();
    host.shutdown(Duration::from_secs(20)).await;
    let refused = setting.with(json!({ "secret": secret, "create": "refuse" }), json!({}));
    let error = refusal(start(refused).await);
    assert_eq!(
        error,
        "plugins: plugin `fixture`: it does not start: cannot log in with [redacted]"
    );

    let log = lines.text();
    assert!(
        log.contains("logging [redacted] too") && log.contains("plugin=fixture"),
        "{log}"
    );
    assert!(
        log.contains("fixture created") && log.contains("fixture shut down"),
        "{log}"
    );
    for said in [&log, &report, &error] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}

async fn shows_its_health(setting: Setting) {
    let host = start(setting.with(json!({ "health": "refuse" }), json!({})))
        .await
        .unwrap();
    let report = until(&host, |report| report.state == PluginState::Degraded).await;
    assert_eq!(report.last_error.as_deref(), Some("as configured"));
    // Ill is not down: it may still know what to do.
    host.source().unwrap().poll(&POLL).await.unwrap();
}

async fn ends_in_good_order(setting: Setting) {
    let host = start(setting.with(json!({ "poll": "wait" }), json!({}))).await.unwrap();
    let source = host.source().unwrap();
    let mut waiting = Box::pin(source.poll(&POLL));
    assert!(poll!(&mut waiting).is_pending());
    // Half of the time is the calls', and goes by; the plugin has the other half to end.
    let mut ending = Box::pin(host.shutdown(Duration::from_secs(60)));
    tokio::time::pause();
    assert!(poll!(&mut ending).is_pending());
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    ending.await;
    assert_eq!(host.plugins()[0].state, PluginState::Stopped);
    assert!(matches!(waiting.await.unwrap_err().kind, CallErrorKind::Down(_)));
    let error = source.poll(&POLL).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Down("stopped".to_owned()));

    // One that does not end is left to itself.
    let host = start(setting.with(json!({ "shutdown": "block" }), json!({})))
        .await
        .unwrap();
    host.shutdown(Duration::from_millis(200)).await;
    assert_eq!(host.plugins()[0].state, PluginState::Wedged);
}

mod support_log {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::fmt::MakeWriter;

    /// What the program's log would hold.
    #[derive(Clone, Default)]
    pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(super) fn subscriber(&self) -> impl tracing::Subscriber + use<> {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(self.clone())
                .finish()
        }

        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }
}
