//! Programs under control.

use std::{io::Write, path::Path, time::Duration};

use set_testkit::{Process, ProcessError, Program};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Process {
    Program::new("/bin/sh").arg("-c").arg(script).spawn().unwrap()
}

#[tokio::test]
async fn lines_are_events_and_an_early_end_is_an_error() {
    let process = shell("echo one; echo two >&2; exec sleep 60");
    assert_eq!(process.line_with("tw", SOON).await.unwrap(), "two");
    assert_eq!(process.line_with("one", SOON).await.unwrap(), "one");
    let late = process.line_with("three", Duration::from_millis(50)).await.unwrap_err();
    assert!(
        matches!(late, ProcessError::Deadline { .. }) && late.to_string().contains("  one\n"),
        "{late}"
    );
    process.terminate();
    let ended = process.line_with("three", SOON).await.unwrap_err();
    assert!(
        matches!(ended, ProcessError::Ended { .. }) && ended.to_string().contains("signal: 15"),
        "{ended}"
    );

    let brief = shell("echo last words; exit 3");
    assert_eq!(brief.wait(SOON).await.unwrap().code(), Some(3));
    assert_eq!(brief.lines(), ["last words"]);
    brief.kill();
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = Program::new("/nonexistent/program").spawn().unwrap_err().to_string();
    assert!(error.contains("/nonexistent/program"), "{error}");
}

#[tokio::test]
async fn a_frozen_program_goes_on_when_thawed() {
    let process = shell("while :; do echo tick; sleep 0.01; done");
    process.line_with("tick", SOON).await.unwrap();
    process.freeze();
    // The signal has stopped the shell once the system says so (state T); from then on nothing comes.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    while !state().contains(") T ") {
        tokio::task::yield_now().await;
    }
    process.thaw();
    let seen = process.lines().len();
    let more = async {
        while process.lines().len() <= seen {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, more).await.unwrap();
}

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    // A process that starts another one as a test would, and is killed without a chance to clean up.
    let tests = Program::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::starts_a_program_and_hangs",
            "--ignored",
            "--nocapture",
        ])
        .spawn()
        .unwrap();
    let line = tests.line_with("started ", SOON).await.unwrap();
    let grandchild: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let running = || Path::new(&format!("/proc/{grandchild}/exe")).read_link().is_ok();
    assert!(running());
    tests.kill();
    let gone = async {
        while running() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
}

#[tokio::test]
#[ignore = "the other half of nothing_outlives_a_killed_test"]
async fn starts_a_program_and_hangs() {
    let process = shell("exec sleep 600");
    writeln!(std::io::stdout(), "started {}", process.id()).unwrap();
    process.wait(Duration::from_secs(600)).await.unwrap();
}
