//! The URL of a service that signs.

use std::fmt;

use serde::Deserialize;
use url::{Host, Url};

/// A URL as the operator wrote it. Looked at when its signer is loaded, and never shown: it may hold a
/// password, against the rules.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct UrlText(String);

impl From<String> for UrlText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlText(..)")
    }
}

/// Where a service that signs is asked: `https://`, or `http://` on this machine. It cannot hold a user,
/// a password or a query, so that nothing that shows it shows a secret.
#[derive(Clone)]
pub(crate) struct ServiceUrl(Url);

impl ServiceUrl {
    /// Scheme, host and port, for messages.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether the connection is encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the service is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<&UrlText> for ServiceUrl {
    type Error = &'static str;

    /// The refusal does not quote the text.
    fn try_from(UrlText(text): &UrlText) -> Result<Self, Self::Error> {
        let url = Url::parse(text).map_err(|_| "a signing service's URL is https://host:port")?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("a signing service's URL must hold no user, password, query or fragment");
        }
        let url = Self(url);
        match url.0.scheme() {
            "https" => Ok(url),
            "http" if url.is_loopback() => Ok(url),
            "http" => Err("a signing service on another machine is asked over https:// only"),
            _ => Err("a signing service's URL begins with https://"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Result<ServiceUrl, &'static str> {
        let text = UrlText::from(text.to_owned());
        assert!(!format!("{text:?}").contains("hunter2"));
        (&text).try_into()
    }

    #[rstest]
    #[case("https://signer.internal:8080", "https://signer.internal:8080")]
    #[case("https://signer.internal/path/TOKEN", "https://signer.internal")]
    #[case("http://127.0.0.1:8080", "http://127.0.0.1:8080")]
    #[case("http://[::1]:8080/", "http://[::1]:8080")]
    #[case("http://localhost:1", "http://localhost:1")]
    fn shows_only_the_origin(#[case] text: &str, #[case] origin: &str) {
        assert_eq!(read(text).unwrap().origin(), origin);
    }

    #[rstest]
    #[case("http://signer.internal:8080", "https:// only")]
    #[case("http://localhost.evil.example", "https:// only")]
    #[case("https://user:hunter2@signer", "no user")]
    #[case("https://hunter2@signer", "no user")]
    #[case("https://signer/?key=hunter2", "query")]
    #[case("ftp://hunter2.example", "begins with https://")]
    #[case("hunter2", "https://host:port")]
    fn refuses_without_quoting(#[case] text: &str, #[case] reason: &str) {
        let error = read(text).err().unwrap();
        assert!(error.contains(reason) && !error.contains("hunter2"), "{error}");
    }
}
