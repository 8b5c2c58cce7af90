//! Inclusion proofs: an event is in a batch whose root the verifier trusts already.

use std::io::Write;

use alloy_primitives::B256;
use eyre::{Context, Result, bail, ensure, eyre};
use serde::Deserialize;
use serde_json::Value;
use set_ves::verify_inclusion;

use super::{VerifyArgs, event, files};

/// A proof, as the sidecar or the sequencer writes it.
#[derive(Debug, Deserialize)]
struct ProofFile {
    #[serde(alias = "sequence_number")]
    sequence: Number,
    #[serde(alias = "leaf_hash", alias = "leafHash")]
    leaf: B256,
    #[serde(alias = "leafIndex")]
    leaf_index: Number,
    #[serde(alias = "proof_path")]
    path: Vec<B256>,
    #[serde(alias = "eventsRoot", alias = "merkle_root")]
    events_root: Option<B256>,
    #[serde(alias = "eventCount")]
    event_count: Option<Number>,
}

/// What the proof is checked against.
#[derive(Debug, Deserialize)]
struct Trusted {
    #[serde(alias = "eventsRoot", alias = "merkle_root")]
    events_root: B256,
    #[serde(alias = "eventCount", alias = "leaf_count")]
    event_count: Number,
    #[serde(alias = "sequenceStart")]
    sequence_start: Number,
}

/// A number, or a hex quantity as JSON-RPC writes it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
struct Number(u64);

impl TryFrom<Value> for Number {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let number = match &value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text
                .strip_prefix("0x")
                .and_then(|digits| u64::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        number
            .map(Number)
            .ok_or_else(|| format!("{value} is neither a whole number nor a hex quantity"))
    }
}

/// Checks and prints one line for each link of the chain from the event to the root.
///
/// # Errors
/// Names the first link that does not hold, or the file that cannot be read.
pub(super) fn verify(args: &VerifyArgs, out: &mut impl Write) -> Result<()> {
    let proof: ProofFile = files::read(&args.proof, &["result"])?;

    if let Some(path) = &args.event {
        let event = event::read(path)?;
        let signature = event::check(&event, args.agent_key.as_ref()).wrap_err_with(|| path.display().to_string())?;
        writeln!(out, "signature   {signature}")?;
        let leaf = event.leaf(proof.sequence.0);
        ensure!(
            leaf == proof.leaf,
            "the event's leaf at sequence {} is {leaf}, but the proof is for {}",
            proof.sequence.0,
            proof.leaf
        );
        writeln!(
            out,
            "leaf        {leaf} is event {} at sequence {}",
            event.event_id, proof.sequence.0
        )?;
    } else {
        writeln!(
            out,
            "leaf        {} as the proof says; give the signed event with --event to compute it",
            proof.leaf
        )?;
    }

    let (root, count, source) = trusted(args, &proof)?;
    verify_inclusion(proof.leaf, proof.leaf_index.0, &proof.path, count, root)
        .wrap_err_with(|| format!("{} does not hold against {source}", args.proof.display()))?;
    writeln!(
        out,
        "inclusion   event {} of {count} under root {root}",
        proof.leaf_index.0
    )?;
    writeln!(out, "root        from {source}")?;
    if args.commitment.is_none() && args.events_root.is_none() {
        let warning = "consistent, but not anchored: root and count are the proof's own; give --commitment, or \
                       --events-root and --event-count, from a source that you trust";
        writeln!(out, "{warning}")?;
    } else {
        writeln!(out, "verified")?;
    }
    Ok(())
}

fn trusted(args: &VerifyArgs, proof: &ProofFile) -> Result<(B256, u32, String)> {
    if let (Some(root), Some(count)) = (args.events_root, args.event_count) {
        return Ok((root, count, "the command line".to_owned()));
    }
    let (root, count, path) = match &args.commitment {
        Some(path) => {
            let commitment: Trusted = files::read(path, &["result", "commitment"])?;
            let position = proof.sequence.0.checked_sub(commitment.sequence_start.0);
            ensure!(
                position == Some(proof.leaf_index.0),
                "sequence {} is not event {} of a batch that starts at sequence {}",
                proof.sequence.0,
                proof.leaf_index.0,
                commitment.sequence_start.0
            );
            (commitment.events_root, commitment.event_count, path)
        }
        None => match (proof.events_root, proof.event_count) {
            (Some(root), Some(count)) => (root, count, &args.proof),
            _ => bail!(
                "{} says no event count, as the sequencer's own proofs don't: give --commitment, or --events-root \
                 and --event-count",
                args.proof.display()
            ),
        },
    };
    let count = u32::try_from(count.0).map_err(|_| eyre!("{}: the event count is above 2^32-1", path.display()))?;
    Ok((root, count, path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use serde_json::json;

    use super::{super::SettlementArgs, *};

    /// The second of three recorded events, with everything that it can be checked against.
    struct Recorded {
        dir: tempfile::TempDir,
        args: VerifyArgs,
    }

    impl Recorded {
        fn new() -> Self {
            let recording: Value = serde_json::from_str(include_str!("../../../ves/vectors/ves.json")).unwrap();
            let batch = &recording["batches"][1];
            let dir = tempfile::tempdir().unwrap();
            let args = VerifyArgs {
                proof: write(&dir, "proof.json", &batch["proofs"][1]),
                commitment: Some(write(&dir, "commitment.json", &batch["pending"])),
                events_root: None,
                event_count: None,
                event: Some(write(&dir, "event.json", &batch["leaves"][1])),
                agent_key: Some(recording["agent_public_key"].as_str().unwrap().parse().unwrap()),
                settlement: SettlementArgs {
                    registry: None,
                    chain_id: 0,
                    l1: None,
                    portal: None,
                },
            };
            Self { dir, args }
        }

        /// Overwrites one key of a file.
        fn change(&self, path: &Path, key: &str, value: Value) {
            let mut content: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            content[key] = value;
            fs::write(path, content.to_string()).unwrap();
        }

        fn run(&self) -> Result<String> {
            let mut out = vec![];
            verify(&self.args, &mut out)?;
            Ok(String::from_utf8(out)?)
        }
    }

    fn write(dir: &tempfile::TempDir, name: &str, value: &Value) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    }

    #[test]
    fn a_recorded_event_verifies_down_to_its_signature() {
        let said = Recorded::new().run().unwrap();
        assert!(said.contains("signature   the agent's"), "{said}");
        assert!(said.ends_with("verified\n"), "{said}");
    }

    #[test]
    fn without_a_trusted_root_nothing_is_called_verified() {
        let mut recorded = Recorded::new();
        recorded.args.commitment = None;
        assert!(recorded.run().unwrap_err().to_string().contains("--commitment"));

        recorded.change(&recorded.args.proof, "event_count", json!("0x3"));
        let proof: Value = serde_json::from_str(&fs::read_to_string(&recorded.args.proof).unwrap()).unwrap();
        let response = json!({ "jsonrpc": "2.0", "id": 1, "result": proof });
        recorded.args.proof = write(&recorded.dir, "response.json", &response);
        let said = recorded.run().unwrap();
        assert!(said.contains("not anchored") && !said.contains("verified\n"), "{said}");
    }

    #[test]
    fn whatever_is_changed_is_refused() {
        let commitment_changes = [("events_root", json!(B256::repeat_byte(1))), ("event_count", json!(5))];
        for (key, value) in commitment_changes {
            let recorded = Recorded::new();
            recorded.change(recorded.args.commitment.as_ref().unwrap(), key, value);
            assert!(recorded.run().is_err(), "{key}");
        }
        for (key, value) in [
            ("leaf_index", json!(2)),
            ("sequence_number", json!(6)),
            ("proof_path", json!([])),
        ] {
            let recorded = Recorded::new();
            recorded.change(&recorded.args.proof, key, value);
            assert!(recorded.run().is_err(), "{key}");
        }
        let mut recorded = Recorded::new();
        recorded.args.agent_key = Some(B256::repeat_byte(2));
        assert!(recorded.run().is_err(), "the agent's key");
    }
}
