//! Who may reach the server: by the name they used for it, and by the web page they come from.

use std::net::IpAddr;

use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, ORIGIN},
    uri::Authority,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    config::RpcConfig,
    door::{DoorLayer, Doorkeeper},
};

/// Refuses requests whose host or origin is not expected.
///
/// CORS alone is not enough: browsers open WebSockets to anywhere without asking, and a page may reach a
/// loopback server through a name of its own that resolves to 127.0.0.1.
pub(crate) type AccessLayer = DoorLayer<Rules>;

/// Which hosts and origins are expected.
#[derive(Debug)]
pub(crate) struct Rules {
    any_host: bool,
    hosts: Vec<String>,
    any_origin: bool,
    origins: Vec<String>,
}

impl AccessLayer {
    pub(crate) fn new(config: &RpcConfig) -> Self {
        Self::kept_by(Rules::new(config))
    }
}

/// What tells browsers that pages of the configured origins may ask.
pub(crate) fn cors(config: &RpcConfig) -> CorsLayer {
    let origins = if config.cors_origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        // `validate` refuses origins that are no header value.
        AllowOrigin::list(
            config
                .cors_origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST])
        .allow_headers([CONTENT_TYPE])
}

impl Rules {
    fn new(config: &RpcConfig) -> Self {
        Self {
            any_host: config.hosts.iter().any(|host| host == "*"),
            hosts: config.hosts.clone(),
            any_origin: config.cors_origins.iter().any(|origin| origin == "*"),
            origins: config.cors_origins.clone(),
        }
    }

    fn refusal<B>(&self, request: &Request<B>) -> Option<&'static str> {
        let header = |name| {
            request
                .headers()
                .get(name)
                .map(|value: &HeaderValue| value.to_str().ok())
        };
        // HTTP/1 has the host in a header, HTTP/2 in the URI.
        let named = header(HOST)
            .flatten()
            .map(str::to_owned)
            .or_else(|| request.uri().authority().map(Authority::to_string));
        if !named.is_some_and(|authority| self.knows_host(&authority)) {
            return Some("this host name is not expected here; the operator adds it to `rpc.hosts`");
        }
        match header(ORIGIN) {
            None => None,
            Some(Some(origin)) if self.knows_origin(origin) => None,
            Some(_) => Some("pages of this origin may not ask; the operator adds it to `rpc.cors_origins`"),
        }
    }

    fn knows_host(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.any_host
            || host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.is_loopback())
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        self.any_origin || self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

impl Doorkeeper for Rules {
    fn turn_away<B>(&self, request: &Request<B>) -> Option<(StatusCode, String)> {
        let reason = self.refusal(request)?;
        Some((StatusCode::FORBIDDEN, reason.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str], origins: &[&str]) -> Rules {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Rules::new(&RpcConfig {
            hosts: own(hosts),
            cors_origins: own(origins),
            ..RpcConfig::default()
        })
    }

    fn request(host: &str, origin: Option<&str>) -> Request<()> {
        let request = Request::builder().uri("/").header(HOST, host);
        origin
            .into_iter()
            .fold(request, |request, origin| request.header(ORIGIN, origin))
            .body(())
            .unwrap()
    }

    #[test]
    fn only_expected_hosts_pass() {
        let rules = rules(&["rpc.shop.example"], &[]);
        for host in [
            "localhost",
            "LOCALHOST:8645",
            "127.0.0.1:8645",
            "127.9.9.9",
            "[::1]:8645",
            "rpc.shop.example:443",
        ] {
            assert_eq!(rules.refusal(&request(host, None)), None, "{host}");
        }
        for host in [
            "evil.example:8645",
            "localhost.evil.example",
            "10.0.0.1",
            "rpc.shop.example.evil",
            "127.0.0.1.evil.example",
        ] {
            assert!(
                rules
                    .refusal(&request(host, None))
                    .is_some_and(|why| why.contains("rpc.hosts")),
                "{host}"
            );
        }
        assert!(rules.refusal(&Request::new(())).is_some(), "no host at all");
    }

    #[test]
    fn only_expected_origins_pass() {
        let from = |origins: &[&str], origin| rules(&[], origins).refusal(&request("localhost", Some(origin)));
        assert_eq!(from(&["https://shop.example"], "https://shop.example"), None);
        assert_eq!(from(&["*"], "https://evil.example"), None);
        for origin in [
            "https://evil.example",
            "http://shop.example",
            "null",
            "https://shop.example.evil",
        ] {
            assert!(from(&["https://shop.example"], origin).is_some(), "{origin}");
        }
        assert!(
            from(&[], "http://localhost:3000").is_some(),
            "a local page is a page too"
        );
    }
}
