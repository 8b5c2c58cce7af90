//! How much of a block commitments may take, all accounts of the process together.
//!
//! What is in flight never exceeds the share, so no block can hold more of it. Blocks that stay above the
//! chain's gas target raise everybody's base fee; hence the default.

use std::{collections::VecDeque, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use set_chain::Head;
use tokio::sync::watch;

use crate::size::CallSize;

/// A share of a block, of its gas and of its DA footprint alike. Written `"target"`, `"off"` or as a
/// percentage, `"1%"` to `"100%"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BlockShare {
    /// The chain's gas target, at which the base fee stays where it is.
    #[default]
    Target,
    /// So many hundredths of the block's gas limit, 1 to 100.
    Percent(u8),
    /// No bound: as much as fits.
    Off,
}

impl BlockShare {
    /// Gas of a block that the share is; `None` where it bounds nothing.
    pub(crate) fn gas(self, head: &Head) -> Option<u64> {
        match self {
            Self::Target => Some(head.gas_target),
            Self::Percent(percent) => Some(head.gas_limit / 100 * u64::from(percent)),
            Self::Off => None,
        }
    }
}

/// A text that is no share of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share of a block: write \"target\", \"off\", or a percentage from \"1%\" to \"100%\"")]
pub struct BlockShareError(String);

impl FromStr for BlockShare {
    type Err = BlockShareError;

    fn from_str(text: &str) -> Result<Self, BlockShareError> {
        match text {
            "target" => return Ok(Self::Target),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
        percent
            .filter(|percent| (1..=100).contains(percent))
            .map(Self::Percent)
            .ok_or_else(|| BlockShareError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for BlockShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => f.write_str("target"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Off => f.write_str("off"),
        }
    }
}

impl Serialize for BlockShare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockShare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What all accounts of this process have in flight. One for the whole process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct BlockBudget(Arc<watch::Sender<InFlight>>);

#[derive(Debug, Default)]
struct InFlight {
    total: CallSize,
    /// Accounts whose next call does not fit yet, in the order of their coming: a large call is not
    /// starved by a neighbour's small ones.
    line: VecDeque<u64>,
    accounts: u64,
}

/// What may be in flight at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Gas, and DA footprint in gas.
    pub(crate) gas: u64,
    /// DA footprint gas per estimated byte, where the chain counts it.
    pub(crate) da_footprint_scalar: Option<u64>,
}

impl Bounds {
    /// The share's bounds at a head; `None` where it bounds nothing.
    pub(crate) fn of(share: BlockShare, head: &Head) -> Option<Self> {
        share.gas(head).map(|gas| Self {
            gas,
            da_footprint_scalar: head.da_footprint_scalar,
        })
    }

    /// Whether so much more may be in flight. What is too large for the share alone goes alone.
    const fn allow(self, total: CallSize, more: CallSize) -> bool {
        let scalar = match self.da_footprint_scalar {
            Some(scalar) => scalar,
            None => 0,
        };
        let bytes = total.estimated_bytes.saturating_add(more.estimated_bytes);
        total.gas == 0 || (total.gas.saturating_add(more.gas) <= self.gas && bytes.saturating_mul(scalar) <= self.gas)
    }
}

impl BlockBudget {
    /// An account's way to the budget.
    pub(crate) fn account(&self) -> AccountBudget {
        let mut number = 0;
        self.0.send_if_modified(|state| {
            state.accounts += 1;
            number = state.accounts;
            false
        });
        AccountBudget {
            budget: self.clone(),
            number,
        }
    }
}

/// One account's way to the budget; it waits in line at most once.
#[derive(Debug)]
pub(crate) struct AccountBudget {
    budget: BlockBudget,
    number: u64,
}

impl AccountBudget {
    /// Takes a share for a call, or waits in line: then ask again at every change and every head.
    pub(crate) fn admit(&self, size: CallSize, bounds: Option<Bounds>) -> Option<Share> {
        let Some(bounds) = bounds else {
            self.leave();
            return Some(self.take(size));
        };
        let admitted = self.budget.0.send_if_modified(|state| {
            if !state.line.contains(&self.number) {
                state.line.push_back(self.number);
            }
            if state.line.front() != Some(&self.number) || !bounds.allow(state.total, size) {
                return false;
            }
            state.line.pop_front();
            add(&mut state.total, size);
            true
        });
        admitted.then(|| self.share(size))
    }

    /// Takes a share of what is on its way in any case.
    pub(crate) fn take(&self, size: CallSize) -> Share {
        self.budget.0.send_modify(|state| add(&mut state.total, size));
        self.share(size)
    }

    /// Waits no more.
    pub(crate) fn leave(&self) {
        self.budget.0.send_if_modified(|state| {
            let before = state.line.len();
            state.line.retain(|number| *number != self.number);
            state.line.len() < before
        });
    }

    /// Says when it is worth asking again.
    pub(crate) fn changes(&self) -> BudgetChanges {
        BudgetChanges(self.budget.0.subscribe())
    }

    fn share(&self, size: CallSize) -> Share {
        Share {
            budget: self.budget.clone(),
            size,
        }
    }
}

impl Drop for AccountBudget {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Says when anything of the budget was given back or taken.
#[derive(Debug)]
pub(crate) struct BudgetChanges(watch::Receiver<InFlight>);

impl BudgetChanges {
    /// The next change; never ends while the account has its way to the budget.
    pub(crate) async fn next(&mut self) {
        let _ = self.0.changed().await;
    }
}

/// What one call takes of the budget. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Share {
    budget: BlockBudget,
    size: CallSize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.send_modify(|state| {
            state.total.gas -= self.size.gas;
            state.total.estimated_bytes -= self.size.estimated_bytes;
        });
    }
}

const fn add(total: &mut CallSize, size: CallSize) {
    total.gas += size.gas;
    total.estimated_bytes += size.estimated_bytes;
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn size(gas: u64, estimated_bytes: u64) -> CallSize {
        CallSize { gas, estimated_bytes }
    }

    const fn bounds(gas: u64, da_footprint_scalar: Option<u64>) -> Option<Bounds> {
        Some(Bounds {
            gas,
            da_footprint_scalar,
        })
    }

    #[rstest]
    #[case("target", BlockShare::Target)]
    #[case("off", BlockShare::Off)]
    #[case("1%", BlockShare::Percent(1))]
    #[case("100%", BlockShare::Percent(100))]
    fn shares_are_read_and_shown(#[case] text: &str, #[case] share: BlockShare) {
        assert_eq!(text.parse(), Ok(share));
        assert_eq!(share.to_string(), text);
    }

    #[rstest]
    #[case("0%")]
    #[case("101%")]
    #[case("50")]
    #[case("full")]
    fn what_is_no_share_is_refused(#[case] text: &str) {
        let error = text.parse::<BlockShare>().unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("\"target\""), "{error}");
    }

    #[test]
    fn gas_and_footprint_bind_whichever_is_larger() {
        let account = BlockBudget::default().account();
        let by_gas = account.admit(size(60, 1), bounds(100, Some(10)));
        assert!(by_gas.is_some());
        assert!(account.admit(size(41, 1), bounds(100, Some(10))).is_none());
        assert!(account.admit(size(1, 10), bounds(100, Some(10))).is_none());
        assert!(account.admit(size(1, 10), bounds(100, None)).is_some());
        assert!(account.admit(size(1_000, 1_000), None).is_some());
        drop(by_gas);
        assert_eq!(account.budget.0.borrow().total, CallSize::default());
    }

    #[test]
    fn a_call_above_the_share_goes_alone() {
        let account = BlockBudget::default().account();
        let alone = account.admit(size(500, 1), bounds(100, None));
        assert!(alone.is_some());
        assert!(account.admit(size(1, 1), bounds(100, None)).is_none());
    }

    #[test]
    fn small_calls_of_one_account_do_not_starve_a_large_one_of_another() {
        let budget = BlockBudget::default();
        let (small, large) = (budget.account(), budget.account());
        let first = small.admit(size(50, 1), bounds(100, None));
        assert!(large.admit(size(90, 1), bounds(100, None)).is_none());
        assert!(small.admit(size(50, 1), bounds(100, None)).is_none());
        drop(first);
        assert!(small.admit(size(50, 1), bounds(100, None)).is_none());
        assert!(large.admit(size(90, 1), bounds(100, None)).is_some());
        // Whoever gives up makes room in the line.
        small.leave();
        assert!(large.admit(size(90, 1), bounds(100, None)).is_some());
        let whole = small.take(size(100, 1));
        assert!(large.admit(size(90, 1), bounds(100, None)).is_none());
        drop((large, whole));
        assert!(small.admit(size(50, 1), bounds(100, None)).is_some());
    }
}
