//! Each sending account: does its signer serve, is it authorised, can it pay?

use std::{sync::Arc, time::Duration};

use alloy::providers::Provider;
use alloy_primitives::U256;
use futures::future::join_all;
use set_chain::{ChainView, DataFees, L2Provider, bindings::SetRegistry};
use set_rpc::admin::AccountRole;
use tokio::sync::watch;

use super::{
    contracts::{CallFailure, call, unasked},
    report::{Finding, amount, within},
};
use crate::{config::Config, signers::NamedSigner};

/// What an EIP-7702 delegation begins with, before the 20 bytes of its target.
const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];

/// Looks at every account, all at the same time.
pub(crate) async fn check(
    config: &Config,
    provider: &L2Provider,
    heads: &watch::Receiver<Arc<ChainView>>,
    signers: &[NamedSigner],
    deadline: Duration,
) -> Vec<Finding> {
    let checks = signers.iter().map(|signer| async move {
        let subject = format!("{} ({})", signer.address(), signer.name);
        let (serves, authorised, pays, code) = tokio::join!(
            within(deadline, "signer", &signer.name, serves(signer, &subject)),
            within(
                deadline,
                "authorised",
                &subject,
                authorised(config, provider, signer, &subject)
            ),
            within(
                deadline,
                "balance",
                &subject,
                balance(config, provider, heads.clone(), signer, &subject)
            ),
            within(deadline, "code", &subject, code(provider, signer, &subject)),
        );
        [serves, authorised, pays, code].concat()
    });
    join_all(checks).await.into_iter().flatten().collect()
}

async fn serves(signer: &NamedSigner, subject: &str) -> Vec<Finding> {
    vec![match signer.signer.health().await {
        Ok(()) => Finding::ok("signer", subject, "the signer serves"),
        Err(error) => {
            let advice = format!("look at `signers.{}` and at whoever holds the key", signer.name);
            Finding::problem("signer", subject, error.to_string(), advice)
        }
    }]
}

/// Sponsorships need no authorisation on the registry.
async fn authorised(config: &Config, provider: &L2Provider, signer: &NamedSigner, subject: &str) -> Vec<Finding> {
    if signer.role == AccountRole::Sponsorship {
        return vec![];
    }
    let address = signer.address();
    let asked = call(
        provider,
        config.chain.registry,
        SetRegistry::authorizedSequencersCall(address),
    )
    .await;
    vec![match asked {
        Ok(true) => Finding::ok("authorised", subject, "the registry takes commitments from it"),
        Ok(false) => Finding::problem(
            "authorised",
            subject,
            "the registry takes nothing from it",
            format!(
                "its owner calls setSequencerAuthorization({address}, true) on {}",
                config.chain.registry
            ),
        ),
        // What is wrong with the contract, its own check says.
        Err(CallFailure::Refused(words) | CallFailure::Unasked(words)) => {
            Finding::skipped("authorised", subject, words)
        }
    }]
}

/// Whether the balance pays for as many of the largest transactions as may be on their way at once.
async fn balance(
    config: &Config,
    provider: &L2Provider,
    mut heads: watch::Receiver<Arc<ChainView>>,
    signer: &NamedSigner,
    subject: &str,
) -> Vec<Finding> {
    let txmgr = &config.txmgr;
    let costs = async {
        let view = heads.wait_for(|view| view.latest.is_some()).await.ok()?.clone();
        let fees = txmgr.fee_context(&view)?;
        let extra = DataFees::upper_bound(provider, txmgr.max_bytes, txmgr.max_gas)
            .await
            .ok()?;
        let gas = U256::from(txmgr.max_gas) * U256::from(fees.base_fee.saturating_add(fees.tip));
        Some(gas.saturating_add(extra.total()))
    };
    let balance = match provider.get_balance(signer.address()).await {
        Ok(balance) => balance,
        Err(error) => return vec![unasked("balance", subject.to_owned(), error.into())],
    };
    let costs = tokio::time::timeout(config.chain.rpc_timeout, costs)
        .await
        .ok()
        .flatten();
    let Some(one) = costs else {
        return vec![Finding::skipped(
            "balance",
            subject,
            "no node said what a transaction costs",
        )];
    };
    let wanted = one
        .saturating_mul(U256::from(txmgr.max_in_flight))
        .max(U256::from(txmgr.balance_alarm.0));
    let enough = match balance.checked_div(one) {
        Some(count) => format!(
            "{}, enough for {count} of the largest transactions at present fees",
            amount(balance)
        ),
        None => amount(balance),
    };
    vec![if balance < wanted {
        let advice = format!(
            "send it ether until it has {} or more (`txmgr.max_in_flight` of the largest transactions, and \
             `txmgr.balance_alarm`)",
            amount(wanted)
        );
        Finding::problem("balance", subject, enough, advice)
    } else {
        Finding::ok("balance", subject, enough)
    }]
}

/// Nodes take one transaction at a time from an account that carries code.
async fn code(provider: &L2Provider, signer: &NamedSigner, subject: &str) -> Vec<Finding> {
    vec![match provider.get_code_at(signer.address()).await {
        Ok(code) if code.is_empty() => Finding::ok("code", subject, "a plain account"),
        Ok(code) => {
            let found = if code.starts_with(&DELEGATION) {
                "the account delegates to code (EIP-7702), so nodes take one transaction of it at a time"
            } else {
                "there is a contract at this address, so no key can send from it"
            };
            let advice = "undo the delegation (delegate to the zero address), or send from a plain account";
            Finding::problem("code", subject, found, advice)
        }
        Err(error) => unasked("code", subject.to_owned(), error.into()),
    }]
}
