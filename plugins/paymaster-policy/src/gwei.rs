//! Gas prices as people write them.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};

/// Wei in a gwei, as a power of ten.
const DECIMALS: usize = 9;

/// A price in wei per gas, written as a decimal text in gwei: `"2.5"`. Exact; no floating point is
/// involved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gwei(u128);

/// Why a text is no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GweiError(String);

impl fmt::Display for GweiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no gas price: write gwei as a decimal text with at most {DECIMALS} places, such as \"2.5\"",
            self.0
        )
    }
}

impl std::error::Error for GweiError {}

impl Gwei {
    /// A price in wei per gas.
    pub(crate) const fn from_wei(wei: u128) -> Self {
        Self(wei)
    }
}

impl FromStr for Gwei {
    type Err = GweiError;

    fn from_str(text: &str) -> Result<Self, GweiError> {
        let refuse = || GweiError(text.chars().take(40).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > DECIMALS {
            return Err(refuse());
        }
        format!("{whole}{fraction:0<DECIMALS$}")
            .parse()
            .map(Self)
            .map_err(|_| refuse())
    }
}

impl fmt::Display for Gwei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.pow(DECIMALS as u32);
        let (whole, fraction) = (self.0 / unit, self.0 % unit);
        let fraction = format!("{fraction:0DECIMALS$}");
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

impl<'de> Deserialize<'de> for Gwei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Gwei {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Gwei".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?$" })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0)]
    #[case("1", 1_000_000_000)]
    #[case("2.5", 2_500_000_000)]
    #[case("0.000000001", 1)]
    #[case("0.1", 100_000_000)]
    #[case("340282366920938463463374607431.768211455", u128::MAX)]
    fn prices_are_exact_and_print_as_read(#[case] text: &str, #[case] wei: u128) {
        let price: Gwei = text.parse().unwrap();
        assert_eq!(price, Gwei::from_wei(wei));
        assert_eq!(price.to_string(), text);
    }

    #[rstest]
    fn anything_else_is_refused(
        #[values("", ".", ".5", "1.", "-1", "+1", "1e9", "1 gwei", "0.0000000001", "1.2.3", "٣")] text: &str,
    ) {
        let error = text.parse::<Gwei>().unwrap_err().to_string();
        assert!(error.contains("is no gas price"), "{error}");
    }

    #[test]
    fn a_price_past_the_last_wei_is_refused() {
        "340282366920938463463374607431.768211456".parse::<Gwei>().unwrap_err();
    }
}
