//! The tables `[signers.<name>]`.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{LocalKey, TxSigner};
use alloy::signers::local::PrivateKeySigner;

/// Where a signer's key is. Holds names of places, never a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignerConfig {
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

impl SignerConfig {
    /// Loads the key. Files are read and keystores decrypted off the runtime's threads.
    ///
    /// # Errors
    /// [`SignerConfigError`], which never holds a part of what was read.
    pub async fn load(&self, name: &str) -> Result<Arc<dyn TxSigner>, SignerConfigError> {
        let (config, signer) = (self.clone(), name.to_owned());
        let loading = tokio::task::spawn_blocking(move || config.load_blocking(&signer));
        match loading.await {
            Ok(loaded) => loaded.map(|key| Arc::new(key) as Arc<dyn TxSigner>),
            Err(_) => Err(SignerConfigError {
                signer: name.to_owned(),
                key: "kind",
                problem: "loading the key was interrupted".into(),
            }),
        }
    }

    fn load_blocking(&self, signer: &str) -> Result<LocalKey, SignerConfigError> {
        let refuse = |key, problem| SignerConfigError {
            signer: signer.to_owned(),
            key,
            problem,
        };
        const SHAPE: &str = "a private key: 64 hex digits, with or without 0x";
        match self {
            Self::Env { variable } => {
                if !is_name(variable) {
                    // Not quoted: whoever misreads the key writes the private key itself here.
                    let problem = "is no name of an environment variable: give the name, never the key".into();
                    return Err(refuse("variable", problem));
                }
                let text = std::env::var(variable).map(Zeroizing::new).map_err(|_| {
                    refuse(
                        "variable",
                        format!("the environment variable {variable} is not set; set it to {SHAPE}"),
                    )
                })?;
                LocalKey::from_hex(&text).ok_or_else(|| {
                    refuse(
                        "variable",
                        format!("the environment variable {variable} does not hold {SHAPE}"),
                    )
                })
            }
            Self::File { path } => {
                let text = read_secret(path).map_err(|problem| refuse("path", problem))?;
                LocalKey::from_hex(&text)
                    .ok_or_else(|| refuse("path", format!("the file {} does not hold {SHAPE}", path.display())))
            }
            Self::Keystore { path, password_file } => {
                let password = read_secret(password_file).map_err(|problem| refuse("password_file", problem))?;
                let password = password.trim_end_matches(['\r', '\n']);
                // The decryption's own error tells a missing file from a wrong password; neither holds a secret.
                PrivateKeySigner::decrypt_keystore(path, password)
                    .map(LocalKey::from)
                    .map_err(|error| {
                        refuse(
                            "path",
                            format!(
                                "the keystore {} cannot be opened: {error}; \"Mac Mismatch\" means that {} holds another password",
                                path.display(),
                                password_file.display()
                            ),
                        )
                    })
            }
        }
    }
}

/// Whether a text can name an environment variable. 64 hex digits are a key and no name.
fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.chars().next().is_some_and(|first| !first.is_ascii_digit());
    let key = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    starts && text.chars().all(word) && !key
}

/// Reads a file that holds a secret; warns where others may read it too.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("the file {} cannot be read: {}", path.display(), error.kind()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map(|meta| meta.permissions().mode()).unwrap_or(0);
        if mode & 0o077 != 0 {
            tracing::warn!(file = %path.display(), "others may read this secret; run chmod 600 on it");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of anvil's, known to everybody.
    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

    fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[tokio::test]
    async fn reads_a_key_file_with_or_without_prefix() {
        let dir = tempfile::tempdir().unwrap();
        for text in [KEY.to_owned(), format!("0x{KEY}\n")] {
            let path = write(&dir, "key", &text);
            let signer = SignerConfig::File { path }.load("main").await.unwrap();
            assert_eq!(signer.address().to_string(), ADDRESS);
        }
    }

    #[tokio::test]
    async fn opens_a_keystore_with_its_password_only() {
        let dir = tempfile::tempdir().unwrap();
        let secret = alloy_primitives::hex::decode(KEY).unwrap();
        PrivateKeySigner::encrypt_keystore(dir.path(), &mut rand_core(), &secret, "correct horse", Some("store"))
            .unwrap();
        let path = dir.path().join("store");
        let good = SignerConfig::Keystore {
            path: path.clone(),
            password_file: write(&dir, "good", "correct horse\n"),
        };
        assert_eq!(good.load("main").await.unwrap().address().to_string(), ADDRESS);
        let bad = SignerConfig::Keystore {
            path,
            password_file: write(&dir, "bad", "battery staple"),
        };
        let error = bad.load("main").await.err().unwrap().to_string();
        assert!(
            error.contains("`signers.main.path`") && error.contains("another password"),
            "{error}"
        );
        assert!(!error.contains("battery"), "{error}");
    }

    fn rand_core() -> impl alloy::signers::k256::elliptic_curve::rand_core::CryptoRngCore {
        alloy::signers::k256::elliptic_curve::rand_core::OsRng
    }

    #[tokio::test]
    async fn errors_name_the_place_and_hide_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let almost = format!("{}zz", &KEY[..62]);
        let path = write(&dir, "key", &almost);
        let error = SignerConfig::File { path: path.clone() }
            .load("hot")
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("`signers.hot.path`") && error.contains(&path.display().to_string()),
            "{error}"
        );
        assert!(!error.contains(&KEY[..8]), "{error}");

        let missing = SignerConfig::Env {
            variable: "SET_TXMGR_TEST_UNSET".into(),
        };
        let error = missing.load("hot").await.err().unwrap().to_string();
        assert!(error.contains("SET_TXMGR_TEST_UNSET is not set"), "{error}");

        for key in [KEY.to_owned(), format!("0x{KEY}")] {
            let misread = SignerConfig::Env { variable: key };
            let error = misread.load("hot").await.err().unwrap().to_string();
            assert!(
                error.contains("`signers.hot.variable`") && error.contains("never the key"),
                "{error}"
            );
            assert!(!error.contains(&KEY[..8]), "{error}");
        }

        let gone = SignerConfig::File {
            path: dir.path().join("gone"),
        };
        let error = gone.load("hot").await.err().unwrap().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn nothing_shows_the_key() {
        let key = LocalKey::from_hex(KEY).unwrap();
        let shown = format!("{key:?} {key:#?}");
        assert!(shown.contains("0xf39f"), "{shown}");
        let config = SignerConfig::Env {
            variable: "KEY_VARIABLE".into(),
        };
        let shown = format!("{shown} {config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.to_lowercase().contains(&KEY[..8]), "{shown}");
    }

    #[test]
    fn tables_are_strict() {
        let read = |text| serde_json::from_str::<SignerConfig>(text);
        assert!(read(r#"{"kind": "env", "variable": "X"}"#).is_ok());
        assert!(read(r#"{"kind": "env", "variable": "X", "key": "0x01"}"#).is_err());
        assert!(read(r#"{"kind": "hsm"}"#).unwrap_err().to_string().contains("hsm"));
    }
}
