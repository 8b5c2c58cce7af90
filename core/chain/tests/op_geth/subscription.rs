//! New heads as op-geth tells them over WebSocket.

use alloy::{
    providers::{Provider, WsConnect},
    rpc::client::ClientBuilder,
};
use set_chain::L2Provider;
use tokio::time::timeout;

use crate::rig::{Heads, PATIENCE, STACK};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn subscribed_heads_are_those_that_polls_see() {
    let chain = STACK.shared().await;
    let url = WsConnect::new(chain.ws_url().as_str());
    let provider = L2Provider::new(ClientBuilder::default().ws(url).await.unwrap());
    let mut subscribed = provider.subscribe_blocks().await.unwrap();
    let mut polled = Heads::follow(chain.provider());
    let mut parent = None;
    for _ in 0..3 {
        let head = timeout(PATIENCE, subscribed.recv()).await.unwrap().unwrap();
        assert!(parent.is_none_or(|parent| parent == head.parent_hash), "{head:?}");
        let view = polled
            .wait_for(|view| view.latest.is_some_and(|seen| seen.block.number >= head.number))
            .await;
        let seen = view.latest.unwrap();
        if seen.block.number == head.number {
            assert_eq!((seen.block.hash, seen.gas_limit), (head.hash, head.gas_limit));
        }
        parent = Some(head.hash);
    }
}
