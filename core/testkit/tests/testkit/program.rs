//! The program `dev-sequencer`.

use std::time::Duration;

use serde_json::Value;
use set_testkit::Program;
use url::Url;

const SOON: Duration = Duration::from_secs(120);

fn dev_sequencer() -> Program {
    Program::new(env!("CARGO_BIN_EXE_dev-sequencer")).args(["--port", "0", "--seed", "1"])
}

#[tokio::test]
async fn it_prints_its_url_and_then_what_happens() {
    let program = dev_sequencer()
        .args(["--interval-ms", "1", "--batches", "2", "--preload", "4x3:event_count"])
        .args(["--fault", "stale_ms=5000", "--fault", "next_batches=[\"state_root\"]"])
        .env("DEV_SEQUENCER_API_KEY", "ss_secret")
        .spawn()
        .unwrap();
    let url: Url = program
        .line_with("http://127.0.0.1:", SOON)
        .await
        .unwrap()
        .parse()
        .unwrap();
    program.ready(&url.join("ready").unwrap(), SOON).await.unwrap();
    let committed = program.line_with("state_root", SOON).await.unwrap();
    assert!(committed.contains("committed"), "{committed}");
    let list = reqwest::Client::new()
        .get(url.join("v1/commitments/pending").unwrap())
        .header("X-Api-Key", "ss_secret");
    let listed: Value = list.send().await.unwrap().json().await.unwrap();
    assert!(listed["total"].as_u64().unwrap() > 12, "{}", listed["total"]);
    assert_eq!(listed["commitments"][0]["event_count"], 2);
    let faults: Value = reqwest::get(url.join("dev/faults").unwrap())
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(faults["stale_ms"], 5000);
    program.terminate();
    assert!(program.wait(SOON).await.unwrap().success());
    assert!(program.lines().iter().all(|line| !line.contains("ss_secret")));
}

#[tokio::test]
async fn it_says_what_is_wrong_with_its_arguments() {
    for (arguments, message) in [
        (["--fault", "wholes=1"], "unknown field `wholes`"),
        (["--fault", "holes"], "KEY=VALUE"),
        (["--preload", "0x9"], "STREAMSxBATCHES"),
        (["--preload", "1x9:late"], "unknown variant `late`"),
        (["--min-events", "99"], "--min-events"),
    ] {
        let program = dev_sequencer().args(arguments).spawn().unwrap();
        assert!(!program.wait(SOON).await.unwrap().success());
        assert!(program.lines().join("\n").contains(message), "{:?}", program.lines());
    }
}
