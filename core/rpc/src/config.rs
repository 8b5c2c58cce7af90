//! `[rpc]`: who may ask what, and how much.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use set_types::ConfigProblem;

/// The JSON-RPC server, and the listener for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpcConfig {
    /// Address and port of JSON-RPC, HTTP and WebSocket alike. Loopback by default: put a proxy with TLS
    /// in front before anybody else may ask.
    pub listen: SocketAddr,
    /// Address and port of `/livez`, `/readyz`, `/healthz` and `/metrics`. They show the inside of the
    /// program, so they have a listener of their own, which is never the public's.
    pub health_listen: SocketAddr,
    /// Address and port of the `admin_` methods, on the loopback interface only.
    pub admin_listen: SocketAddr,
    /// File with the secret for `admin_` methods, 64 hex digits; made, readable by its owner alone, where it is
    /// missing. By default `admin.jwt` in the data directory; without either there is no admin listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_jwt: Option<PathBuf>,
    /// Host names that clients reach the server by, without port; `"*"` for any. `localhost` and
    /// loopback addresses always work. Any other name is refused, so that a web page cannot reach a
    /// server on the visitor's machine through a name of its own (DNS rebinding).
    pub hosts: Vec<String>,
    /// Origins of web pages that may ask, such as `"https://shop.example"`; `"*"` for any. Empty: none.
    pub cors_origins: Vec<String>,
    /// Largest request, in bytes.
    pub max_request_bytes: u32,
    /// Largest response, in bytes.
    pub max_response_bytes: u32,
    /// Connections at a time, HTTP and WebSocket together.
    pub max_connections: u32,
    /// Requests in one batch; 0 refuses batches.
    pub max_batch: u32,
    /// Entries in one page of a list.
    pub max_page: u32,
    /// A call that has no answer after so long ends with an error.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// Inclusion proofs.
    pub proofs: ProofsConfig,
}

/// `[rpc.proofs]`: what proofs may cost the source. Reports and polls of the source never wait for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProofsConfig {
    /// Proofs asked of the source at a time.
    pub concurrency: u32,
    /// Requests that wait for their turn; further ones are refused as busy.
    pub queue: u32,
    /// Proofs remembered, at about a kibibyte each. A proof never changes.
    pub cache: u32,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8645)),
            health_listen: SocketAddr::from(([127, 0, 0, 1], 8646)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8647)),
            admin_jwt: None,
            hosts: vec![],
            cors_origins: vec![],
            max_request_bytes: 1 << 20,
            max_response_bytes: 10 << 20,
            max_connections: 256,
            max_batch: 50,
            max_page: 500,
            call_timeout: Duration::from_secs(15),
            proofs: ProofsConfig::default(),
        }
    }
}

impl Default for ProofsConfig {
    fn default() -> Self {
        Self {
            concurrency: 4,
            queue: 64,
            cache: 8_192,
        }
    }
}

impl RpcConfig {
    /// Every value that cannot work, not just the first.
    pub fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = vec![];
        let mut complain = |key, message: String| problems.push(ConfigProblem::new(key, message));
        let at_least_one = [
            ("max_connections", self.max_connections),
            ("max_page", self.max_page),
            ("proofs.concurrency", self.proofs.concurrency),
            ("proofs.cache", self.proofs.cache),
        ];
        for (key, _) in at_least_one.into_iter().filter(|(_, value)| *value == 0) {
            complain(key, "is 0; give at least 1".to_owned());
        }
        for (key, bytes) in [
            ("max_request_bytes", self.max_request_bytes),
            ("max_response_bytes", self.max_response_bytes),
        ] {
            if bytes < 1024 {
                complain(key, format!("is {bytes}; give at least 1024 bytes"));
            }
        }
        if self.call_timeout.is_zero() {
            complain("call_timeout", "is 0; give a duration such as \"15s\"".to_owned());
        }
        let listeners = [
            ("listen", "rpc.listen", self.listen),
            ("health_listen", "rpc.health_listen", self.health_listen),
            ("admin_listen", "rpc.admin_listen", self.admin_listen),
        ];
        for (position, (key, _, address)) in listeners.iter().enumerate() {
            let same = listeners[..position].iter().find(|(_, _, other)| other == address);
            if let Some((_, other, _)) = same.filter(|_| address.port() != 0) {
                complain(key, format!("is {address}, the same as `{other}`; give another port"));
            }
        }
        if !self.admin_listen.ip().is_loopback() {
            let message = "is no loopback address: whoever reaches it could change the program; give 127.0.0.1:8647, and \
                           reach it from elsewhere through a tunnel";
            complain("admin_listen", message.to_owned());
        }
        if !self.listen.ip().is_loopback() && self.hosts.is_empty() {
            let message = "is empty, but `rpc.listen` is not a loopback address: name the hosts that clients use, or \"*\" \
                           behind a proxy that checks them";
            complain("hosts", message.to_owned());
        }
        for host in self
            .hosts
            .iter()
            .filter(|host| host.is_empty() || host.contains(['/', ' ']))
        {
            complain(
                "hosts",
                format!("`{host}` is no host name; write it without scheme, port and path"),
            );
        }
        for origin in &self.cors_origins {
            let whole = origin
                .split_once("://")
                .is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
            if origin != "*" && (!whole || origin.ends_with('/')) {
                complain(
                    "cors_origins",
                    format!("`{origin}` is no origin; write it as \"https://shop.example\""),
                );
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_round_trip() {
        let config = RpcConfig::default();
        assert_eq!(config.validate(), []);
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<RpcConfig>(json).unwrap(), config);
        assert!(
            serde_json::from_str::<RpcConfig>(r#"{"max_pages": 3}"#).is_err(),
            "unknown keys are refused"
        );
    }

    #[test]
    fn every_problem_is_named() {
        let config = RpcConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 8645)),
            health_listen: SocketAddr::from(([0, 0, 0, 0], 8645)),
            admin_listen: SocketAddr::from(([10, 0, 0, 1], 8647)),
            cors_origins: vec![
                "shop.example".to_owned(),
                "https://a.example".to_owned(),
                "*".to_owned(),
            ],
            max_request_bytes: 10,
            max_connections: 0,
            max_page: 0,
            call_timeout: Duration::ZERO,
            proofs: ProofsConfig {
                concurrency: 0,
                ..ProofsConfig::default()
            },
            ..RpcConfig::default()
        };
        let keys: Vec<_> = config.validate().into_iter().map(|problem| problem.key).collect();
        let expected = [
            "max_connections",
            "max_page",
            "proofs.concurrency",
            "max_request_bytes",
            "call_timeout",
            "health_listen",
            "admin_listen",
            "hosts",
            "cors_origins",
        ];
        assert_eq!(keys, expected);
    }
}
