//! The engine API's port, which is op-node's alone.

use std::{process, time::Duration};

use alloy::providers::Provider;
use set_chain::{DataFees, EndpointConfig, OpNode};
use set_testkit::connections;

use crate::rig::{Heads, STACK};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn the_engine_port_is_left_alone_and_named_by_mistake_it_is_refused() {
    let chain = STACK.alone().await;
    let engine = chain.auth_url().port().unwrap();
    let connected = |pid| {
        let mut far = connections(pid).unwrap().into_iter();
        far.any(|far| far.port() == engine)
    };
    let mut heads = Heads::follow(chain.provider());
    let first = heads.wait_for(|view| view.latest.is_some()).await.latest.unwrap();
    DataFees::upper_bound(chain.provider(), 1_000, 100_000).await.unwrap();
    let op_node = OpNode::connect(chain.node_url(), Duration::from_secs(5)).unwrap();
    op_node.sync_status().await.unwrap();
    heads
        .wait_for(|view| view.latest.is_some_and(|head| head.block.number > first.block.number))
        .await;
    assert!(!connected(process::id()));
    // What is looked for can be seen.
    assert!(connected(chain.node().process().id()));

    let mistaken = set_chain::connect(&EndpointConfig {
        rpc_urls: vec![chain.auth_url().clone()],
        chain_id: None,
        timeout: Duration::from_secs(5),
        poll_interval: Duration::from_millis(100),
    });
    let mistaken = mistaken.unwrap();
    let mut heads = Heads::follow(&mistaken);
    let view = heads
        .wait_for(|view| {
            view.error
                .as_ref()
                .is_some_and(|error| !error.contains("not answered yet"))
        })
        .await;
    assert!(!view.reachable && view.latest.is_none());
    let error = view.error.clone().unwrap();
    assert!(error.contains("401"), "{error}");
    let refused = mistaken.get_chain_id().await.unwrap_err().to_string();
    assert!(refused.contains("401") || refused.contains("token"), "{refused}");
}
