//! `set-sidecar rotate`: other accounts send commitments from now on, and at no moment none.
//!
//! Each step looks first at what is done already, so the command can be run again wherever it ended. The one
//! thing that can be read neither from the chain nor from the sidecar later is which accounts are to go; that is
//! written down before the sidecar forgets them.

mod departing;
mod owner;

use std::{collections::BTreeMap, io::Write, time::Duration};

use alloy_primitives::Address;
use eyre::{Result, WrapErr, bail, ensure, eyre};
use set_chain::{L2Provider, bindings::SetRegistry};
use set_rpc::admin::{AccountAnswer, AccountRole, AccountState, AdminSecret, ReloadAnswer};
use tokio::time::{MissedTickBehavior, interval};

use self::{departing::Departing, owner::Owner};
use crate::{
    admin_client::AdminClient,
    assembly,
    cli::RotateArgs,
    config::{Config, Problems},
    signers,
};

/// Between two looks at what is still on its way.
const LOOK: Duration = Duration::from_millis(500);

/// Goes through the steps, telling each.
///
/// # Errors
/// Where a step cannot be done, with what to do; running the command again goes on from there.
pub(crate) async fn rotate(args: &RotateArgs, out: &mut impl Write) -> Result<()> {
    let layers = args.config.layers();
    let survey = Config::survey(&layers);
    let config = match survey.config {
        Some(config) if survey.problems.is_empty() => config,
        _ => return Err(Problems(survey.problems).into()),
    };
    let opened = signers::open(&config).await;
    let opened = opened.map_err(|complaints| Problems::of(&layers, complaints))?;
    let committing = opened.iter().filter(|signer| signer.role == AccountRole::Commitments);
    let names: BTreeMap<_, _> = committing
        .map(|signer| (signer.address(), signer.name.clone()))
        .collect();
    let jwt = config.admin_jwt().ok_or_else(|| {
        eyre!("neither `rpc.admin_jwt` nor `sidecar.data_dir` is given, so the running sidecar cannot be asked")
    })?;
    let mut rotation = Rotation {
        provider: assembly::connect(&config)?,
        owner: match &args.owner_signer {
            Some(name) => Some(Owner::open(&config, name).await?),
            None => None,
        },
        departing: Departing::beside(&jwt)?,
        sidecar: AdminClient::new(config.rpc.admin_listen, AdminSecret::read(&jwt)?)?,
        registry: config.chain.registry,
        names,
        out,
    };
    rotation.run(&args.revoke).await
}

struct Rotation<'a, W> {
    provider: L2Provider,
    registry: Address,
    /// `None`: the owner's calls are printed.
    owner: Option<Owner>,
    sidecar: AdminClient,
    departing: Departing,
    /// The accounts that the configuration names, each with its signer.
    names: BTreeMap<Address, String>,
    out: &'a mut W,
}

impl<W: Write> Rotation<'_, W> {
    async fn run(&mut self, revoke: &[Address]) -> Result<()> {
        // Asked first, so that nothing is authorised for a sidecar that cannot be changed.
        let before: Vec<AccountAnswer> = self.sidecar.call("admin_accounts").await?;
        if !self
            .set_authorisation("1/4 authorise", self.names.keys().copied().collect(), true)
            .await?
        {
            return Ok(());
        }
        self.note_departing(&before, revoke)?;
        self.reload().await?;
        self.drain().await?;
        let departing = self.departing.accounts().iter().copied().collect();
        if !self.set_authorisation("4/4 revoke", departing, false).await? {
            return Ok(());
        }
        self.departing.forget()?;
        writeln!(self.out, "done: {} committing account(s)", self.names.len())?;
        Ok(())
    }

    /// Sets the authorisation of those accounts that have it otherwise; false where a call was printed instead.
    async fn set_authorisation(&mut self, step: &str, accounts: Vec<Address>, authorised: bool) -> Result<bool> {
        let word = if authorised { "authorised" } else { "not authorised" };
        for _attempt in 0..5 {
            let pending = self.otherwise(&accounts, authorised).await?;
            if pending.is_empty() {
                for account in &accounts {
                    writeln!(self.out, "{step:<14} {account} is {word}")?;
                }
                if accounts.is_empty() {
                    writeln!(self.out, "{step:<14} nothing to do")?;
                }
                return Ok(true);
            }
            let call = SetRegistry::batchSetSequencerAuthorizationCall {
                sequencers: pending,
                authorized: authorised,
            };
            let Some(owner) = &mut self.owner else {
                owner::print(step, self.registry, &call, self.out)?;
                return Ok(false);
            };
            owner.check(&self.provider, self.registry).await?;
            let hash = owner.send(&self.provider, self.registry, &call, step, self.out).await?;
            if let Some(hash) = hash {
                writeln!(self.out, "{step:<14} included {hash}")?;
            }
        }
        bail!("the registry does not show the change; look at the owner's transactions, then run this again")
    }

    /// The accounts whose authorisation is not as it should be.
    async fn otherwise(&self, accounts: &[Address], authorised: bool) -> Result<Vec<Address>> {
        if accounts.is_empty() {
            return Ok(vec![]);
        }
        let call = SetRegistry::areSequencersAuthorizedCall {
            addresses: accounts.to_vec(),
        };
        let found = owner::ask(&self.provider, self.registry, call).await?;
        let pairs = accounts.iter().copied().zip(found);
        Ok(pairs
            .filter(|(_, found)| *found != authorised)
            .map(|(account, _)| account)
            .collect())
    }

    /// Writes down who is to go, before the sidecar forgets it.
    fn note_departing(&mut self, before: &[AccountAnswer], revoke: &[Address]) -> Result<()> {
        let sending = before.iter().filter(|account| account.role == AccountRole::Commitments);
        let found = sending.map(|account| account.address).chain(revoke.iter().copied());
        self.departing.add(found, |account| self.names.contains_key(account))
    }

    async fn reload(&mut self) -> Result<()> {
        let step = "2/4 reload";
        let answer: ReloadAnswer = self.sidecar.call("admin_reload").await?;
        if answer.is_empty() {
            writeln!(self.out, "{step:<14} the sidecar runs with this configuration already")?;
        }
        for account in &answer.admitted {
            writeln!(self.out, "{step:<14} {account} sends now")?;
        }
        for account in &answer.retiring {
            writeln!(self.out, "{step:<14} {account} gets nothing new")?;
        }
        for key in &answer.needs_restart {
            writeln!(
                self.out,
                "{step:<14} `{key}` changed too, and needs a restart of the sidecar"
            )?;
        }
        let after: Vec<AccountAnswer> = self.sidecar.call("admin_accounts").await?;
        let active = |account: &AccountAnswer| account.state == AccountState::Active;
        for (address, name) in &self.names {
            ensure!(
                after
                    .iter()
                    .any(|account| account.address == *address && active(account)),
                "the running sidecar does not send from {address} (`{name}`): does it read the same configuration as \
                 this command?"
            );
        }
        Ok(())
    }

    /// Waits until nothing of the departing accounts is on its way to a block.
    async fn drain(&mut self) -> Result<()> {
        let step = "3/4 drain";
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = BTreeMap::new();
        loop {
            looks.tick().await;
            let accounts: Vec<AccountAnswer> = self.sidecar.call("admin_accounts").await?;
            let mut waiting = 0;
            for account in self.departing.accounts() {
                let found = accounts.iter().find(|found| found.address == *account);
                let under_way = match found {
                    Some(found) if found.state == AccountState::Drained => 0,
                    Some(found) if found.role == AccountRole::Sponsorship => 0,
                    Some(found) => found.queued + found.in_flight + 1,
                    None => 0,
                };
                waiting += under_way;
                if told.insert(*account, under_way) != Some(under_way) {
                    match under_way {
                        0 => writeln!(self.out, "{step:<14} {account} has nothing on its way")?,
                        _ => writeln!(self.out, "{step:<14} {account} has {} on the way", under_way - 1)?,
                    }
                    self.out.flush()?;
                }
            }
            if waiting == 0 {
                return Ok(());
            }
        }
    }
}

/// Reads what cannot be read, with the file's name.
fn in_file<T>(result: std::io::Result<T>, file: &std::path::Path) -> Result<T> {
    result.wrap_err_with(|| format!("{}", file.display()))
}
