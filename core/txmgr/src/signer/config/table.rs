//! How a table `[signers.<name>]` is written: `kind`, the keys of that kind, and those of every kind.
//!
//! One flat table and not serde's tagged enum, which forgets inside which key it found a fault.

use std::path::PathBuf;

use alloy_primitives::Address;
use serde::{Deserialize, Deserializer, de::Error};

use super::{SignerConfig, SignerKind};
use crate::{
    Wei,
    signer::{ClientTls, UrlText},
};

/// Keys of every kind.
const ALWAYS: [&str; 2] = ["kind", "daily_spending_cap"];

/// Every key of any kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: KindName,
    daily_spending_cap: Option<Wei>,
    variable: Option<String>,
    path: Option<PathBuf>,
    password_file: Option<PathBuf>,
    key_id: Option<String>,
    region: Option<String>,
    endpoint_url: Option<UrlText>,
    url: Option<UrlText>,
    address: Option<Address>,
    tls: Option<ClientTls>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Env,
    File,
    Keystore,
    AwsKms,
    Remote,
}

impl KindName {
    /// The keys of a kind beside [`ALWAYS`], with those first.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Env => &[ALWAYS[0], ALWAYS[1], "variable"],
            Self::File => &[ALWAYS[0], ALWAYS[1], "path"],
            Self::Keystore => &[ALWAYS[0], ALWAYS[1], "path", "password_file"],
            Self::AwsKms => &[ALWAYS[0], ALWAYS[1], "key_id", "region", "endpoint_url"],
            Self::Remote => &[ALWAYS[0], ALWAYS[1], "url", "address", "tls"],
        }
    }
}

impl Table {
    /// The keys that are given and belong to some kinds only.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("variable", self.variable.is_some()),
            ("path", self.path.is_some()),
            ("password_file", self.password_file.is_some()),
            ("key_id", self.key_id.is_some()),
            ("region", self.region.is_some()),
            ("endpoint_url", self.endpoint_url.is_some()),
            ("url", self.url.is_some()),
            ("address", self.address.is_some()),
            ("tls", self.tls.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
    }
}

impl<'de> Deserialize<'de> for SignerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let known = table.kind.keys();
        if let Some(foreign) = table.given().find(|key| !known.contains(key)) {
            return Err(D::Error::unknown_field(foreign, known));
        }
        let lacks = D::Error::missing_field;
        let kind = match table.kind {
            KindName::Env => SignerKind::Env {
                variable: table.variable.ok_or_else(|| lacks("variable"))?,
            },
            KindName::File => SignerKind::File {
                path: table.path.ok_or_else(|| lacks("path"))?,
            },
            KindName::Keystore => SignerKind::Keystore {
                path: table.path.ok_or_else(|| lacks("path"))?,
                password_file: table.password_file.ok_or_else(|| lacks("password_file"))?,
            },
            KindName::AwsKms => SignerKind::AwsKms {
                key_id: table.key_id.ok_or_else(|| lacks("key_id"))?,
                region: table.region,
                endpoint_url: table.endpoint_url,
            },
            KindName::Remote => SignerKind::Remote {
                url: table.url.ok_or_else(|| lacks("url"))?,
                address: table.address.ok_or_else(|| lacks("address"))?,
                tls: table.tls,
            },
        };
        Ok(Self {
            kind,
            daily_spending_cap: table.daily_spending_cap,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(toml: &str) -> Result<SignerConfig, String> {
        toml::from_str(toml).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    const REMOTE: &str = "url = 'https://signer:8080'\naddress = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'\ntls = { ca = 'ca', cert = 'cert', key = 'key' }";

    #[rstest]
    #[case("env", "variable = 'X'", "path = 'key'", "variable")]
    #[case("file", "path = 'key'", "password_file = 'password'", "path")]
    #[case("keystore", "path = 'store'\npassword_file = 'password'", "variable = 'X'", "path")]
    #[case(
        "aws_kms",
        "key_id = 'k'\nregion = 'eu'\nendpoint_url = 'https://kms'",
        "url = 'x'",
        "key_id"
    )]
    #[case("remote", REMOTE, "region = 'eu'", "url")]
    fn every_kind_takes_a_cap_and_is_strict(
        #[case] kind: &str,
        #[case] keys: &str,
        #[case] foreign: &str,
        #[case] needed: &str,
    ) {
        let kind = format!("kind = '{kind}'");
        assert_eq!(read(&format!("{kind}\n{keys}")).unwrap().daily_spending_cap(), None);
        let capped = read(&format!("{kind}\n{keys}\ndaily_spending_cap = '0.5 ether'")).unwrap();
        assert_eq!(capped.daily_spending_cap(), Some(Wei(500_000_000_000_000_000)));
        for unknown in ["private = 1", foreign] {
            let error = read(&format!("{kind}\n{keys}\n{unknown}")).unwrap_err();
            let key = unknown.split(' ').next().unwrap();
            assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
        }
        let error = read(&kind).unwrap_err();
        assert!(error.contains(&format!("missing field `{needed}`")), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_named() {
        assert!(read("kind = 'hsm'").unwrap_err().contains("hsm"));
    }
}
