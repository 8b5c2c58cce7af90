//! Whatever is changed in a proof, in its values or in how they are written, is refused, and the link is named.

use std::{collections::HashSet, sync::LazyLock};

use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use proptest::prelude::*;
use serde_json::{Value, json};
use set_proof::{BrokenLink, Chain, FormatError, Link, SettlementProof, Verified};
use set_ves::SignedEvent;

use crate::recorded;

/// A proof that was made on a chain, and the event in it.
struct Case {
    chain: Chain,
    json: Value,
    proof: SettlementProof,
    event: SignedEvent,
}

/// One proof for each way in which a record is stored: a stream's genesis in slots, a successor in slots, in code.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/proofs.json")).unwrap();
    let registry: Address = serde_json::from_value(vectors["registry"].clone()).unwrap();
    let events: Vec<_> = recorded::batches().into_iter().flat_map(|batch| batch.events).collect();
    let proofs = vectors["proofs"].as_array().unwrap().iter();
    proofs
        .map(|json| {
            let proof = SettlementProof::from_json(&json.to_string()).unwrap();
            let leaf = proof.inclusion.as_ref().unwrap().leaf;
            let event = events.iter().find(|(_, inclusion)| inclusion.leaf == leaf);
            Case {
                chain: Chain {
                    chain_id: proof.chain_id,
                    registry,
                },
                json: json.clone(),
                proof,
                event: event.unwrap().0.clone(),
            }
        })
        .collect()
});

/// Why a document proves nothing.
#[derive(Debug)]
enum Refusal {
    Format(FormatError),
    Link(BrokenLink),
}

impl Case {
    fn judge(&self, text: &str) -> Result<Verified, Refusal> {
        let proof = SettlementProof::from_json(text).map_err(Refusal::Format)?;
        proof.verify(self.chain, Some(&self.event)).map_err(Refusal::Link)
    }

    fn judge_with(&self, path: &[String], value: Value) -> Result<Verified, Refusal> {
        let mut json = self.json.clone();
        *json.pointer_mut(&pointer(path)).unwrap() = value;
        self.judge(&json.to_string())
    }

    fn link(&self, change: impl FnOnce(&mut SettlementProof)) -> Option<Link> {
        let mut changed = self.proof.clone();
        change(&mut changed);
        changed
            .verify(self.chain, Some(&self.event))
            .err()
            .map(|broken| broken.link)
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|key| format!("/{key}")).collect()
}

/// Every value in a document for which `wanted`, with the keys that lead to it.
fn places(value: &Value, wanted: fn(&Value) -> bool) -> Vec<(Vec<String>, Value)> {
    let mut found = vec![];
    let mut open = vec![(vec![], value)];
    while let Some((path, value)) = open.pop() {
        if wanted(value) {
            found.push((path.clone(), value.clone()));
        }
        let below: Vec<_> = match value {
            Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| (index.to_string(), item))
                .collect(),
            _ => vec![],
        };
        open.extend(
            below
                .into_iter()
                .map(|(key, value)| ([&path[..], &[key]].concat(), value)),
        );
    }
    found
}

/// The link that breaks where the value at `path` is another; `None` where only L1 knows.
fn expected(path: &[String]) -> Option<Link> {
    let keys: Vec<_> = path.iter().map(String::as_str).collect();
    Some(match keys[..] {
        ["chainId"] => Link::Chain,
        ["batchId"] | ["registry", "storageProof", ..] => Link::Storage,
        ["inclusion", ..] => Link::Inclusion,
        ["record", ..] => Link::Record,
        ["dataContract", ..] => Link::Code,
        ["registry", "accountProof", ..] => Link::Account,
        ["header"] => Link::Header,
        ["outputRoot", ..] | ["claim", "rootClaim"] => Link::OutputRoot,
        ["claim", "l2Block"] => Link::Claim,
        ["claim", "game" | "index" | "gameType"] => return None,
        _ => panic!("what is {path:?}?"),
    })
}

/// Other values of the same kind as a text.
fn other_values(text: &str) -> Vec<String> {
    let Some(digits) = text.strip_prefix("0x") else {
        let id: set_types::BatchId = text.parse().unwrap();
        let other = |change: fn(&mut B256)| {
            let mut word = id.to_b256();
            change(&mut word);
            set_types::BatchId::from(word).to_string()
        };
        return vec![
            other(|word| word[0] ^= 1),
            other(|word| word[15] ^= 0x80),
            other(|word| word[31] ^= 1),
        ];
    };
    if digits.len() <= 16 {
        let number = u64::from_str_radix(digits, 16).unwrap();
        return vec![format!("{:#x}", number + 1), format!("{:#x}", number ^ 1 << 20)];
    }
    [0, (digits.len() / 2) & !1, digits.len() - 1]
        .into_iter()
        .map(|at| {
            let mut changed = digits.to_owned().into_bytes();
            changed[at] = if changed[at] == b'3' { b'4' } else { b'3' };
            format!("0x{}", String::from_utf8(changed).unwrap())
        })
        .collect()
}

#[test]
fn the_vectors_are_proofs() {
    for case in &*CASES {
        let verified = case.judge(&case.json.to_string()).unwrap();
        assert!(verified.event.unwrap().is_signed_event);
        // Without event, inclusion and claim it proves less, and holds.
        let mut batch = case.proof.clone();
        (batch.inclusion, batch.claim) = (None, None);
        let verified = batch.verify(case.chain, None).unwrap();
        assert_eq!((verified.event, verified.claim), (None, None));
    }
    assert!(
        CASES.iter().any(|case| case.proof.data_contract.is_some()),
        "a record in code"
    );
    let named = |case: &Case| matches!(case.proof.record.previous, set_proof::Previous::Batch(_));
    assert!(CASES.iter().any(named), "a record in slots that names its predecessor");
}

/// Blocks of an OP Stack chain under Jovian: their headers hold what anvil's do not.
#[test]
fn what_op_geth_proved_holds() {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/op_geth.json")).unwrap();
    let registry = serde_json::from_value(vectors["registry"].clone()).unwrap();
    for vector in vectors["proofs"].as_array().unwrap() {
        let proof = SettlementProof::from_json(&vector["proof"].to_string()).unwrap();
        let event: SignedEvent = serde_json::from_value(vector["event"].clone()).unwrap();
        let chain = Chain {
            chain_id: proof.chain_id,
            registry,
        };
        let verified = proof.verify(chain, Some(&event)).unwrap();
        assert_eq!(Some(verified.output_root), proof.claim.map(|claim| claim.root_claim));
    }
}

#[test]
fn another_value_breaks_its_link() {
    for case in &*CASES {
        for (path, value) in places(&case.json, Value::is_string) {
            if path == ["version"] {
                assert!(matches!(case.judge_with(&path, json!("0x2")), Err(Refusal::Format(_))));
                continue;
            }
            for other in other_values(value.as_str().unwrap()) {
                match (case.judge_with(&path, json!(other)), expected(&path)) {
                    (Err(Refusal::Link(broken)), Some(link)) if broken.link == link => {}
                    // The hash of the block is where output root and header meet.
                    (Err(Refusal::Link(broken)), _) if path == ["outputRoot", "latestBlockhash"] => {
                        assert!([Link::OutputRoot, Link::Header].contains(&broken.link), "{broken}");
                    }
                    (Ok(verified), None) => {
                        assert_ne!(verified.claim, case.proof.claim, "handed on to be asked of L1");
                    }
                    (judged, link) => panic!("{path:?} = {other}: {judged:?} instead of {link:?}"),
                }
            }
        }
    }
}

#[test]
fn a_value_is_written_in_one_way() {
    for case in &*CASES {
        for (path, value) in places(&case.json, Value::is_string) {
            let text = value.as_str().unwrap();
            let upper = text
                .replace(['a', 'b', 'c', 'd', 'e', 'f'], "C")
                .replacen("0x", "0X", 1);
            let mut forms = vec![
                json!(null),
                json!(""),
                json!("0x"),
                json!(7),
                json!([text]),
                json!({ "value": text }),
                json!(format!(" {text}")),
                json!(format!("{text} ")),
                json!(format!("{text}0")),
                json!(upper),
                json!(text.trim_start_matches("0x")),
                json!(text.replacen("0x", "0x0", 1)),
                json!(text.replacen("0x", "0x+", 1)),
                json!(text.replacen("0x", "0x_", 1)),
            ];
            if text.contains(|digit: char| digit.is_ascii_lowercase() && digit != 'x') {
                forms.push(json!(text[2..].to_uppercase()));
                forms.push(json!(format!("0x{}", text[2..].to_uppercase())));
            }
            if let Ok(id) = text.parse::<set_types::BatchId>()
                && let Some(uuid) = id.to_uuid()
                && !text.starts_with("0x")
            {
                forms.extend([
                    json!(id.to_b256()),
                    json!(uuid.simple().to_string()),
                    json!(text.to_uppercase()),
                ]);
            }
            if let Some(Ok(bytes)) = text.strip_prefix("0x").map(hex::decode) {
                forms.extend([json!(bytes), json!(format!("{text}00"))]);
            }
            for form in forms {
                if form == value {
                    continue;
                }
                let same = form.is_array() || form.as_str().is_some_and(|form| form.eq_ignore_ascii_case(text));
                match case.judge_with(&path, form.clone()) {
                    Err(Refusal::Format(FormatError::NotCanonical { key, .. })) => assert_eq!(key, path.join(".")),
                    Err(Refusal::Format(_)) => {}
                    // A longer number is another one, and a value of its own.
                    Err(Refusal::Link(broken)) if !same => assert_eq!(Some(broken.link), expected(&path)),
                    Ok(verified) if !same && expected(&path).is_none() => assert_ne!(verified.claim, case.proof.claim),
                    judged => panic!("{path:?} = {form}: {judged:?}"),
                }
            }
        }
    }
}

#[test]
fn nothing_is_missing_repeated_or_superfluous() {
    for case in &*CASES {
        for (path, object) in places(&case.json, Value::is_object) {
            let entries = object.as_object().unwrap();
            let mut more = object.clone();
            more["more"] = json!("0x1");
            assert!(
                matches!(case.judge_with(&path, more), Err(Refusal::Format(_))),
                "{path:?}"
            );
            for (key, value) in entries {
                let mut less = object.clone();
                less.as_object_mut().unwrap().remove(key);
                match (case.judge_with(&path, less), key.as_str()) {
                    (Err(Refusal::Format(_)), _) | (Err(Refusal::Link(_)), "inclusion" | "dataContract") => {}
                    (Ok(verified), "claim") => assert_eq!(verified.claim, None),
                    (judged, key) => panic!("{path:?} without {key}: {judged:?}"),
                }
                // A key twice cannot be said in a Value: the second time it gets another name, as long as that is one.
                let mut twice = object.clone();
                twice["twice"] = value.clone();
                let mut json = case.json.clone();
                *json.pointer_mut(&pointer(&path)).unwrap() = twice;
                let text = json.to_string().replacen("\"twice\"", &format!("\"{key}\""), 1);
                assert!(
                    matches!(case.judge(&text), Err(Refusal::Format(_))),
                    "{path:?} with {key} twice"
                );
            }
        }
        for (path, list) in places(&case.json, Value::is_array) {
            let list = list.as_array().unwrap();
            let link = expected(&path).unwrap();
            let mut others = vec![[&list[..], &list[..1.min(list.len())]].concat(), vec![]];
            if let [_, rest @ ..] = &list[..] {
                others.push(rest.to_vec());
                others.push(list[..list.len() - 1].to_vec());
                others.push(list.iter().rev().cloned().collect());
            }
            for other in others {
                if other == *list {
                    continue;
                }
                match case.judge_with(&path, json!(other)) {
                    Err(Refusal::Link(broken)) if broken.link == link => {}
                    judged => panic!("{path:?} with {} of {} items: {judged:?}", other.len(), list.len()),
                }
            }
        }
    }
}

/// A way to one of the byte strings in a proof.
type Way = Box<dyn Fn(&mut SettlementProof) -> &mut Bytes>;

/// All byte strings of a proof, each with the link that it belongs to.
fn byte_strings(proof: &SettlementProof) -> Vec<(Link, Way)> {
    let mut ways: Vec<(Link, Way)> = vec![(Link::Header, Box::new(|proof| &mut proof.header))];
    for node in 0..proof.registry.account_proof.len() {
        ways.push((
            Link::Account,
            Box::new(move |proof| &mut proof.registry.account_proof[node]),
        ));
    }
    for (slot, word) in proof.registry.storage_proof.iter().enumerate() {
        for node in 0..word.proof.len() {
            ways.push((
                Link::Storage,
                Box::new(move |proof| &mut proof.registry.storage_proof[slot].proof[node]),
            ));
        }
    }
    if let Some(contract) = &proof.data_contract {
        for node in 0..contract.account_proof.len() {
            let way: Way = Box::new(move |proof| &mut proof.data_contract.as_mut().unwrap().account_proof[node]);
            ways.push((Link::Code, way));
        }
        ways.push((
            Link::Code,
            Box::new(|proof| &mut proof.data_contract.as_mut().unwrap().code),
        ));
    }
    ways
}

#[test]
fn every_byte_of_nodes_header_and_code_counts() {
    // Upper nodes are in many proofs.
    let mut seen = HashSet::new();
    for case in &*CASES {
        for (link, way) in byte_strings(&case.proof) {
            let mut changed = case.proof.clone();
            let bytes = way(&mut changed).clone();
            if !seen.insert((link, bytes.clone())) {
                continue;
            }
            for at in 0..bytes.len() {
                let mut other = bytes.to_vec();
                other[at] ^= 1 << (at % 8);
                *way(&mut changed) = other.into();
                let broken = changed.verify(case.chain, None).unwrap_err();
                assert_eq!(broken.link, link, "byte {at} of {bytes}");
            }
        }
    }
}

/// Whoever makes up a block can give it any hash: what is in it still has to be written as a chain would.
#[test]
fn a_header_that_hashes_right_is_refused_in_another_encoding() {
    for case in &*CASES {
        let header = case.proof.header.clone();
        let payload = &header[3..];
        let four_byte_length = [&[0xfa, 0, header[1], header[2]][..], payload].concat();
        let with_a_byte_behind = [&header[..], &[0]].concat();
        let mut with_a_leading_zero = payload.to_vec();
        let number = payload.windows(2).position(|window| window == [0x80, 0x84]);
        with_a_leading_zero.splice(number.unwrap_or(0)..number.unwrap_or(0), [0x00]);
        let length = u16::try_from(with_a_leading_zero.len()).unwrap().to_be_bytes();
        let with_a_leading_zero = [&[0xf9][..], &length, &with_a_leading_zero].concat();
        for other in [
            four_byte_length,
            with_a_byte_behind,
            with_a_leading_zero,
            vec![],
            vec![0xc0],
        ] {
            let link = case.link(|proof| {
                proof.output_root.latest_blockhash = keccak256(&other);
                proof.header = other.into();
                proof.claim = None;
            });
            assert_eq!(link, Some(Link::Header));
        }
    }
}

#[test]
fn the_verifier_says_which_chain_registry_and_event() {
    for case in &*CASES {
        let refused = |chain, event: &SignedEvent| case.proof.verify(chain, Some(event)).unwrap_err().link;
        let other = Chain {
            chain_id: 1,
            ..case.chain
        };
        assert_eq!(refused(other, &case.event), Link::Chain);
        let other = Chain {
            registry: Address::repeat_byte(1),
            ..case.chain
        };
        assert_eq!(refused(other, &case.event), Link::Account);

        let mut event = case.event.clone();
        event.payload = Some(json!({ "total": "0.00" }));
        assert_eq!(refused(case.chain, &event), Link::Event);
        event.entity_id.push('x');
        assert_eq!(refused(case.chain, &event), Link::Leaf);
        let mut event = case.event.clone();
        event.agent_signature[63] ^= 1;
        assert_eq!(refused(case.chain, &event), Link::Leaf);

        assert_eq!(
            case.link(|proof| proof.inclusion = None),
            Some(Link::Leaf),
            "the event is not in the proof"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(place: prop::sample::Index, length in 0..40_usize, with in "[\\PC\"{}:,0-9a-fx]{0,12}") {
        let case = &CASES[2];
        let text = case.json.to_string();
        let start = place.index(text.len());
        let end = (start + length).min(text.len());
        let changed = format!("{}{with}{}", &text[..start], &text[end..]);
        if let Ok(verified) = case.judge(&changed) {
            let same = serde_json::from_str::<Value>(&changed).unwrap() == case.json;
            prop_assert!(same || verified.claim != case.proof.claim, "{}", &changed[start.saturating_sub(40)..][..80]);
        }
    }
}
