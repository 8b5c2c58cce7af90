//! Settlement proofs: from an event, or a batch, to a game on Ethereum.

use std::{io::Write, path::Path};

use alloy_primitives::Address;
use eyre::{Context, Result};
use set_proof::{Chain, GameClaim, Link, SettlementProof, Verified};
use set_settlement::l1::GameType;
use set_types::Timestamp;

use super::{
    Verdict, VerifyArgs,
    ethereum::{self, Testimony},
    event, files,
};

/// Whether a file is a settlement proof, whatever it proves.
pub(super) fn is_one(file: &Path) -> bool {
    files::text(file).is_ok_and(|text| SettlementProof::from_json(files::result_of(&text)).is_ok())
}

/// Checks and prints one line for each link, and what remains.
///
/// # Errors
/// Names the link that is broken, or the file that cannot be read.
pub(super) async fn verify(args: &VerifyArgs, registry: Address, out: &mut impl Write) -> Result<Verdict> {
    let file = || args.proof.display().to_string();
    let text = files::text(&args.proof)?;
    let proof = SettlementProof::from_json(files::result_of(&text)).wrap_err_with(file)?;
    let signed = args.event.as_deref().map(event::read).transpose()?;
    let chain = Chain {
        chain_id: args.settlement.chain_id,
        registry,
    };
    let verified = proof.verify(chain, signed.as_ref()).wrap_err_with(file)?;
    if let Some(signed) = &signed {
        let signature = event::check(signed, args.agent_key.as_ref()).map_err(|error| Link::Event.broken(error))?;
        writeln!(out, "signature   {signature}")?;
    }
    let event_id = signed.map(|signed| signed.event_id.to_string());
    describe(&verified, chain, event_id.as_deref(), out)?;

    let Some(claim) = &verified.claim else {
        writeln!(
            out,
            "not claimed, not proven: the proof names no game on L1 that claims this output root"
        )?;
        return Ok(Verdict::ClaimedOnly);
    };
    let game_type = GameType(claim.game_type);
    let GameClaim {
        game, index, l2_block, ..
    } = claim;
    writeln!(
        out,
        "claim       game {game}, number {index}, {game_type}, claims it for L2 block {l2_block}"
    )?;
    let (Some(l1), Some(portal)) = (&args.settlement.l1, args.settlement.portal) else {
        let remark =
            "verified but for the last link: whether L1 knows this game and bears it out; give --l1 and --portal";
        writeln!(out, "{remark}")?;
        return Ok(Verdict::Holds);
    };
    match ethereum::hear(l1, portal, claim).await {
        Ok(testimony) => {
            testimony.check(chain.chain_id).wrap_err_with(file)?;
            conclude(&testimony, portal, out)
        }
        Err(error) => {
            writeln!(out, "undecided: {error:#}")?;
            Ok(Verdict::Undecided)
        }
    }
}

fn describe(verified: &Verified, chain: Chain, event_id: Option<&str>, out: &mut impl Write) -> Result<()> {
    let record = &verified.record;
    if let Some(event) = &verified.event {
        let (leaf, sequence) = (event.leaf, event.sequence);
        match event_id {
            Some(id) => writeln!(out, "leaf        {leaf} is event {id} at sequence {sequence}")?,
            None => {
                let remark = "as the proof says; give the signed event with --event to compute it";
                writeln!(out, "leaf        {leaf} at sequence {sequence}, {remark}")?;
            }
        }
        let index = sequence - record.sequence_start;
        let (count, root) = (record.event_count, record.events_root);
        writeln!(out, "inclusion   event {index} of {count} under root {root}")?;
    }
    let (start, end, state) = (record.sequence_start, record.sequence_end(), record.new_state_root);
    let written = time(record.timestamp);
    let batch = verified.batch_id;
    writeln!(
        out,
        "record      batch {batch}: sequences {start} to {end}, state root {state}, written {written}"
    )?;
    let block = &verified.block;
    let (number, hash, made) = (block.number, block.hash, time(block.timestamp));
    writeln!(out, "registry    {} on chain {}", chain.registry, chain.chain_id)?;
    writeln!(out, "block       {number}, hash {hash}, made {made}")?;
    writeln!(out, "output root {}", verified.output_root)?;
    Ok(())
}

fn conclude(testimony: &Testimony, portal: Address, out: &mut impl Write) -> Result<Verdict> {
    let Testimony { chain_id, at, standing } = testimony;
    let (number, hash, made) = (at.number, at.hash, time(at.timestamp));
    writeln!(
        out,
        "l1          chain {chain_id}, finalized block {number}, hash {hash}, made {made}, portal {portal}"
    )?;
    if standing.is_proven() {
        writeln!(out, "proven")?;
        return Ok(Verdict::Holds);
    }
    let doubts: Vec<_> = standing.doubts.iter().map(ToString::to_string).collect();
    writeln!(out, "claimed, not proven: {}", doubts.join("; "))?;
    Ok(Verdict::ClaimedOnly)
}

/// A block's timestamp, for people.
fn time(seconds: u64) -> String {
    let timestamp = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("{seconds} s after 1970"), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    /// The recorded event of a batch of eight whose record is in code, and its proof.
    struct Recorded {
        dir: tempfile::TempDir,
        proof: Value,
        event: Value,
        registry: String,
        agent_key: String,
    }

    impl Recorded {
        fn new() -> Self {
            let vectors: Value = serde_json::from_str(include_str!("../../../proof/vectors/proofs.json")).unwrap();
            let events: Value = serde_json::from_str(include_str!("../../../ves/vectors/ves.json")).unwrap();
            let proof = vectors["proofs"][2].clone();
            let leaves = events["batches"][2]["leaves"].as_array().unwrap();
            let leaf = leaves
                .iter()
                .find(|leaf| leaf["leaf_hash"] == proof["inclusion"]["leaf"]);
            Self {
                dir: tempfile::tempdir().unwrap(),
                event: leaf.unwrap().clone(),
                proof,
                registry: vectors["registry"].as_str().unwrap().to_owned(),
                agent_key: events["agent_public_key"].as_str().unwrap().to_owned(),
            }
        }

        async fn run(&self, flags: &[&str]) -> Result<(Verdict, String)> {
            #[derive(clap::Parser)]
            struct Command {
                #[command(flatten)]
                args: VerifyArgs,
            }
            let write = |name: &str, value: &Value| {
                let path = self.dir.path().join(name);
                fs::write(&path, value.to_string()).unwrap();
                path.display().to_string()
            };
            let (proof, event) = (write("proof.json", &self.proof), write("event.json", &self.event));
            let line = ["verify", &proof, "--registry", &self.registry, "--event", &event];
            let command = <Command as clap::Parser>::try_parse_from(line.iter().chain(flags))?;
            let mut out = vec![];
            let verdict = super::super::verify(&command.args, &mut out).await?;
            Ok((verdict, String::from_utf8(out)?))
        }

        async fn refused(&self, flags: &[&str]) -> String {
            format!("{:#}", self.run(flags).await.unwrap_err())
        }
    }

    #[tokio::test]
    async fn an_event_is_followed_to_the_output_root() {
        let mut recorded = Recorded::new();
        let key = ["--agent-key", &recorded.agent_key.clone()];
        let (verdict, said) = recorded.run(&key).await.unwrap();
        assert_eq!(verdict, Verdict::Holds);
        for line in [
            "signature   the agent's",
            "inclusion   event",
            "record      batch",
            "claim       game",
        ] {
            assert!(said.contains(line), "{line} is missing in:\n{said}");
        }
        assert!(
            said.lines()
                .last()
                .unwrap()
                .starts_with("verified but for the last link"),
            "{said}"
        );

        // Without a registry nobody's records would be proven.
        let path = recorded.dir.path().join("proof.json");
        assert!(is_one(&path) && !is_one(recorded.dir.path()));

        // As a JSON-RPC response, too.
        recorded.proof = json!({ "jsonrpc": "2.0", "id": 1, "result": recorded.proof });
        assert_eq!(recorded.run(&key).await.unwrap(), (verdict, said));

        recorded.proof["result"].as_object_mut().unwrap().remove("claim");
        let (verdict, said) = recorded.run(&[]).await.unwrap();
        assert_eq!(verdict, Verdict::ClaimedOnly);
        assert!(
            said.contains("signature   not checked") && said.contains("not claimed"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn the_broken_link_is_named() {
        let recorded = Recorded::new();
        let said = recorded
            .refused(&["--agent-key", &format!("0x{}", "02".repeat(32))])
            .await;
        assert!(said.contains("`event`"), "{said}");
        assert!(recorded.refused(&["--chain-id", "10"]).await.contains("`chain`"));
        type Change = (&'static str, Value, &'static str);
        let changes: [Change; 3] = [
            ("/inclusion/sequence", json!("0xf"), "`inclusion`"),
            ("/record/timestamp", json!("0x1"), "`record`"),
            (
                "/claim/l2Block",
                json!("0x01"),
                "`claim.l2Block` is not in canonical form",
            ),
        ];
        for (place, value, expected) in changes {
            let mut recorded = Recorded::new();
            *recorded.proof.pointer_mut(place).unwrap() = value;
            let said = recorded.refused(&[]).await;
            assert!(said.contains(expected) && said.contains("proof.json"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_node_that_cannot_be_asked_decides_nothing() {
        set_testkit::init();
        let recorded = Recorded::new();
        let flags = ["--l1", "http://127.0.0.1:1/?key=secret", "--portal", &recorded.registry];
        let (verdict, said) = recorded.run(&flags).await.unwrap();
        assert_eq!(verdict, Verdict::Undecided);
        assert!(
            said.lines()
                .last()
                .unwrap()
                .starts_with("undecided: the L1 node cannot be asked"),
            "{said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
}
