//! Which accounts are to go, written down until they are gone.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use eyre::{Result, WrapErr};

use super::in_file;

/// The file's name, beside the secret of the admin listener.
const NAME: &str = "rotation.json";

/// Accounts whose authorisation is to end, kept in a file.
pub(super) struct Departing {
    file: PathBuf,
    accounts: BTreeSet<Address>,
}

impl Departing {
    /// Reads what an earlier run wrote down beside `jwt`.
    pub(super) fn beside(jwt: &Path) -> Result<Self> {
        let file = jwt.with_file_name(NAME);
        let accounts = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).wrap_err_with(|| {
                format!(
                    "{} is damaged; remove it, and name the accounts to revoke with --revoke",
                    file.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return in_file(Err(error), &file),
        };
        Ok(Self { file, accounts })
    }

    pub(super) const fn accounts(&self) -> &BTreeSet<Address> {
        &self.accounts
    }

    /// Adds accounts, takes out those that stay, and writes it down.
    pub(super) fn add(&mut self, found: impl Iterator<Item = Address>, stays: impl Fn(&Address) -> bool) -> Result<()> {
        self.accounts.extend(found);
        self.accounts.retain(|account| !stays(account));
        if self.accounts.is_empty() {
            return self.forget();
        }
        let new = self.file.with_extension("new");
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(serde_json::to_string_pretty(&self.accounts)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.file)
        };
        in_file(write(), &self.file)
    }

    /// They are gone.
    pub(super) fn forget(&mut self) -> Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => in_file(Err(error), &self.file),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_is_known_to_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let jwt = dir.path().join("admin.jwt");
        let [stays, goes, back] = [1, 2, 3].map(Address::repeat_byte);
        let mut first = Departing::beside(&jwt).unwrap();
        first
            .add([stays, goes, back].into_iter(), |account| *account == stays)
            .unwrap();
        let mut second = Departing::beside(&jwt).unwrap();
        assert_eq!(second.accounts(), &BTreeSet::from([goes, back]));
        second.add([].into_iter(), |account| *account == back).unwrap();
        let mut third = Departing::beside(&jwt).unwrap();
        assert_eq!(third.accounts(), &BTreeSet::from([goes]));
        third.forget().unwrap();
        assert!(Departing::beside(&jwt).unwrap().accounts().is_empty());
    }
}
