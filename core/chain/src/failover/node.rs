//! One of the chain's nodes: how it is asked, and how it has been.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{ErrorPayload, Id, Request, RequestPacket, ResponsePacket},
    transports::{
        TransportError, TransportErrorKind, TransportResult,
        http::reqwest::{self, header::RETRY_AFTER},
    },
};
use alloy_primitives::U64;
use tokio::time::Instant;
use url::Url;

use super::verdict::{Reply, Verdict};
use crate::{EndpointHealth, endpoint::transport_cause};

/// Pause before a node that failed is tried again while another answers: doubles from the first to the second.
const FAULT_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The same for a node that limits the rate of calls and does not say for how long.
const BUSY_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Longest such pause of an only node: until it is over, nothing shows that the node is well again.
const LONGEST_ALONE: Duration = Duration::from_secs(3);
/// So many faults that no answer has made up for are a stumble; more are a node that is down.
const STUMBLES: u32 = 2;
/// Longest pause that a node may ask for.
const LONGEST_BUSY: Duration = Duration::from_secs(60);
/// Without a fault for so long, earlier ones are forgotten.
const CALM: Duration = Duration::from_secs(60);
/// A node that is behind is looked at again so soon: it is probably catching up.
const BEHIND_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Node {
    /// Scheme, host and port.
    pub(super) name: String,
    http: reqwest::Client,
    url: Url,
    /// From the first to the longest pause where it limits the rate of calls and does not say for how long.
    busy_pauses: (Duration, Duration),
    health: Mutex<Health>,
    /// Held while it is looked at, so that calls that all turn to it ask once.
    looking: tokio::sync::Mutex<()>,
}

/// How a node has been.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Why it is not to be asked; `None` while it is well or was never asked.
    pub(super) error: Option<String>,
    /// Blocks by which it is behind the newest one seen.
    pub(super) behind: Option<u64>,
    /// It is not worth a call before, unless there is no other.
    pub(super) retry_at: Option<Instant>,
    /// It asked not to be called before.
    pub(super) busy_until: Option<Instant>,
    /// The words with which it asked so, if they were JSON-RPC's.
    pub(super) limit: Option<ErrorPayload>,
    /// When it last showed that it is of the chain.
    pub(super) checked: Option<Instant>,
    looked_at: Option<Instant>,
    /// Faults that no answer has made up for.
    faults: u32,
    last_fault: Option<Instant>,
}

/// What a look at a node finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) chain_id: u64,
    pub(super) head: u64,
}

impl Node {
    /// `alone` says that there is no other to turn to.
    pub(super) fn new(name: String, url: Url, http: reqwest::Client, alone: bool) -> Self {
        let (first, longest) = BUSY_PAUSES;
        Self {
            name,
            http,
            url,
            busy_pauses: (first, if alone { LONGEST_ALONE } else { longest }),
            health: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shown(&self) -> EndpointHealth {
        EndpointHealth {
            endpoint: self.name.clone(),
            error: self.health().error.clone(),
        }
    }

    /// When the node may be called again, if it asked not to be for now.
    pub(super) fn busy_until(&self) -> Option<Instant> {
        self.health().busy_until.filter(|until| *until > Instant::now())
    }

    /// Whether it failed just now, but mostly answers, so that the next call probably succeeds.
    pub(super) fn stumbled(&self) -> bool {
        let health = self.health();
        let busy = health.busy_until.is_some_and(|until| until > Instant::now());
        (1..=STUMBLES).contains(&health.faults) && !busy && health.checked.is_none()
    }

    /// One HTTP request.
    pub(super) async fn post(&self, packet: &RequestPacket) -> Reply {
        let failed = |error: reqwest::Error| Reply {
            status: error.status(),
            result: Err(TransportErrorKind::custom(error)),
            retry_after: None,
        };
        let request = self
            .http
            .post(self.url.clone())
            .json(packet)
            .headers(packet.headers())
            .send();
        let response = match request.await {
            Ok(response) => response,
            Err(error) => return failed(error),
        };
        let status = response.status();
        // Dates are not understood: an answer to a JSON-RPC call carries seconds.
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return failed(error),
        };
        let result = match serde_json::from_slice::<ResponsePacket>(&body) {
            Ok(response) => Ok(response),
            Err(error) => {
                let text = String::from_utf8_lossy(&body);
                Err(if status.is_success() {
                    TransportError::deser_err(error, text)
                } else {
                    TransportErrorKind::http_error_with_retry_after(status.as_u16(), text.into_owned(), retry_after)
                })
            }
        };
        Reply {
            result,
            status: Some(status),
            retry_after,
        }
    }

    /// Asks which chain it serves and how far it is, unless another look did so since `needed`. `None` where
    /// there is nothing new, or it does not answer.
    pub(super) async fn look(&self, needed: Instant) -> Option<Sight> {
        let _turn = self.looking.lock().await;
        if self.health().looked_at.is_some_and(|at| at >= needed) {
            return None;
        }
        self.health().looked_at = Some(Instant::now());
        let reply = match probe() {
            Ok(packet) => self.post(&packet).await,
            Err(_) => return None,
        };
        match reply.verdict(false) {
            Verdict::Busy(wait) => self.is_busy(wait, reply.limit().cloned()),
            Verdict::Fault { cause, .. } => self.failed(cause),
            Verdict::Answer => match sight(reply.result) {
                Ok(sight) => return Some(sight),
                Err(error) => self.failed(transport_cause(&error)),
            },
        }
        None
    }

    /// It answered a call, which makes up for one fault: a node that fails now and then stays in use.
    pub(super) fn answered(&self) {
        let mut health = self.health();
        health.busy_until = None;
        if health.behind.is_none() {
            health.error = None;
            health.retry_at = None;
        }
        health.limit = None;
        health.faults = health.faults.saturating_sub(1);
        if health.last_fault.is_some_and(|at| at.elapsed() >= CALM) {
            health.faults = 0;
            health.last_fault = None;
        }
    }

    /// It is of the chain, and where its head should be.
    pub(super) fn is_well(&self) {
        let mut health = self.health();
        health.error = None;
        health.behind = None;
        health.retry_at = None;
        health.checked = Some(Instant::now());
    }

    /// It failed, or is not to be trusted.
    pub(super) fn failed(&self, cause: String) {
        let mut health = self.health();
        health.pause(FAULT_PAUSES);
        health.error = Some(cause);
        health.behind = None;
        health.checked = None;
    }

    /// It asks to be left alone, in these words.
    pub(super) fn is_busy(&self, wait: Option<Duration>, words: Option<ErrorPayload>) {
        let mut health = self.health();
        let until = match wait {
            Some(wait) => Instant::now() + wait.min(LONGEST_BUSY),
            None => health.pause(self.busy_pauses),
        };
        health.retry_at = Some(until);
        health.busy_until = Some(until);
        health.error = Some(match &words {
            Some(words) => format!("it limits the rate of calls ({}: {})", words.code, words.message),
            None => "it limits the rate of calls".to_owned(),
        });
        health.limit = words;
    }

    /// Its head is so many blocks behind.
    pub(super) fn is_behind(&self, blocks: u64) {
        let mut health = self.health();
        health.error = Some(format!("it is {blocks} blocks behind"));
        health.behind = Some(blocks);
        health.retry_at = Some(Instant::now() + BEHIND_PAUSE);
        health.checked = Some(Instant::now());
    }
}

impl Health {
    fn pause(&mut self, (first, last): (Duration, Duration)) -> Instant {
        let now = Instant::now();
        let pause = first.saturating_mul(1 << self.faults.min(16)).min(last);
        self.faults = self.faults.saturating_add(1);
        self.last_fault = Some(now);
        self.retry_at = Some(now + pause);
        now + pause
    }
}

fn probe() -> serde_json::Result<RequestPacket> {
    let call = |method, id| Request::new(method, Id::Number(id), [(); 0]).try_into();
    Ok(RequestPacket::Batch(vec![
        call("eth_chainId", 0)?,
        call("eth_blockNumber", 1)?,
    ]))
}

fn sight(result: TransportResult<ResponsePacket>) -> TransportResult<Sight> {
    let response = result?;
    let number = |id: u64| -> TransportResult<u64> {
        let id = Id::Number(id);
        let answer = response.responses().iter().find(|answer| answer.id == id);
        let answer = answer.ok_or_else(|| TransportErrorKind::missing_batch_response(id))?;
        match (answer.payload.try_success_as::<U64>(), answer.payload.as_error()) {
            (Some(Ok(number)), _) => Ok(number.to()),
            (_, Some(error)) => Err(TransportError::ErrorResp(error.clone())),
            _ => Err(TransportErrorKind::custom_str("its chain id or its head is no number")),
        }
    };
    Ok(Sight {
        chain_id: number(0)?,
        head: number(1)?,
    })
}
