//! A data directory that cannot be written, that is full for a while, or that holds rubbish.

use std::{fs, os::unix::fs::PermissionsExt};

use set_testkit::Sequencer;

use crate::{
    stage::{PATIENCE, Stage, binary},
    watch,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_rubbish_is_rebuilt() {
    let stage = Stage::with(Sequencer::builder().seed(91).streams(2)).await;
    let builder = stage
        .quick_sidecar()
        .set("sidecar.data_dir", stage.data_dir().display());
    let index = stage.data_dir().join("index.redb");
    let mut made = 0;
    type Spoil = fn(&[u8]) -> Vec<u8>;
    let spoilt: [Spoil; 4] = [<[u8]>::to_vec, with_noise, cut_in_half, |_| vec![]];
    for spoil in spoilt {
        if let Ok(content) = fs::read(&index) {
            fs::write(&index, spoil(&content)).unwrap();
        }
        let sidecar = builder.start().await.unwrap();
        made += stage.commit_everywhere(1).len();
        stage.reported(made).await;
        let status = watch::status(&sidecar, "the index at the head and nothing amiss", |status| {
            status["index"]["commitments"] == made && watch::is_well(status)
        })
        .await;
        let storage = status["index"]["storage"].as_str().unwrap();
        assert!(storage.contains("new"), "{storage}");
        sidecar.process.kill();
        sidecar.process.wait(PATIENCE).await.unwrap();
    }
    stage.assert_all_anchored().await;
}

fn with_noise(content: &[u8]) -> Vec<u8> {
    let noise = (0u8..=255).cycle();
    content.iter().zip(noise).map(|(byte, noise)| byte ^ noise).collect()
}

fn cut_in_half(content: &[u8]) -> Vec<u8> {
    content[..content.len() / 2].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_store_of_rubbish_is_left_to_its_operator() {
    let stage = Stage::with(Sequencer::builder().seed(94).streams(1)).await;
    fs::create_dir_all(stage.data_dir()).unwrap();
    let store = stage.data_dir().join("durable.redb");
    fs::write(&store, "rubbish").unwrap();
    let sidecar = stage
        .quick_sidecar()
        .set("sidecar.data_dir", stage.data_dir().display());
    let process = sidecar.spawn().unwrap();
    assert!(!process.wait(PATIENCE).await.unwrap().success());
    let said = process.lines().join("\n");
    for expected in [store.to_str().unwrap(), "damaged", "backup"] {
        assert!(said.contains(expected), "{expected} is missing in:\n{said}");
    }
    assert_eq!(fs::read(&store).unwrap(), b"rubbish");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_said_and_nothing_is_sent_unkept() {
    let stage = Stage::with(Sequencer::builder().seed(92).streams(2)).await;
    // Nobody may make files there, not even root.
    let sidecar = stage.quick_sidecar().set("sidecar.data_dir", "/sys/kernel");
    let sidecar = sidecar.start().await.unwrap();
    let made = stage.commit_everywhere(2).len();
    let status = watch::status(&sidecar, "the alarm", |status| {
        watch::alarm(status, "journal").is_some()
    })
    .await;
    let message = watch::alarm(&status, "journal").unwrap()["message"].as_str().unwrap();
    assert!(message.contains("/sys/kernel"), "{message}");
    let storage = status["index"]["storage"].as_str().unwrap();
    assert!(
        storage.contains("in memory") && storage.contains("cannot be written"),
        "{storage}"
    );
    for file in ["durable.redb", "index.redb"] {
        assert!(watch::logged(&sidecar, &format!("path=/sys/kernel/{file}")), "{file}");
    }
    assert_eq!(stage.sequencer().unreported().len(), made);
    assert_eq!(stage.committed().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_it_waits_and_says_so() {
    let stage = Stage::with(Sequencer::builder().seed(93).streams(2)).await;
    // Writing past a limit ends a program unless it ignores the signal, as it would the disk's own error.
    let program = stage.dir.path().join("sidecar");
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", binary().display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let sidecar = stage
        .quick_sidecar_of(program)
        .set("sidecar.data_dir", stage.data_dir().display())
        .start()
        .await
        .unwrap();
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;

    sidecar.process.limit_files(Some(0));
    made += stage.commit_everywhere(2).len();
    let status = watch::status(&sidecar, "the alarm", |status| {
        watch::alarm(status, "journal").is_some()
    })
    .await;
    let message = watch::alarm(&status, "journal").unwrap()["message"].as_str().unwrap();
    assert!(message.contains("data"), "{message}");
    watch::metric_is(&sidecar, "set_tx_alarm", &[("kind", "journal")], 1.0).await;
    assert_eq!(watch::health(&sidecar, "livez").await.0, 200);
    // What is not kept is not sent.
    assert_eq!(
        stage.sequencer().unreported().len(),
        stage.sequencer().streams().len() * 2
    );

    sidecar.process.limit_files(None);
    stage.reported(made).await;
    watch::status(&sidecar, "the end of the alarm", watch::is_well).await;
    stage.assert_all_anchored().await;
    assert!(sidecar.stop().await.unwrap().success());
}
