//! The proxy, in front of a real chain.

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use set_testkit::{Action, Anvil, Gate, RpcProxy, Rule};

struct Rig {
    chain: Anvil,
    proxy: RpcProxy,
    client: Client,
}

impl Rig {
    async fn new() -> Self {
        let chain = Anvil::builder().no_mining().spawn().await.unwrap();
        let proxy = RpcProxy::start(chain.url().clone()).await.unwrap();
        Self {
            chain,
            proxy,
            client: Client::new(),
        }
    }

    async fn send(&self, body: &Value) -> reqwest::Result<Response> {
        self.client.post(self.proxy.url()).json(body).send().await
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.send(&request(1, method, params))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn calls_and_batches_pass_unchanged() {
    let rig = Rig::new().await;
    assert_eq!(rig.call("eth_chainId", json!([])).await["result"], "0x509db21");
    assert_eq!(rig.call("eth_nonsense", json!([])).await["error"]["code"], -32601);
    let batch = json!([
        request(7, "eth_chainId", json!([])),
        request(8, "eth_blockNumber", json!([]))
    ]);
    let answers: Value = rig.send(&batch).await.unwrap().json().await.unwrap();
    assert_eq!((&answers[0]["id"], &answers[1]["id"]), (&json!(7), &json!(8)));
    assert_eq!(answers[1]["result"], "0x0");
    assert_eq!(rig.proxy.calls("eth_chainId"), 2);
}

#[tokio::test]
async fn a_rule_strikes_its_method_as_often_as_it_says() {
    let rig = Rig::new().await;
    let error = Action::Error {
        code: -32000,
        message: "already known".into(),
    };
    rig.proxy.inject(Rule::on(["eth_chainId"], error).times(1));
    rig.proxy
        .inject(Rule::on(["eth_blockNumber"], Action::Answer(json!("0x99"))));
    let batch = json!([
        request(7, "eth_chainId", json!([])),
        request(8, "eth_blockNumber", json!([])),
        request(9, "eth_chainId", json!([]))
    ]);
    let answers: Value = rig.send(&batch).await.unwrap().json().await.unwrap();
    assert_eq!(
        answers[0]["error"],
        json!({ "code": -32000, "message": "already known" })
    );
    assert_eq!(answers[1]["result"], "0x99");
    assert_eq!(answers[2]["result"], "0x509db21");
    rig.proxy.heal();
    assert_eq!(rig.call("eth_blockNumber", json!([])).await["result"], "0x0");
}

#[tokio::test]
async fn connections_break_before_or_after_the_node_acted() {
    let rig = Rig::new().await;
    let mine = request(1, "evm_mine", json!([]));
    rig.proxy.inject(Rule::on(["evm_mine"], Action::Drop).times(1));
    assert!(rig.send(&mine).await.is_err());
    assert_eq!(rig.chain.block_number().await.unwrap(), 0);
    rig.proxy.inject(Rule::on(["evm_mine"], Action::Lose).times(1));
    assert!(rig.send(&mine).await.is_err());
    assert_eq!(rig.chain.block_number().await.unwrap(), 1);
    rig.proxy.inject(Rule::every(Action::Status(502)).times(1));
    assert_eq!(rig.send(&mine).await.unwrap().status(), 502);
    assert_eq!(rig.chain.block_number().await.unwrap(), 1);
}

#[tokio::test]
async fn a_delay_outlasts_the_caller_but_the_node_acted() {
    let rig = Rig::new().await;
    rig.proxy
        .inject(Rule::on(["evm_mine"], Action::Delay(Duration::from_secs(60))));
    let mine = request(1, "evm_mine", json!([]));
    let acted = async {
        // Nothing tells of a block.
        while rig.chain.block_number().await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = rig.send(&mine) => panic!("{answer:?}"),
        () = acted => {}
    }
    rig.proxy.heal();
    rig.proxy
        .inject(Rule::on(["eth_chainId"], Action::Delay(Duration::from_millis(80))));
    let asked = Instant::now();
    rig.call("eth_chainId", json!([])).await;
    assert!(asked.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_pinned_tag_is_where_the_test_says() {
    let rig = Rig::new().await;
    rig.chain.mine(9).await.unwrap();
    rig.proxy.inject(Rule::pin("safe", 4));
    let number = async |tag| rig.call("eth_getBlockByNumber", json!([tag, false])).await["result"]["number"].clone();
    assert_eq!(number("safe").await, "0x4");
    assert_eq!(number("latest").await, "0x9");
}

#[tokio::test]
async fn a_node_that_died_comes_back_on_the_same_port() {
    let mut rig = Rig::new().await;
    rig.call("eth_chainId", json!([])).await;
    rig.proxy.go_down().await;
    assert!(rig.send(&request(1, "eth_chainId", json!([]))).await.is_err());
    rig.proxy.come_back().await.unwrap();
    assert_eq!(rig.call("eth_chainId", json!([])).await["result"], "0x509db21");
}

#[tokio::test]
async fn a_gate_holds_calls_until_it_opens_and_those_who_gave_up_never_pass() {
    const PATIENCE: Duration = Duration::from_secs(120);
    let rig = Rig::new().await;
    let gate = Gate::closed();
    rig.proxy.inject(Rule::on(["evm_mine"], Action::Hold(gate.clone())));
    let mine = request(1, "evm_mine", json!([]));
    tokio::select! {
        answer = rig.send(&mine) => panic!("{answer:?}"),
        reached = gate.reached(1, PATIENCE) => assert!(reached),
    }
    let opener = async {
        assert!(gate.reached(2, PATIENCE).await);
        assert_eq!(rig.chain.block_number().await.unwrap(), 0);
        gate.open();
    };
    let (answer, ()) = tokio::join!(rig.send(&mine), opener);
    assert_eq!(answer.unwrap().status(), 200);
    rig.send(&mine).await.unwrap();
    assert_eq!(rig.chain.block_number().await.unwrap(), 2);
    assert!(!gate.reached(9, Duration::ZERO).await);
}

#[tokio::test]
async fn rules_look_at_parameters() {
    let rig = Rig::new().await;
    rig.chain.mine(20).await.unwrap();
    let logs = async |from: u64, to: u64| {
        let filter = json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
        rig.call("eth_getLogs", filter).await["error"]["code"].clone()
    };
    rig.proxy.replace([Rule::log_range(5), Rule::pruned_logs(4)]);
    assert_eq!(
        [
            logs(10, 14).await,
            logs(10, 15).await,
            logs(3, 4).await,
            logs(4, 4).await
        ],
        [Value::Null, json!(-32005), json!(4444), Value::Null]
    );

    let selector = [1, 2, 3, 4];
    rig.proxy
        .replace([Rule::on_functions([selector], Action::error("execution reverted"))]);
    let call = async |data: &str| {
        let params = json!([{ "to": "0x00000000000000000000000000000000000a11ce", "input": data }, "latest"]);
        rig.call("eth_call", params).await["error"]["message"].clone()
    };
    assert_eq!(call("0x0102030405").await, "execution reverted");
    assert_eq!(call("0x0102").await, Value::Null);

    rig.proxy.replace([Rule::swallow(3)]);
    let hash = "0xa6885b3731702da62e8e4a8f584ac46a7f6822f4e2ba50fba902f67b1588d23b";
    assert_eq!(
        rig.call("eth_sendRawTransaction", json!(["0x01020304"])).await["result"],
        hash
    );
    assert!(rig.call("eth_sendRawTransaction", json!(["0x010203"])).await["error"].is_object());
}

#[tokio::test]
async fn a_node_that_is_behind_knows_nothing_later() {
    let rig = Rig::new().await;
    rig.chain.mine(9).await.unwrap();
    rig.proxy.inject(Rule::behind(4));
    let result = async |method, params| rig.call(method, params).await["result"].clone();
    assert_eq!(result("eth_blockNumber", json!([])).await, "0x4");
    let latest = result("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(latest["number"], "0x4");
    let later = result("eth_getBlockByNumber", json!(["0x5", false])).await;
    assert_eq!(later, Value::Null);
    let sender = Anvil::account(1).address();
    let sent = json!([{ "from": sender, "to": sender, "gas": "0x5208" }]);
    let hash = result("eth_sendTransaction", sent).await;
    rig.chain.mine(1).await.unwrap();
    let receipt = result("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt, Value::Null);
    let nonce = result("eth_getTransactionCount", json!([sender, "latest"])).await;
    assert_eq!(nonce, "0x0");
    rig.proxy.heal();
    assert_eq!(
        result("eth_getTransactionReceipt", json!([hash])).await["blockNumber"],
        "0xa"
    );
}
