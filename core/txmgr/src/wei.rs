//! Amounts of wei as an operator writes them.

use std::{borrow::Cow, fmt, str::FromStr};

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of wei, or of wei per gas. Written as text with a unit (`"1.5 gwei"`, `"0.01 ether"`,
/// `"1 wei"`) or as a plain integer of wei; parsed exactly, never through floating point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(pub u128);

impl Wei {
    /// So many gwei (10⁹ wei).
    pub const fn gwei(amount: u64) -> Self {
        Self(amount as u128 * 1_000_000_000)
    }

    /// An amount as the EVM counts it. What no account can hold is cut.
    pub(crate) fn saturating_from(amount: U256) -> Self {
        Self(u128::try_from(amount).unwrap_or(u128::MAX))
    }
}

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no amount: {problem}; write for example \"1.5 gwei\", \"0.01 ether\" or \"1 wei\"")]
pub struct WeiError {
    text: String,
    problem: &'static str,
}

impl FromStr for Wei {
    type Err = WeiError;

    fn from_str(text: &str) -> Result<Self, WeiError> {
        let refuse = |problem| WeiError {
            text: text.chars().take(80).collect(),
            problem,
        };
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
            .unwrap_or(trimmed.len());
        let (amount, unit) = trimmed.split_at(split);
        let decimals = match unit.trim() {
            "" | "wei" => 0,
            "gwei" => 9,
            "ether" | "eth" => 18,
            _ => return Err(refuse("the unit is none of wei, gwei, ether")),
        };
        let amount = amount.replace('_', "");
        let (whole, fraction) = amount.split_once('.').unwrap_or((&amount, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(refuse("there is no number"));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.contains('.') {
            return Err(refuse("it has two decimal points"));
        }
        if fraction.len() > decimals {
            return Err(refuse("it is finer than one wei"));
        }
        format!("{whole}{fraction:0<decimals$}")
            .parse()
            .map(Self)
            .map_err(|_| refuse("it is too large"))
    }
}

impl fmt::Display for Wei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decimals, unit) = match self.0 {
            0..1_000_000 => (0, "wei"),
            1_000_000..1_000_000_000_000_000 => (9, "gwei"),
            _ => (18, "ether"),
        };
        let scale = 10u128.pow(decimals);
        let (whole, rest) = (self.0 / scale, self.0 % scale);
        if rest == 0 {
            return write!(f, "{whole} {unit}");
        }
        let fraction = format!("{rest:0width$}", width = decimals as usize);
        write!(f, "{whole}.{} {unit}", fraction.trim_end_matches('0'))
    }
}

impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "an amount such as \"1.5 gwei\", or a whole number of wei")]
        enum Written<'a> {
            Number(u64),
            #[serde(borrow)]
            Text(Cow<'a, str>),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(wei) => Ok(Self(wei.into())),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1 wei", 1)]
    #[case("17", 17)]
    #[case("1.5 gwei", 1_500_000_000)]
    #[case("0.000000001gwei", 1)]
    #[case(".5 gwei", 500_000_000)]
    #[case("1_000 gwei", 1_000_000_000_000)]
    #[case("0.01 ether", 10_000_000_000_000_000)]
    #[case("0.0100000000000000000000 eth", 10_000_000_000_000_000)]
    fn reads(#[case] text: &str, #[case] wei: u128) {
        assert_eq!(text.parse(), Ok(Wei(wei)));
    }

    #[rstest]
    #[case("gwei", "no number")]
    #[case("1.5 wei", "finer")]
    #[case("1.0000000001 gwei", "finer")]
    #[case("1 finney", "unit")]
    #[case("-1 gwei", "unit")]
    #[case("1.2.3 gwei", "two decimal points")]
    #[case("999999999999999999999999 ether", "too large")]
    fn refuses(#[case] text: &str, #[case] problem: &str) {
        let error = text.parse::<Wei>().unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(wei: u128) {
            prop_assert_eq!(Wei(wei).to_string().parse(), Ok(Wei(wei)));
        }
    }
}
