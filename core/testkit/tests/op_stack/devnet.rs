//! `scripts/devnet --op-stack` leaves nothing running, whenever and however it ends.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use set_testkit::{Process, Program, ReservedPort};
use tempfile::TempDir;

/// Longer than the devnet takes to start, or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
#[ignore = "needs op-stack/build and set-sidecar; scripts/test op-stack runs it"]
async fn nothing_of_a_devnet_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let ports = [(); 4].map(|()| ReservedPort::any().unwrap());

    let interrupted = devnet(&dir, &ports);
    let started = interrupted.line_with("Ctrl-C stops", PATIENCE).await;
    started.unwrap_or_else(|error| panic!("{error}"));
    let running = descendants(interrupted.id());
    let names: BTreeSet<_> = running.iter().map(|process| process.name.as_str()).collect();
    let expected = [
        "anvil",
        "op-batcher",
        "op-challenger",
        "op-geth",
        "op-node",
        "op-proposer",
        "set-sidecar",
    ];
    assert!(expected.iter().all(|name| names.contains(name)), "{names:?}");
    interrupted.interrupt();
    let status = interrupted.wait(PATIENCE).await;
    let status = status.unwrap_or_else(|error| panic!("{error}"));
    assert!(status.success(), "{status}");
    gone(&running).await;

    for end in [Process::interrupt, Process::kill] {
        let starting = devnet(&dir, &ports);
        let running = until_runs(&starting, "op-node").await;
        end(&starting);
        let ended = starting.wait(PATIENCE).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
        gone(&running).await;
    }
}

fn devnet(dir: &TempDir, ports: &[ReservedPort; 4]) -> Process {
    let program = Program::new(env!("CARGO_BIN_EXE_devnet"))
        .arg("--op-stack")
        .arg("--dir")
        .arg(dir.path());
    let flags = ["--chain-port", "--sequencer-port", "--rpc-port", "--health-port"];
    let set = |program: Program, (flag, port): (&str, &ReservedPort)| program.arg(flag).arg(port.number().to_string());
    flags.into_iter().zip(ports).fold(program, set).spawn().unwrap()
}

/// A process, told apart from a later one of the same id by when it began.
#[derive(Debug, Clone)]
struct Running {
    id: u32,
    name: String,
    parent: u32,
    begun: String,
}

/// What the system says of a process; `None` once it has ended.
fn running(id: u32) -> Option<Running> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, name_and_rest) = stat.split_once('(')?;
    let (name, rest) = name_and_rest.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    (fields[0] != "Z").then(|| Running {
        id,
        name: name.to_owned(),
        parent: fields[1].parse().unwrap_or_default(),
        begun: fields[19].to_owned(),
    })
}

fn descendants(ancestor: u32) -> Vec<Running> {
    let ids = fs::read_dir(Path::new("/proc")).unwrap().flatten();
    let all: Vec<_> = ids
        .filter_map(|entry| running(entry.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found = vec![];
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            parents.push(child.id);
            found.push(child.clone());
        }
    }
    found
}

/// Waits until a process of that name belongs to the devnet; gives all that do.
async fn until_runs(devnet: &Process, name: &str) -> Vec<Running> {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let search = async {
        loop {
            pause.tick().await;
            let all = descendants(devnet.id());
            if all.iter().any(|process| process.name == name) {
                return all;
            }
            assert!(devnet.ended().is_none(), "the devnet ended before it ran {name}");
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    found.unwrap_or_else(|_| panic!("the devnet does not run {name}: {:?}", descendants(devnet.id())))
}

async fn gone(processes: &[Running]) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    // Orphans have another parent.
    let still = |process: &&Running| running(process.id).is_some_and(|now| now.begun == process.begun);
    let wait = async {
        while processes.iter().any(|process| still(&process)) {
            pause.tick().await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!(
            "still running: {:?}",
            processes.iter().filter(still).collect::<Vec<_>>()
        );
    }
}
