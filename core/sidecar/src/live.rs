//! Changing a running sidecar: what SIGHUP and the `admin_` methods do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::Address;
use async_trait::async_trait;
use serde_json::Value;
use set_pipeline::{Account, PipelineControl};
use set_rpc::admin::{AccountAnswer, AccountRole, AccountState, Administration, FaultyConfiguration, ReloadAnswer};
use set_types::BatchId;
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use crate::{
    accounts::Accounts,
    config::{Complaint, Config, Layers, Problems, Survey},
    signers::{self, NamedSigner},
};

/// A running sidecar, as far as it can be changed.
pub(crate) struct Live {
    layers: Layers,
    /// What was configured when the program started; what cannot change since is in force as it stands here.
    started: BTreeMap<String, Value>,
    /// What is in force. Held while it changes, so that two reloads never mix.
    in_force: Mutex<Config>,
    accounts: Arc<Accounts>,
    control: PipelineControl,
}

impl Live {
    pub(crate) fn new(
        layers: Layers,
        started: BTreeMap<String, Value>,
        config: Config,
        accounts: Arc<Accounts>,
        control: PipelineControl,
    ) -> Self {
        Self {
            layers,
            started,
            in_force: Mutex::new(config),
            accounts,
            control,
        }
    }

    /// Reads the configuration and every key again, checks all of it, and only then changes anything.
    async fn read(&self, in_force: &Config) -> Result<(Survey, Config, Vec<NamedSigner>), Problems> {
        let layers = self.layers.clone();
        let reading = tokio::task::spawn_blocking(move || Config::survey(&layers));
        let mut survey = reading
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let Some(read) = survey.config.take() else {
            return Err(Problems(survey.problems));
        };
        // What needs a restart stays as it is, so it is this mixture that must make sense.
        let mut mixed = Config {
            txmgr: read.txmgr.clone(),
            signers: read.signers.clone(),
            ..in_force.clone()
        };
        mixed.sidecar.signers.clone_from(&read.sidecar.signers);
        let known: BTreeSet<_> = read.cross_check().into_iter().map(|complaint| complaint.key).collect();
        for Complaint { key, message } in mixed.cross_check() {
            if !known.contains(&key) {
                survey.complain(&key, format!("{message} (with what is in force until a restart)"));
            }
        }
        match signers::open(&mixed).await {
            Ok(signers) if survey.problems.is_empty() => Ok((survey, mixed, signers)),
            Ok(_) => Err(Problems(survey.problems)),
            Err(complaints) => {
                for Complaint { key, message } in complaints {
                    survey.complain(&key, message);
                }
                Err(Problems(survey.problems))
            }
        }
    }

    async fn apply(&self) -> Result<ReloadAnswer, Problems> {
        let mut in_force = self.in_force.lock().await;
        let (survey, config, signers) = self.read(&in_force).await?;
        let mut answer = ReloadAnswer {
            needs_restart: self.needs_restart(&survey.values()),
            ..ReloadAnswer::default()
        };
        let committing = signers.iter().filter(|signer| signer.role == AccountRole::Commitments);
        let addresses: BTreeSet<_> = committing.map(NamedSigner::address).collect();
        // Those that come are admitted before those that go are retired: there is always one to send from.
        let mut opened = self.open_new(&signers, &config).await?;
        for signer in signers {
            match opened.remove(&signer.address()) {
                Some(account) => self.admit(account, &signer.name, &mut answer).await?,
                None => self.keep(signer, &config, &mut answer).await?,
            }
        }
        let settings = changed_settings(&in_force, &config);
        if !settings.is_empty() {
            self.accounts.reconfigure(&config.txmgr);
            answer.in_force.extend(settings);
        }
        for address in self.accounts.committing() {
            if !addresses.contains(&address) {
                self.accounts.retire(address, self.control.clone());
                answer.retiring.push(address);
            }
        }
        *in_force = config;
        Ok(answer)
    }

    /// Opens the accounts that are new. With a problem of one, none of them is kept.
    async fn open_new(&self, signers: &[NamedSigner], config: &Config) -> Result<BTreeMap<Address, Account>, Problems> {
        let mut opened = BTreeMap::new();
        for signer in signers {
            let address = signer.address();
            if signer.role != AccountRole::Commitments || self.accounts.in_use(address).is_some() {
                continue;
            }
            match self.open(signer.clone(), config).await {
                Ok(account) => {
                    opened.insert(address, account);
                }
                Err(problems) => {
                    opened.keys().for_each(|address| self.accounts.discard(*address));
                    return Err(problems);
                }
            }
        }
        Ok(opened)
    }

    async fn open(&self, signer: NamedSigner, config: &Config) -> Result<Account, Problems> {
        let name = signer.name.clone();
        let opened = self.accounts.open(signer, config.txmgr.clone()).await;
        opened.map_err(|error| self.unusable(&name, format!("{error:#}")))
    }

    /// Has the pipeline send from an account that was opened.
    async fn admit(&self, account: Account, name: &str, answer: &mut ReloadAnswer) -> Result<(), Problems> {
        let address = account.txmgr.address();
        if let Err(error) = self.control.admit(account).await {
            self.accounts.discard(address);
            return Err(self.unusable(name, error.to_string()));
        }
        answer.admitted.push(address);
        Ok(())
    }

    fn unusable(&self, name: &str, reason: String) -> Problems {
        let complaint = Complaint::new(format!("signers.{name}"), format!("cannot be used: {reason}"));
        Problems::of(&self.layers, vec![complaint])
    }

    /// Makes sure that an account is still in use, with what its signer's table says.
    async fn keep(&self, signer: NamedSigner, config: &Config, answer: &mut ReloadAnswer) -> Result<(), Problems> {
        let address = signer.address();
        if let Some(in_use) = self.accounts.in_use(address) {
            if in_use.kind != signer.table.kind {
                answer.needs_restart.push(format!("signers.{}", signer.name));
            }
            let cap = signer.table.daily_spending_cap();
            if in_use.daily_spending_cap != cap {
                self.accounts.set_daily_spending_cap(address, cap);
                let key = format!("signers.{}.daily_spending_cap", signer.name);
                answer.in_force.push(key);
            }
            if in_use.state == AccountState::Active {
                return Ok(());
            }
            if self.accounts.resume(address, &self.control).await {
                answer.admitted.push(address);
                return Ok(());
            }
            // It is gone from the pipeline this very moment.
            self.accounts.discard(address);
        }
        if signer.role == AccountRole::Sponsorship {
            answer.needs_restart.push(format!("signers.{}", signer.name));
            return Ok(());
        }
        let name = signer.name.clone();
        let account = self.open(signer, config).await?;
        self.admit(account, &name, answer).await
    }

    /// Keys that differ from what the program started with and are not among those that change at run time.
    fn needs_restart(&self, now: &BTreeMap<String, Value>) -> Vec<String> {
        let at_run_time = |key: &str| {
            key == "sidecar.signers"
                || key.starts_with("sidecar.signers.")
                || key.starts_with("txmgr.")
                || key.starts_with("signers.")
        };
        let keys: BTreeSet<_> = self.started.keys().chain(now.keys()).collect();
        let changed = keys.into_iter().filter(|key| self.started.get(*key) != now.get(*key));
        changed.filter(|key| !at_run_time(key)).cloned().collect()
    }
}

/// Keys of `[txmgr]` that differ.
fn changed_settings(before: &Config, after: &Config) -> Vec<String> {
    let fields = |config: &Config| match serde_json::to_value(&config.txmgr) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    changed.map(|(key, _)| format!("txmgr.{key}")).collect()
}

#[async_trait]
impl Administration for Live {
    fn accounts(&self) -> Vec<AccountAnswer> {
        self.accounts.answers()
    }

    async fn reload(&self) -> Result<ReloadAnswer, FaultyConfiguration> {
        match self.apply().await {
            Ok(answer) => {
                let keys = |keys: &[String]| keys.join(", ");
                let accounts =
                    |accounts: &[Address]| accounts.iter().map(Address::to_string).collect::<Vec<_>>().join(", ");
                info!(
                    in_force = keys(&answer.in_force),
                    admitted = accounts(&answer.admitted),
                    retiring = accounts(&answer.retiring),
                    "{}",
                    if answer.is_empty() {
                        "configuration read again: nothing changed"
                    } else {
                        "configuration read again"
                    }
                );
                if !answer.needs_restart.is_empty() {
                    warn!(
                        keys = keys(&answer.needs_restart),
                        "these keys changed and need a restart"
                    );
                }
                Ok(answer)
            }
            Err(problems) => {
                for problem in &problems.0 {
                    error!(%problem, "the configuration is faulty; what was in force stays in force");
                }
                Err(FaultyConfiguration(format!(
                    "{problems}\nWhat was in force stays in force."
                )))
            }
        }
    }

    async fn dismiss_conflict(&self, batch_id: BatchId) -> bool {
        self.control.dismiss_conflict(batch_id).await
    }
}
