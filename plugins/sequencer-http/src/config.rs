//! The plugin's configuration.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    time::Duration,
};

use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use set_plugin_sdk::Secret;
use url::Url;

/// Where a sequencer whose database is dead breaks its silence, with a 504: waiting that long would
/// only hide what is wrong.
const SILENCE: Duration = Duration::from_secs(30);

/// `[plugins.config]`. Only `base_url` and `api_key` are required.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the sequencer's API begins, `http://` or `https://`; a path in it precedes every route.
    /// Neither user information nor a query. Required.
    pub base_url: String,
    /// A bootstrap admin's API key, as "${VARIABLE}" or "file:/path". It is sent as `Authorization:
    /// ApiKey …`, to the host of `base_url` only. Required.
    pub api_key: Secret,
    /// How long one call may take in all, waiting included; a duration below "30s". Reports that are not
    /// answered by then are repeated later. The host's `deadline` must be longer. Default: "20s".
    #[serde(default = "defaults::timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// How long opening a connection may take; a duration. Default: "5s".
    #[serde(default = "defaults::connect_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub connect_timeout: Duration,
    /// The longest answer that is read, in bytes after decompression. A full list of 5000 commitments
    /// has about 2.7 million. Default: 16777216.
    #[serde(default = "defaults::max_response_bytes")]
    pub max_response_bytes: NonZeroUsize,
    /// Reports under way at the same time, over all calls. Default: 8.
    #[serde(default = "defaults::report_concurrency")]
    pub report_concurrency: NonZeroU16,
    /// Inclusion proofs under way at the same time; polls and reports never wait for them. Default: 4.
    #[serde(default = "defaults::proof_concurrency")]
    pub proof_concurrency: NonZeroU16,
    /// Calls for proofs that may wait for their turn; what exceeds it is refused at once. With
    /// `proof_concurrency`, it should stay well below the host's `concurrency`. Default: 16.
    #[serde(default = "defaults::proof_queue")]
    pub proof_queue: u16,
}

mod defaults {
    use super::{Duration, NonZeroU16, NonZeroUsize};

    pub(super) const fn timeout() -> Duration {
        Duration::from_secs(20)
    }

    pub(super) const fn connect_timeout() -> Duration {
        Duration::from_secs(5)
    }

    pub(super) const fn max_response_bytes() -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add((16 << 20) - 1)
    }

    pub(super) const fn report_concurrency() -> NonZeroU16 {
        NonZeroU16::MIN.saturating_add(7)
    }

    pub(super) const fn proof_concurrency() -> NonZeroU16 {
        NonZeroU16::MIN.saturating_add(3)
    }

    pub(super) const fn proof_queue() -> u16 {
        16
    }
}

/// What a client is made from.
pub(crate) struct Settings {
    pub(crate) base_url: Url,
    pub(crate) api_key: Secret,
    /// `ApiKey …`, marked as sensitive.
    pub(crate) authorization: HeaderValue,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_response_bytes: usize,
}

impl Config {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// Every problem, each with its key, in one text. It quotes neither the key nor the URL, which may
    /// hold one.
    pub(crate) fn check(&self) -> Result<Settings, String> {
        let mut problems = vec![];
        let base_url = base_url(&self.base_url).map_err(|problem| problems.push(problem));
        let authorization = authorization(&self.api_key).map_err(|problem| problems.push(problem));
        if self.timeout.is_zero() || self.timeout >= SILENCE {
            problems.push(format!(
                "`timeout` is {:?}: give more than nothing and less than {SILENCE:?}, after which the sequencer answers \
                 for a dead database",
                self.timeout
            ));
        }
        if self.connect_timeout.is_zero() {
            problems.push("`connect_timeout` is 0: give more".into());
        }
        match (base_url, authorization) {
            (Ok(base_url), Ok(authorization)) if problems.is_empty() => Ok(Settings {
                base_url,
                api_key: self.api_key.clone(),
                authorization,
                connect_timeout: self.connect_timeout,
                max_response_bytes: self.max_response_bytes.get(),
            }),
            _ => Err(problems.join("; ")),
        }
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("`base_url` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "`base_url` has the scheme `{}`: give http:// or https://",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`base_url` holds user information: remove it; the key belongs into `api_key`".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`base_url` holds a query or a fragment: remove it; routes are appended to its path".into());
    }
    Ok(url)
}

fn authorization(key: &Secret) -> Result<HeaderValue, String> {
    let key = key.expose().trim();
    if key.is_empty() {
        return Err("`api_key` is empty: give a bootstrap admin's key".into());
    }
    if key.contains(char::is_whitespace) {
        return Err("`api_key` holds white space: give the key alone, without a scheme such as `ApiKey`".into());
    }
    let mut value = HeaderValue::from_str(&format!("ApiKey {key}"))
        .map_err(|_| "`api_key` holds characters that no HTTP header can have")?;
    value.set_sensitive(true);
    Ok(value)
}
