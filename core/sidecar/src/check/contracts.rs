//! The contracts: are they there, do they answer, may anybody commit?

use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::{RpcError, TransportError},
};
use alloy_primitives::Address;
use set_chain::{
    L2Provider,
    bindings::{SetPaymaster, SetRegistry},
    transport_cause,
};

use super::report::{Finding, amount};
use crate::config::Config;

/// Why a contract did not answer.
pub(crate) enum CallFailure {
    /// No node could be asked; the checks of the nodes say why.
    Unasked(String),
    /// The contract refuses, or answers with something else.
    Refused(String),
}

impl From<TransportError> for CallFailure {
    fn from(error: TransportError) -> Self {
        match &error {
            RpcError::ErrorResp(answer) => Self::Refused(answer.message.to_string()),
            _ => Self::Unasked(transport_cause(&error)),
        }
    }
}

/// Calls a contract's function at the newest block.
pub(crate) async fn call<C: SolCall>(provider: &L2Provider, to: Address, call: C) -> Result<C::Return, CallFailure> {
    let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
    // Not at the pending block, the default, which op-geth has none of.
    let bytes = provider.call(request.into()).block(BlockId::latest()).await?;
    C::abi_decode_returns(&bytes).map_err(|_| CallFailure::Refused(format!("it does not answer {}", C::SIGNATURE)))
}

/// Looks at both contracts.
pub(crate) async fn check(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let (registry, paymaster) = tokio::join!(registry(config, provider), paymaster(config, provider));
    [registry, paymaster].concat()
}

/// Whether there is a contract at all.
async fn code(provider: &L2Provider, name: &'static str, key: &str, address: Address) -> Result<(), Finding> {
    match provider.get_code_at(address).await {
        Ok(code) if code.is_empty() => Err(Finding::problem(
            name,
            address.to_string(),
            "there is no contract at this address",
            format!("correct `{key}`, or `chain.addresses`, or deploy the contracts with scripts/deploy"),
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(unasked(name, address.to_string(), error.into())),
    }
}

/// A finding about a call that failed.
pub(crate) fn unasked(check: &'static str, subject: String, failure: CallFailure) -> Finding {
    match failure {
        CallFailure::Unasked(cause) => Finding::skipped(check, subject, format!("no node could be asked: {cause}")),
        CallFailure::Refused(words) => Finding::problem(
            check,
            subject,
            words,
            "is this the proxy's address? Correct it in [chain]",
        ),
    }
}

async fn registry(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let address = config.chain.registry;
    if let Err(finding) = code(provider, "registry", "chain.registry", address).await {
        return vec![finding];
    }
    let subject = address.to_string();
    match call(provider, address, SetRegistry::getRegistryStatsCall {}).await {
        Err(failure) => vec![unasked("registry", subject, failure)],
        Ok(stats) => {
            let found = format!("answers; it holds {} commitments", stats.commitmentCount);
            let mut findings = vec![Finding::ok("registry", &subject, found)];
            findings.push(if stats.isPaused {
                let advice = "its owner unpauses it; until then everything waits";
                Finding::problem("paused", &subject, "the registry is paused", advice)
            } else {
                Finding::ok("paused", &subject, "not paused")
            });
            let strict = if stats.isStrictMode {
                "on: a stream's commitments must follow one another"
            } else {
                "off: the contract does not check that a stream's commitments follow one another"
            };
            findings.push(Finding::ok("strict mode", &subject, strict));
            findings
        }
    }
}

async fn paymaster(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let address = config.chain.paymaster;
    if let Err(finding) = code(provider, "paymaster", "chain.paymaster", address).await {
        return vec![finding];
    }
    vec![
        match call(provider, address, SetPaymaster::getPaymasterStatusCall {}).await {
            Err(failure) => unasked("paymaster", address.to_string(), failure),
            Ok(status) => {
                let balance = amount(status.paymasterBalance);
                Finding::ok("paymaster", address.to_string(), format!("answers; it holds {balance}"))
            }
        },
    ]
}
