//! One transport over several nodes: calls go to one, and to another where that one fails.
//!
//! The first node is preferred. Calls move on when a node cannot be reached, is too slow, limits the rate
//! of calls, answers with a gateway's error, or is found to be of another chain or behind; they return to
//! a preferred node once a look at it, made beside the calls, finds it well. A node is looked at (chain id
//! and head) before the first call goes to it. Looks at the others also show where the node in use is behind.
//!
//! A node that failed just now is asked once more before a node that is behind: what is behind answers for
//! a chain that has moved on, and one more call is cheap. The same holds where no other node may be asked.
//!
//! A transaction that one node may have taken is sent to the next all the same: the same bytes cannot
//! count twice. But then only acceptance is certain; another node's refusal says nothing about the first,
//! so the caller gets the first node's ambiguous error.

mod node;
mod verdict;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    providers::Provider,
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportErrorKind, TransportFut, TransportResult, http::reqwest},
};
use tokio::time::{Instant, sleep, sleep_until};
use tower::Service;

use self::{node::Node, verdict::Verdict};
use crate::{
    EndpointHealth, L2Provider,
    endpoint::{EndpointConfig, shown},
};

/// Blocks by which a node may be behind the newest one seen: the time that a block takes to reach it.
pub(crate) const MAX_BEHIND: u64 = 3;
/// A look at a node counts for so long.
const FRESH: Duration = Duration::from_secs(10);
/// Between two rounds that see whether a node is worth a look.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks at a node that is well and not in use.
const STANDBY: Duration = Duration::from_secs(30);
const SEND: &str = "eth_sendRawTransaction";

/// The transport. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Failover(Arc<Nodes>);

#[derive(Debug)]
struct Nodes {
    nodes: Vec<Node>,
    chain_id: Option<u64>,
    /// Longest that a call waits for a node that limits the rate of calls.
    patience: Duration,
    /// The node that calls go to.
    active: AtomicUsize,
    /// Number of the newest block that the tracker accepted.
    seen: AtomicU64,
}

/// Whether a call may go to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Yes,
    /// Only where no other answers.
    Behind,
    No,
}

/// What the nodes that were asked say together.
#[derive(Default)]
struct Attempts {
    /// The error of the first node that may have acted.
    ambiguous: Option<TransportError>,
    last: Option<TransportResult<ResponsePacket>>,
}

impl Failover {
    pub(crate) fn new(config: &EndpointConfig, http: &reqwest::Client) -> Self {
        let mut names = BTreeMap::<String, u32>::new();
        let nodes = config.rpc_urls.iter().map(|url| {
            let count = names.entry(shown(url)).and_modify(|count| *count += 1).or_insert(1);
            // Two keys at one provider look the same once they are hidden.
            let name = match count {
                1 => shown(url),
                count => format!("{} #{count}", shown(url)),
            };
            Node::new(name, url.clone(), http.clone(), config.rpc_urls.len() == 1)
        });
        Self(Arc::new(Nodes {
            nodes: nodes.collect(),
            chain_id: config.chain_id,
            patience: config.timeout,
            active: AtomicUsize::new(0),
            seen: AtomicU64::new(0),
        }))
    }

    /// The transport of a provider; `None` for one that [`connect`](crate::connect) did not make.
    pub(crate) fn of(provider: &L2Provider) -> Option<Self> {
        provider.client().transport().as_any().downcast_ref::<Self>().cloned()
    }

    /// Name of the node that calls go to.
    pub(crate) fn active(&self) -> String {
        self.0.nodes[self.0.active()].name.clone()
    }

    /// Every node, in the order of preference.
    pub(crate) fn health(&self) -> Vec<EndpointHealth> {
        self.0.nodes.iter().map(Node::shown).collect()
    }

    /// The head that calls rely on from now on, asked for at `asked`. A node that was found to be behind after that
    /// stays so: a poll that was on its way then says nothing about it.
    pub(crate) fn set_head(&self, number: u64, asked: Instant) {
        self.0.seen.store(number, Ordering::Release);
        let index = self.0.active();
        let health = self.0.nodes[index].health();
        let caught_up = health.behind.is_some() && health.checked.is_none_or(|checked| checked <= asked);
        drop(health);
        if caught_up {
            self.0.changed(index, Node::is_well);
        }
    }

    /// The node that calls go to is so many blocks behind.
    pub(crate) fn is_behind(&self, blocks: u64) {
        let index = self.0.active();
        self.0.changed(index, |node| node.is_behind(blocks));
    }

    /// The node that calls go to is not to be trusted.
    pub(crate) fn distrust(&self, cause: &str) {
        let index = self.0.active();
        self.0.changed(index, |node| node.failed(cause.to_owned()));
    }

    /// Looks at the nodes that are not in use, and returns to a preferred one that is well. Never ends.
    pub(crate) async fn watch(&self) {
        if self.0.nodes.len() == 1 {
            std::future::pending::<()>().await;
        }
        loop {
            sleep(ROUND).await;
            for index in 0..self.0.nodes.len() {
                self.0.visit(index).await;
            }
        }
    }
}

impl Service<RequestPacket> for Failover {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let nodes = Arc::clone(&self.0);
        Box::pin(async move { nodes.call(packet).await })
    }
}

impl Nodes {
    fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    async fn call(&self, packet: RequestPacket) -> TransportResult<ResponsePacket> {
        let deadline = Instant::now() + self.patience;
        loop {
            let attempts = match self.attempt(&packet).await {
                Ok(answer) => return answer,
                Err(attempts) => attempts,
            };
            if let Some(error) = attempts.ambiguous {
                return Err(error);
            }
            let free = self.nodes.iter().filter_map(Node::busy_until).min();
            match (free, attempts.last) {
                (Some(free), _) if free <= deadline => sleep_until(free).await,
                (_, Some(last)) => return last,
                (free, None) => return Err(self.busy(free)),
            }
        }
    }

    /// Asks one node after another until one answers.
    async fn attempt(&self, packet: &RequestPacket) -> Result<TransportResult<ResponsePacket>, Attempts> {
        let sends = packet.method_names().any(|method| method == SEND);
        let mut attempts = Attempts::default();
        let mut laggards = Vec::new();
        let mut candidates = self.candidates();
        for round in 0..2 {
            for &index in &candidates {
                match self.admit(index).await {
                    Admission::Yes => {}
                    Admission::Behind => {
                        laggards.push(index);
                        continue;
                    }
                    Admission::No => continue,
                }
                if let Some(answer) = self.ask(index, packet, sends, &mut attempts).await {
                    return Ok(answer);
                }
            }
            // Those that stumbled get a second chance before those that are behind, also where another call was
            // answered meanwhile. A transaction may go out twice by that, as it may to two nodes.
            let again = |node: &Node| node.stumbled() || node.health().error.is_none();
            candidates.retain(|index| self.nodes.len() > 1 && round == 0 && again(&self.nodes[*index]));
        }
        laggards.sort_by_key(|index| self.nodes[*index].health().behind);
        for index in laggards {
            if let Some(answer) = self.ask(index, packet, sends, &mut attempts).await {
                return Ok(answer);
            }
        }
        Err(attempts)
    }

    /// Asks one node; `None` if it is the node that does not help.
    async fn ask(
        &self,
        index: usize,
        packet: &RequestPacket,
        sends: bool,
        attempts: &mut Attempts,
    ) -> Option<TransportResult<ResponsePacket>> {
        let reply = self.nodes[index].post(packet).await;
        match reply.verdict(sends) {
            Verdict::Answer => {
                self.answered(index);
                return Some(match attempts.ambiguous.take() {
                    Some(error) if !is_taken(&reply.result) => Err(error),
                    _ => reply.result,
                });
            }
            Verdict::Busy(wait) => {
                let name = self.nodes[index].name.clone();
                metrics::counter!("set_chain_rate_limited_total", "endpoint" => name).increment(1);
                let words = reply.limit().cloned();
                self.changed(index, |node| node.is_busy(wait, words));
                attempts.last = Some(reply.result);
            }
            Verdict::Fault { cause, ambiguous } => {
                let first = sends && ambiguous && attempts.ambiguous.is_none();
                match reply.result {
                    Err(error) if first => attempts.ambiguous = Some(error),
                    Ok(_) if first => attempts.ambiguous = Some(TransportErrorKind::custom_str(&cause)),
                    result => attempts.last = Some(result),
                }
                self.changed(index, |node| node.failed(cause));
            }
        }
        None
    }

    fn answered(&self, index: usize) {
        self.changed(index, Node::answered);
        let active = self.active();
        if active == index || self.nodes[active].health().error.is_none() {
            return;
        }
        self.switch(active, index);
    }

    fn switch(&self, from: usize, to: usize) {
        let switched = self
            .active
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        if switched.is_err() {
            return;
        }
        metrics::counter!("set_chain_failovers_total").increment(1);
        let (node, left) = (&self.nodes[to].name, &self.nodes[from]);
        match left.health().error.as_deref() {
            Some(cause) => tracing::warn!(endpoint = node, left = left.name, cause, "asking another node"),
            None => tracing::info!(endpoint = node, left = left.name, "back at the preferred node"),
        }
    }

    /// The nodes that may be called now, in the order in which to try them.
    fn candidates(&self) -> Vec<usize> {
        let (active, now) = (self.active(), Instant::now());
        let rank = |index: usize| {
            let health = self.nodes[index].health();
            if health.busy_until.is_some_and(|until| until > now) {
                return None;
            }
            Some(match (&health.error, health.behind) {
                (None, _) if index == active => 0,
                (None, _) => 1,
                (Some(_), Some(_)) => 3,
                (Some(_), None) if health.retry_at.is_none_or(|at| at <= now) => 2,
                (Some(_), None) => 4,
            })
        };
        let ranked = (0..self.nodes.len()).filter_map(|index| Some((rank(index)?, index)));
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, index)| index).collect()
    }

    /// Whether a call may go to a node. Looks at it first, unless that was done lately. Where there is one
    /// node only, the calls themselves show what it is.
    async fn admit(&self, index: usize) -> Admission {
        if self.nodes.len() == 1 {
            return Admission::Yes;
        }
        let checked = self.nodes[index].health().checked;
        let in_use = checked.is_some() && index == self.active();
        if !in_use && checked.is_none_or(|at| at.elapsed() >= FRESH) {
            self.look(index).await;
        }
        let health = self.nodes[index].health();
        match (health.checked, health.behind) {
            (None, _) => Admission::No,
            (Some(_), Some(_)) => Admission::Behind,
            (Some(_), None) => Admission::Yes,
        }
    }

    /// Looks at a node and notes what it finds. Gives its head where it is of the chain.
    async fn look(&self, index: usize) -> Option<u64> {
        let node = &self.nodes[index];
        let before = node.health().error.clone();
        let mut head = None;
        if let Some(sight) = node.look(Instant::now()).await {
            let behind = self.seen.load(Ordering::Acquire).saturating_sub(sight.head);
            match self.chain_id {
                Some(expected) if expected != sight.chain_id => {
                    node.failed(format!("it serves chain {}, not {expected}", sight.chain_id));
                }
                _ => {
                    head = Some(sight.head);
                    if behind > MAX_BEHIND {
                        node.is_behind(behind);
                    } else {
                        node.is_well();
                    }
                }
            }
        }
        self.tell(index, before);
        head
    }

    /// Passes over the node that calls go to where it is behind another one, whose head is `newest`. Without that, a
    /// node that still syncs would set the pace for whoever starts beside it.
    async fn compare(&self, active: usize, newest: u64) {
        let Some(sight) = self.nodes[active].look(Instant::now()).await else {
            return;
        };
        let behind = newest.saturating_sub(sight.head);
        if behind > MAX_BEHIND {
            self.changed(active, |node| node.is_behind(behind));
        }
    }

    /// Looks at a node that is not in use if that is due, and returns to it if it is preferred.
    async fn visit(&self, index: usize) {
        let active = self.active();
        if index == active {
            return;
        }
        let due = {
            let health = self.nodes[index].health();
            match (&health.error, health.retry_at, health.checked) {
                (Some(_), Some(at), _) => at <= Instant::now(),
                (_, _, Some(at)) => at.elapsed() >= STANDBY,
                _ => true,
            }
        };
        if due
            && let Some(head) = self.look(index).await
            && head > self.seen.load(Ordering::Acquire).saturating_add(MAX_BEHIND)
        {
            self.compare(active, head).await;
        }
        let health = self.nodes[index].health();
        let well = health.error.is_none() && health.checked.is_some_and(|at| at.elapsed() < FRESH);
        drop(health);
        if well && index < active {
            self.switch(active, index);
        }
    }

    /// Changes what is known of a node, and tells if it comes to something.
    fn changed(&self, index: usize, change: impl FnOnce(&Node)) {
        let before = self.nodes[index].health().error.clone();
        change(&self.nodes[index]);
        self.tell(index, before);
    }

    /// What a caller gets while every node has asked to be left alone: the words of the one that is free
    /// first. Nothing was sent.
    fn busy(&self, free: Option<Instant>) -> TransportError {
        let node = self
            .nodes
            .iter()
            .find(|node| free.is_some() && node.busy_until() == free);
        match node.and_then(|node| node.health().limit.clone()) {
            Some(words) => TransportError::ErrorResp(words),
            None => {
                let wait = free.map(|free| free.saturating_duration_since(Instant::now()));
                TransportErrorKind::http_error_with_retry_after(429, "rate limit".to_owned(), wait)
            }
        }
    }

    fn tell(&self, index: usize, before: Option<String>) {
        let node = &self.nodes[index];
        let after = node.health().error.clone();
        // A single node's faults are the tracker's to tell.
        if self.nodes.len() == 1 {
            return;
        }
        match (before, after) {
            (None, Some(cause)) => tracing::warn!(endpoint = node.name, cause, "a node is passed over"),
            (Some(_), None) => tracing::info!(endpoint = node.name, "a node is well again"),
            _ => {}
        }
    }
}

/// Whether a node has the transaction: it took it, or had it already.
fn is_taken(result: &TransportResult<ResponsePacket>) -> bool {
    let Ok(response) = result else { return false };
    let known = |message: &str| {
        let message = message.to_lowercase();
        ["already known", "already imported", "alreadyknown"]
            .iter()
            .any(|words| message.contains(words))
    };
    response.iter_errors().all(|error| known(&error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_on_its_way_does_not_undo_that_a_node_is_behind() {
        let config = EndpointConfig {
            rpc_urls: ["http://127.0.0.1:1", "http://127.0.0.1:2"]
                .map(|url| url.parse().unwrap())
                .into(),
            chain_id: None,
            timeout: Duration::from_secs(1),
            poll_interval: Duration::from_secs(1),
        };
        let nodes = Failover::new(&config, &reqwest::Client::new());
        let asked = Instant::now();
        nodes.is_behind(7);
        nodes.set_head(2, asked);
        assert_eq!(nodes.health()[0].error.as_deref(), Some("it is 7 blocks behind"));
        nodes.set_head(9, Instant::now());
        assert_eq!(nodes.health()[0].error, None);
    }
}
