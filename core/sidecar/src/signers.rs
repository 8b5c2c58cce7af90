//! Opening the signers that the configuration names.

use std::sync::Arc;

use alloy_primitives::Address;
use futures::future::join_all;
use set_rpc::admin::AccountRole;
use set_txmgr::{SignerConfig, TxSigner};

use crate::config::{Complaint, Config};

/// A signer that is ready to sign, and what it is for.
#[derive(Clone)]
pub(crate) struct NamedSigner {
    /// Its name in `[signers]`.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) role: AccountRole,
    /// Its table.
    pub(crate) table: SignerConfig,
    /// What signs.
    pub(crate) signer: Arc<dyn TxSigner>,
}

impl NamedSigner {
    /// Its account.
    pub(crate) fn address(&self) -> Address {
        self.signer.address()
    }
}

/// Opens every signer that is named for commitments and sponsorships, all at the same time.
///
/// # Errors
/// Everything that is wrong with any of them, each with the key that it hangs on.
pub(crate) async fn open(config: &Config) -> Result<Vec<NamedSigner>, Vec<Complaint>> {
    let commitments = config
        .sidecar
        .signers
        .iter()
        .map(|name| (name, AccountRole::Commitments));
    let sponsorship = config.sidecar.sponsorship_signer.iter();
    let named = commitments.chain(sponsorship.map(|name| (name, AccountRole::Sponsorship)));
    let opening = named.map(|(name, role)| open_one(config, name, role));
    let (mut signers, mut complaints) = (Vec::<NamedSigner>::new(), vec![]);
    for opened in join_all(opening).await {
        match opened {
            Ok(signer) => match signers.iter().find(|other| other.address() == signer.address()) {
                Some(other) => complaints.push(same_account(other, &signer)),
                None => signers.push(signer),
            },
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() {
        Ok(signers)
    } else {
        Err(complaints)
    }
}

/// Opens one signer of `[signers]`.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn open_one(config: &Config, name: &str, role: AccountRole) -> Result<NamedSigner, Complaint> {
    let key = match role {
        AccountRole::Commitments => "sidecar.signers",
        AccountRole::Sponsorship => "sidecar.sponsorship_signer",
    };
    let Some(table) = config.signers.get(name) else {
        return Err(Complaint::new(
            key,
            format!("names the signer `{name}`, which [signers] does not have"),
        ));
    };
    let signer = table.load(name).await;
    let signer = signer.map_err(|error| Complaint::new(format!("signers.{name}.{}", error.key), error.problem))?;
    Ok(NamedSigner {
        name: name.to_owned(),
        role,
        table: table.clone(),
        signer,
    })
}

/// Two signers of one account would take each other's nonces.
fn same_account(first: &NamedSigner, second: &NamedSigner) -> Complaint {
    let message = format!(
        "is the key of {}, as is `signers.{}`: each signer needs an account of its own",
        second.address(),
        first.name
    );
    Complaint::new(format!("signers.{}", second.name), message)
}
