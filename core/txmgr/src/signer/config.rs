//! The tables `[signers.<name>]`.

mod table;

use std::{fmt, path::PathBuf, sync::Arc};

use alloy_primitives::Address;
use tokio::task;

use super::{ClientTls, LocalKey, TxSigner, UrlText, remote::RemoteSigner, secret, supervised::Supervised};
use crate::Wei;

/// A table `[signers.<name>]`. Holds names of places, never a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerConfig {
    /// Where the key is.
    pub kind: SignerKind,
    daily_spending_cap: Option<Wei>,
}

/// Where a signer's key is, and so who signs with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKind {
    /// An environment variable that holds the key in hex.
    Env {
        /// Name of the variable.
        variable: String,
    },
    /// A file that holds the key in hex.
    File {
        /// The file.
        path: PathBuf,
    },
    /// An encrypted keystore file (Web3 Secret Storage, as `cast wallet import` writes it).
    Keystore {
        /// The keystore file.
        path: PathBuf,
        /// A file that holds its password; a line break at the end is not part of it.
        password_file: PathBuf,
    },
    /// A key in AWS KMS that never leaves it (key spec `ECC_SECG_P256K1`, usage `SIGN_VERIFY`). Needs
    /// the cargo feature `kms`.
    AwsKms {
        /// Key id, key ARN, or alias (`alias/…`).
        key_id: String,
        /// AWS region; `None` asks the environment and the profile.
        region: Option<String>,
        /// Another endpoint than the region's own, such as a VPC endpoint.
        endpoint_url: Option<UrlText>,
    },
    /// A signing service that answers `eth_signTransaction` as the OP Stack's op-signer does.
    Remote {
        /// Where it is asked: `https://`, or `http://` on this machine.
        url: UrlText,
        /// The account that it signs for.
        address: Address,
        /// Mutual TLS. Required unless the service is on this machine.
        tls: Option<ClientTls>,
    },
}

/// Why a signer's key cannot be had: which signer, which key of its table, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerConfigError {
    /// The signer's name.
    pub signer: String,
    /// The key inside `[signers.<name>]`.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for SignerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`signers.{}.{}`: {}", self.signer, self.key, self.problem)
    }
}

impl std::error::Error for SignerConfigError {}

/// A [`SignerConfigError`] of a signer whose name is not known yet.
pub(super) struct Refusal {
    pub(super) key: &'static str,
    pub(super) problem: String,
}

impl Refusal {
    pub(super) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { key, problem }
    }
}

impl SignerConfig {
    /// A signer without a spending cap.
    pub const fn new(kind: SignerKind) -> Self {
        Self {
            kind,
            daily_spending_cap: None,
        }
    }

    /// Most that the signer's account may spend in one UTC day, in wei: `daily_spending_cap`. `None`
    /// where there is no bound.
    pub const fn daily_spending_cap(&self) -> Option<Wei> {
        self.daily_spending_cap
    }

    /// The files that the table names, each with its key, so that relative paths can be resolved.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        match &mut self.kind {
            SignerKind::File { path } => vec![("path", path)],
            SignerKind::Keystore { path, password_file } => vec![("path", path), ("password_file", password_file)],
            SignerKind::Remote { tls: Some(tls), .. } => tls.paths_mut(),
            SignerKind::Env { .. } | SignerKind::AwsKms { .. } | SignerKind::Remote { tls: None, .. } => vec![],
        }
    }

    /// Loads the key, or opens the way to whoever has it. Files are read and keystores decrypted off
    /// the runtime's threads. A key in KMS is asked for its account, so KMS must answer; a remote
    /// signer is named by its account, so that it may be away.
    ///
    /// What is loaded counts as failed when it does not sign within 10 s.
    ///
    /// # Errors
    /// [`SignerConfigError`], which never holds a part of what was read.
    pub async fn load(&self, name: &str) -> Result<Arc<dyn TxSigner>, SignerConfigError> {
        self.load_kind(name).await.map_err(|refusal| SignerConfigError {
            signer: name.to_owned(),
            key: refusal.key,
            problem: refusal.problem,
        })
    }

    async fn load_kind(&self, name: &str) -> Result<Arc<dyn TxSigner>, Refusal> {
        match self.kind.clone() {
            SignerKind::Env { variable } => read_key(name, move || secret::from_env(&variable)).await,
            SignerKind::File { path } => read_key(name, move || secret::from_file(&path)).await,
            SignerKind::Keystore { path, password_file } => {
                read_key(name, move || secret::from_keystore(&path, &password_file)).await
            }
            #[cfg(feature = "kms")]
            SignerKind::AwsKms {
                key_id,
                region,
                endpoint_url,
            } => {
                let key = super::aws_kms::AwsKms::connect(key_id, region, endpoint_url.as_ref()).await?;
                Ok(Arc::new(Supervised::new(name, key)))
            }
            #[cfg(not(feature = "kms"))]
            SignerKind::AwsKms { .. } => Err(Refusal::new(
                "kind",
                "\"aws_kms\" needs a program that was built with the cargo feature `kms`: build with `--features kms`",
            )),
            SignerKind::Remote { url, address, tls } => {
                let signer = Supervised::new(name, RemoteSigner::open(&url, address, tls).await?);
                if let Err(error) = signer.health().await {
                    tracing::warn!(%error, "remote signer does not serve yet; it is asked again for each transaction");
                }
                Ok(Arc::new(signer))
            }
        }
    }
}

/// Reads a key off the runtime's threads.
async fn read_key(
    name: &str,
    read: impl FnOnce() -> Result<LocalKey, Refusal> + Send + 'static,
) -> Result<Arc<dyn TxSigner>, Refusal> {
    let key = task::spawn_blocking(read)
        .await
        .unwrap_or_else(|_| Err(Refusal::new("kind", "loading the key was interrupted")))?;
    Ok(Arc::new(Supervised::new(name, key)))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// A key of anvil's, known to everybody.
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    async fn load(kind: SignerKind) -> Result<Arc<dyn TxSigner>, String> {
        let loaded = SignerConfig::new(kind).load("hot").await;
        loaded.map_err(|error| error.to_string())
    }

    async fn refusal(kind: SignerKind) -> String {
        load(kind).await.err().unwrap()
    }

    #[tokio::test]
    async fn reads_a_key_file_with_or_without_prefix() {
        let dir = tempfile::tempdir().unwrap();
        for text in [KEY.to_owned(), format!("0x{KEY}\n")] {
            let path = write(&dir, "key", &text);
            let signer = load(SignerKind::File { path }).await.unwrap();
            assert_eq!(signer.address().to_string(), ADDRESS);
        }
    }

    #[tokio::test]
    async fn opens_a_keystore_with_its_password_only() {
        let dir = tempfile::tempdir().unwrap();
        let secret = alloy_primitives::hex::decode(KEY).unwrap();
        let mut rng = alloy::signers::k256::elliptic_curve::rand_core::OsRng;
        eth_keystore::encrypt_key(dir.path(), &mut rng, &secret, "correct horse", Some("store")).unwrap();
        let keystore = |password_file| SignerKind::Keystore {
            path: dir.path().join("store"),
            password_file,
        };
        let good = load(keystore(write(&dir, "good", "correct horse\n"))).await.unwrap();
        assert_eq!(good.address().to_string(), ADDRESS);
        let error = refusal(keystore(write(&dir, "bad", "battery staple"))).await;
        assert!(
            error.contains("`signers.hot.path`") && error.contains("another password"),
            "{error}"
        );
        assert!(!error.contains("battery"), "{error}");
    }

    #[tokio::test]
    async fn errors_name_the_place_and_hide_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let almost = format!("{}zz", &KEY[..62]);
        let path = write(&dir, "key", &almost);
        let error = refusal(SignerKind::File { path: path.clone() }).await;
        assert!(
            error.contains("`signers.hot.path`") && error.contains(&path.display().to_string()),
            "{error}"
        );
        assert!(!error.contains(&KEY[..8]), "{error}");

        let variable = "SET_TXMGR_TEST_UNSET".to_owned();
        let error = refusal(SignerKind::Env { variable }).await;
        assert!(error.contains("SET_TXMGR_TEST_UNSET is not set"), "{error}");

        for variable in [KEY.to_owned(), format!("0x{KEY}")] {
            let error = refusal(SignerKind::Env { variable }).await;
            assert!(
                error.contains("`signers.hot.variable`") && error.contains("never the key"),
                "{error}"
            );
            assert!(!error.contains(&KEY[..8]), "{error}");
        }

        let path = dir.path().join("gone");
        let error = refusal(SignerKind::File { path }).await;
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn nothing_shows_the_key() {
        let key = LocalKey::from_hex(KEY).unwrap();
        let shown = format!("{key:?} {key:#?}");
        assert!(shown.contains("0xf39f"), "{shown}");
        // No eight digits of it, wherever they begin.
        let shown = shown.to_lowercase();
        for start in 0..=KEY.len() - 8 {
            assert!(!shown.contains(&KEY[start..start + 8]), "{shown}");
        }
    }

    /// Holds by type: what a `LocalKey` is made of wipes itself when it is dropped.
    #[test]
    fn a_key_is_wiped_when_dropped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        let key = alloy::signers::local::PrivateKeySigner::from_slice(&[7; 32]).unwrap();
        wiped(key.credential());
    }

    fn read(toml: &str) -> SignerConfig {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn names_every_file() {
        let mut remote = read(
            "kind = 'remote'\nurl = 'https://signer:8080'\naddress = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'\ntls = { cert = 'cert', key = 'key' }",
        );
        for (_, path) in remote.paths_mut() {
            *path = Path::new("/etc").join(&path);
        }
        let named: Vec<_> = remote
            .paths_mut()
            .into_iter()
            .map(|(key, path)| (key, path.clone()))
            .collect();
        assert_eq!(
            named,
            [
                ("tls.cert", PathBuf::from("/etc/cert")),
                ("tls.key", PathBuf::from("/etc/key"))
            ]
        );
    }

    #[cfg(not(feature = "kms"))]
    #[tokio::test]
    async fn a_kind_that_was_left_out_names_its_feature() {
        let config = read("kind = 'aws_kms'\nkey_id = 'alias/set'");
        let error = config.load("hot").await.err().unwrap().to_string();
        assert!(
            error.contains("`signers.hot.kind`") && error.contains("`kms`"),
            "{error}"
        );
    }
}
