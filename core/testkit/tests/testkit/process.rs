//! Programs under control.

use std::{fs, io::Write, path::Path, time::Duration};

use set_testkit::{Process, ProcessError, Program};

const SOON: Duration = Duration::from_secs(120);

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
    until("it stops", || stopped(&process)).await;
    process.thaw();
    let seen = process.lines().len();
    until("it goes on", || process.lines().len() > seen).await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    // Each time killed at another moment: before a program runs, while it starts, and after.
    for started in 1..=20 {
        let tests = Program::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::starts_programs", "--ignored", "--nocapture"])
            .spawn()
            .unwrap();
        tests.line_with(&format!("started {started};"), SOON).await.unwrap();
        // Frozen first, so that its children are all there are.
        tests.freeze();
        until("the tests stop", || stopped(&tests)).await;
        let children = children(tests.id());
        assert!(children.len() >= started, "{started} started: {children:?}");
        tests.kill();
        until("none of their programs runs", || {
            children.iter().all(|child| !runs(*child))
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "the other half of nothing_outlives_a_killed_test"]
async fn starts_programs() {
    let mut processes = vec![];
    for started in 1..=100 {
        processes.push(shell("exec sleep 600"));
        writeln!(std::io::stdout(), "started {started};").unwrap();
    }
    processes[0].wait(Duration::from_secs(600)).await.unwrap();
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        // The system does not tell.
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(SOON, wait).await.is_err() {
        panic!("waited {SOON:?} until {what}");
    }
}

/// Whether the system says that a process is stopped, not that it will be.
fn stopped(process: &Process) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    stat.contains(") T ")
}

fn runs(process: u32) -> bool {
    Path::new(&format!("/proc/{process}/exe")).read_link().is_ok()
}

fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let children = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap());
    children
        .flat_map(|ids| ids.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}
