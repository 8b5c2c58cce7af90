//! What the methods answer.

use serde_json::{Value, json};
use set_types::Stage;

use crate::fixture::{Fixture, call, commitment, pending, plugin, stream, view};

fn ids(page: &Value) -> Vec<&str> {
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["batchId"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn who_answers_and_how_everything_is() {
    let fixture = Fixture::new().await;
    fixture.anchor(&[commitment(stream(1), 0)]).await;
    let server = fixture.serve().await;
    let version = call(&server, "set_version", json!([])).await.unwrap();
    assert_eq!(version["version"], "1.2.3");
    assert_eq!(version["chainId"], "0x509db21");
    let methods: Vec<_> = version["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| &method["name"])
        .collect();
    assert!(methods.contains(&&json!("set_verifyInclusion")), "{methods:?}");

    let status = call(&server, "set_status", json!(null)).await.unwrap();
    assert_eq!(status["chain"]["latest"]["number"], "0xa");
    assert_eq!(status["chain"]["reachable"], true);
    assert_eq!(status["index"]["block"]["number"], "0x5");
    assert_eq!(status["index"]["commitments"], 1);
    assert_eq!(status["index"]["storage"], "in memory");
    assert_eq!(status["pipeline"]["paused"], false);
    assert_eq!(status["txmgr"]["inFlight"], 2);

    fixture
        .plugins
        .plugins
        .send_replace(vec![plugin("a", true, "started"), plugin("b", false, "failed")]);
    let plugins = call(&server, "set_listPlugins", json!({})).await.unwrap();
    assert_eq!(plugins[1]["state"], "failed");
    assert_eq!(plugins.as_array().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_commitment_is_found_wherever_it_is() {
    let mut fixture = Fixture::new().await;
    let [anchored, both, waiting] = [0, 1, 2].map(|number| commitment(stream(1), number));
    fixture.anchor(&[anchored.clone(), both.clone()]).await;
    fixture.follow_to(10).await;
    fixture.wait(pending(both.clone(), Stage::Reported, None));
    fixture.wait(pending(
        waiting.clone(),
        Stage::Held,
        Some("the gas price is above 5 gwei"),
    ));
    let server = fixture.serve().await;
    let get = |id: String| call(&server, "set_getCommitment", json!([id]));

    // Blocks 5 and 6; the chain is final up to 6, then only up to 4.
    let answer = get(anchored.batch_id.to_string()).await.unwrap();
    assert_eq!(answer["stage"], "finalized");
    assert_eq!(answer["settlement"], "finalized");
    assert_eq!(answer["blockNumber"], "0x5");
    assert_eq!(answer["logIndex"], "0x3");
    assert_eq!(answer["blockTimestamp"], format!("{:#x}", 1_700_000_010));
    assert_eq!(answer["tenantId"], anchored.tenant_id.to_string());
    assert_eq!(answer["eventsRoot"], anchored.events_root.to_string());
    assert_eq!(answer["prevStateRoot"], Value::Null);
    for (tags, settlement) in [
        ((10, 5, 4), json!("safe")),
        ((10, 4, 4), json!("included")),
        ((4, 4, 4), Value::Null),
    ] {
        fixture.heads.send_replace(view(tags.0, tags.1, tags.2).into());
        let answer = get(anchored.batch_id.to_b256().to_string()).await.unwrap();
        assert_eq!(answer["settlement"], settlement, "{tags:?}, asked by bytes32");
        assert_eq!(answer["reason"].is_null(), !settlement.is_null());
    }

    let answer = get(both.batch_id.to_string()).await.unwrap();
    assert_eq!(answer["stage"], "reported");
    assert_eq!(answer["prevStateRoot"], both.prev_state_root.to_string());

    let answer = get(waiting.batch_id.to_string()).await.unwrap();
    assert_eq!(
        (&answer["stage"], &answer["blockNumber"]),
        (&json!("held"), &Value::Null)
    );
    assert_eq!(answer["reason"], "the gas price is above 5 gwei");

    let error = get("09dc526a-e203-4f7d-8295-f1f492512707".to_owned())
        .await
        .unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-39001), &json!("not_found"))
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("has not followed the chain to its head"),
        "{error}"
    );
    server.stop().await;
}

#[tokio::test]
async fn lists_are_paged() {
    let mut fixture = Fixture::new().await;
    let (one, two) = (stream(1), stream(2));
    let anchored = [
        commitment(one, 0),
        commitment(two, 0),
        commitment(one, 1),
        commitment(one, 2),
    ];
    let id = |position: usize| anchored[position].batch_id.to_string();
    fixture.anchor(&anchored).await;
    for number in 3..6 {
        fixture.wait(pending(commitment(one, number), Stage::Planned, None));
    }
    fixture.wait(pending(commitment(two, 1), Stage::Quarantined, Some("a gap")));
    let server = fixture.serve().await;

    // A stream's, by ids and by key, in the order of their sequences.
    let by_ids = json!({ "tenantId": one.tenant_id, "storeId": one.store_id });
    let page = call(&server, "set_listCommitments", json!([by_ids, null, 2]))
        .await
        .unwrap();
    assert_eq!(ids(&page), [id(0), id(2)]);
    let next = json!({ "stream": one.key(), "cursor": page["nextCursor"], "limit": "0x2" });
    let page = call(&server, "set_listCommitments", next).await.unwrap();
    assert_eq!((ids(&page), &page["nextCursor"]), (vec![id(3).as_str()], &Value::Null));

    // All, the newest first.
    let page = call(&server, "set_listCommitments", json!({ "limit": 3 }))
        .await
        .unwrap();
    assert_eq!(ids(&page), [id(3), id(2), id(1)]);
    let page = call(&server, "set_listCommitments", json!([null, page["nextCursor"]]))
        .await
        .unwrap();
    assert_eq!((ids(&page), &page["nextCursor"]), (vec![id(0).as_str()], &Value::Null));

    // What waits, in pages of two and by filters.
    let page = call(&server, "set_pendingCommitments", json!({ "limit": 2 }))
        .await
        .unwrap();
    let rest = call(
        &server,
        "set_pendingCommitments",
        json!({ "cursor": page["nextCursor"] }),
    )
    .await
    .unwrap();
    let in_order = [(one, 3), (one, 4), (one, 5), (two, 1)]
        .map(|(stream, number)| commitment(stream, number).batch_id.to_string());
    assert_eq!(
        [ids(&page), ids(&rest)].concat(),
        in_order,
        "by stream, then by sequence"
    );
    assert!(rest["nextCursor"].is_null());
    let stuck = call(&server, "set_pendingCommitments", json!([null, "quarantined"]))
        .await
        .unwrap();
    assert_eq!(stuck["items"][0]["reason"], "a gap");
    let of_one = call(&server, "set_pendingCommitments", json!([one.key()]))
        .await
        .unwrap();
    assert_eq!(ids(&of_one).len(), 3);

    // What is wrong is named.
    for (params, expected) in [
        (json!({ "limit": 0 }), "parameter `limit`: is 0; give 1 to 500"),
        (json!({ "limit": 501 }), "give 1 to 500"),
        (json!({ "cursor": "x" }), "parameter `cursor`"),
        (json!(["0x12"]), "parameter `stream`"),
        (
            json!([null, null, null, null]),
            "this method takes: stream, cursor, limit",
        ),
    ] {
        let error = call(&server, "set_listCommitments", params.clone()).await.unwrap_err();
        assert_eq!(error["code"], -32602, "{params}");
        assert!(
            error["message"].as_str().unwrap().contains(expected),
            "{params}: {error}"
        );
    }
    let error = call(&server, "set_pendingCommitments", json!([null, "lost"]))
        .await
        .unwrap_err();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("parameter `stage`: unknown variant"),
        "{error}"
    );
    server.stop().await;
}

#[tokio::test]
async fn proofs_are_checked_and_name_what_is_wrong() {
    let fixture = Fixture::new().await;
    let one = commitment(stream(1), 1);
    fixture.anchor(std::slice::from_ref(&one)).await;
    let server = fixture.serve().await;
    let proof = call(&server, "set_getInclusionProof", json!([one.batch_id, 5]))
        .await
        .unwrap();
    assert_eq!(
        (&proof["leafIndex"], &proof["eventCount"], &proof["anchored"]),
        (&json!(1), &json!(3), &json!(true))
    );
    assert_eq!(proof["commitment"]["blockNumber"], "0x5");
    let path: Vec<_> = serde_json::from_value(proof["path"].clone()).unwrap();
    let leaf = serde_json::from_value(proof["leaf"].clone()).unwrap();
    set_ves::verify_inclusion(leaf, 1, &path, 3, one.events_root).unwrap();

    let error = call(&server, "set_getInclusionProof", json!([one.batch_id, 7]))
        .await
        .unwrap_err();
    assert_eq!(error["message"], "parameter `sequence`: is 7; the batch holds 4 to 6");
    let wrong = json!({ "batchId": one.batch_id, "sequence": 5, "stream": stream(2).key() });
    let error = call(&server, "set_getInclusionProof", wrong).await.unwrap_err();
    assert!(
        error["message"].as_str().unwrap().contains("is not the batch's"),
        "{error}"
    );

    // Without the chain, no answer pretends to be the chain's.
    let params = json!([one.batch_id, proof["leaf"], 1, proof["path"]]);
    let error = call(&server, "set_verifyInclusion", params).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["retryable"]),
        (&json!(-39006), &json!(true))
    );
    assert!(!error.to_string().contains("secret"), "{error}");
    server.stop().await;
}
