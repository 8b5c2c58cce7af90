//! What the chain's newest blocks say of its fees: what SystemConfig on L1 holds now.

use alloy::{eips::BlockNumberOrTag, providers::Provider, sol};
use alloy_primitives::{Address, address};
use set_chain::{L2Provider, transport_cause};

use super::facts::seconds;
use crate::{
    check::{
        contracts::{CallFailure, call},
        report::Finding,
    },
    config::Config,
};

/// Holds the L1 attributes of the newest block (specification, "Predeploys").
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");

sol! {
    function operatorFeeScalar() external view returns (uint32);
    function operatorFeeConstant() external view returns (uint64);
    function daFootprintGasScalar() external view returns (uint16);
    function baseFeeScalar() external view returns (uint32);
    function blobBaseFeeScalar() external view returns (uint32);
}

/// What a header's `extraData` says from Holocene on (specification, "Holocene" and "Jovian").
struct FeeMarket {
    denominator: u32,
    elasticity: u32,
    /// In wei per gas, from Jovian on.
    min_base_fee: Option<u64>,
}

impl FeeMarket {
    /// A version byte, denominator, elasticity; with version 1 the least base fee, too.
    fn read(extra_data: &[u8]) -> Option<Self> {
        let (version, rest) = extra_data.split_first()?;
        let (denominator, rest) = rest.split_first_chunk()?;
        let (elasticity, rest) = rest.split_first_chunk()?;
        let min_base_fee = match (version, rest) {
            (0, []) => None,
            (1, rest) => Some(u64::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        };
        Some(Self {
            denominator: u32::from_be_bytes(*denominator),
            elasticity: u32::from_be_bytes(*elasticity),
            min_base_fee,
        })
    }
}

/// Compares each fact that SystemConfig may change with what is in force. Nothing on a chain whose blocks are
/// not an OP Stack chain's, such as a development chain without op-node.
pub(super) async fn check(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let newest = match provider.get_block_by_number(BlockNumberOrTag::Latest).await {
        Ok(Some(block)) => block.header,
        Ok(None) => return vec![],
        Err(error) => return vec![unasked(&transport_cause(&error))],
    };
    let Some(market) = FeeMarket::read(&newest.extra_data) else {
        let found = "the blocks are no OP Stack chain's (Holocene or later): nothing to compare";
        return vec![Finding::skipped("rollup", subject(newest.number), found)];
    };
    let before = newest.number.saturating_sub(1);
    let before = provider.get_block_by_number(BlockNumberOrTag::Number(before)).await;
    let ours = &config.rollup;
    let mut comparison = Comparison {
        subject: subject(newest.number),
        agreeing: 0,
        findings: vec![],
    };
    if let Ok(Some(before)) = before
        && newest.number > 0
    {
        let found = format!("{} s", newest.timestamp.saturating_sub(before.header.timestamp));
        comparison.add("block.time", seconds(config.block.time), found);
    }
    comparison.number(
        "rollup.eip1559_denominator",
        ours.eip1559_denominator,
        market.denominator,
    );
    comparison.number("rollup.eip1559_elasticity", ours.eip1559_elasticity, market.elasticity);
    if let Some(min_base_fee) = market.min_base_fee {
        comparison.number("rollup.min_base_fee", ours.min_base_fee, min_base_fee);
    }
    // Of the predeploy, each getter that the chain's fork has.
    let (operator_scalar, operator_constant, footprint, base, blob) = tokio::join!(
        call(provider, L1_BLOCK, operatorFeeScalarCall {}),
        call(provider, L1_BLOCK, operatorFeeConstantCall {}),
        call(provider, L1_BLOCK, daFootprintGasScalarCall {}),
        call(provider, L1_BLOCK, baseFeeScalarCall {}),
        call(provider, L1_BLOCK, blobBaseFeeScalarCall {}),
    );
    comparison.answer("rollup.operator_fee_scalar", ours.operator_fee_scalar, operator_scalar);
    comparison.answer(
        "rollup.operator_fee_constant",
        ours.operator_fee_constant,
        operator_constant,
    );
    comparison.answer(
        "rollup.da_footprint_gas_scalar",
        ours.da_footprint_gas_scalar,
        footprint,
    );
    comparison.answer("rollup.base_fee_scalar", ours.base_fee_scalar, base);
    comparison.answer("rollup.blob_base_fee_scalar", ours.blob_base_fee_scalar, blob);
    comparison.finish()
}

fn subject(block: u64) -> String {
    format!("block {block}")
}

fn unasked(cause: &str) -> Finding {
    Finding::skipped("rollup", "newest block", format!("no node could be asked: {cause}"))
}

/// What was compared with the blocks so far.
struct Comparison {
    subject: String,
    agreeing: usize,
    findings: Vec<Finding>,
}

impl Comparison {
    fn add(&mut self, key: &str, ours: String, found: String) {
        if ours == found {
            self.agreeing += 1;
            return;
        }
        let found = format!("`{key}` is {ours}, but the chain's blocks have {found}");
        let advice = format!("correct `{key}`, or SystemConfig on L1");
        self.findings
            .push(Finding::problem("rollup", &self.subject, found, advice));
    }

    fn number<T: ToString>(&mut self, key: &str, ours: T, found: T) {
        self.add(key, ours.to_string(), found.to_string());
    }

    /// A getter that is refused may be one of a later fork.
    fn answer<T: ToString>(&mut self, key: &str, ours: T, answer: Result<T, CallFailure>) {
        match answer {
            Ok(found) => self.number(key, ours, found),
            Err(CallFailure::Refused(words)) => {
                let found = format!("`{key}` is not compared: the chain's L1Block refuses to say ({words})");
                self.findings.push(Finding::skipped("rollup", &self.subject, found));
            }
            Err(CallFailure::Unasked(cause)) => self.findings.push(unasked(&cause)),
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        if self.agreeing > 0 {
            let found = format!("{} facts agree with the configuration", self.agreeing);
            self.findings.insert(0, Finding::ok("rollup", self.subject, found));
        }
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::FeeMarket;

    #[test]
    fn extra_data_is_read_as_its_fork_writes_it() {
        let jovian = FeeMarket::read(&hex!("01 000000fa 00000006 00000000000f4240")).unwrap();
        assert_eq!(
            (jovian.denominator, jovian.elasticity, jovian.min_base_fee),
            (250, 6, Some(1_000_000))
        );
        let holocene = FeeMarket::read(&hex!("00 00000032 00000006")).unwrap();
        assert_eq!(
            (holocene.denominator, holocene.elasticity, holocene.min_base_fee),
            (50, 6, None)
        );
        for other in [&hex!("")[..], &hex!("01 000000fa 00000006"), b"another client"] {
            assert!(FeeMarket::read(other).is_none(), "{other:?}");
        }
    }
}
