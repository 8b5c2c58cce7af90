//! Reading secrets. Every copy made here is wiped when it is dropped.

use std::{env, fs, io::Read, path::Path};

use zeroize::Zeroizing;

use super::LocalKey;
use crate::signer::config::Refusal;

/// A file that holds a key or a password is never larger; what is, is another file.
const MAX_BYTES: u64 = 64 * 1024;
const SHAPE: &str = "a private key: 64 hex digits, with or without 0x";

/// The key in an environment variable. The process's own environment keeps holding it, as the system
/// gave it: whoever may read that may read the key.
pub(super) fn from_env(variable: &str) -> Result<LocalKey, Refusal> {
    if !is_name(variable) {
        // Not quoted: whoever misreads the key writes the private key itself here.
        let problem = "is no name of an environment variable: give the name, never the key";
        return Err(Refusal::new("variable", problem));
    }
    let bytes = env::var_os(variable)
        .map(|value| Zeroizing::new(value.into_encoded_bytes()))
        .ok_or_else(|| {
            let problem = format!("the environment variable {variable} is not set; set it to {SHAPE}");
            Refusal::new("variable", problem)
        })?;
    parse(&bytes).ok_or_else(|| {
        let problem = format!("the environment variable {variable} does not hold {SHAPE}");
        Refusal::new("variable", problem)
    })
}

/// The key in a file.
pub(super) fn from_file(path: &Path) -> Result<LocalKey, Refusal> {
    let bytes = read(path).map_err(|problem| Refusal::new("path", problem))?;
    parse(&bytes).ok_or_else(|| Refusal::new("path", format!("the file {} does not hold {SHAPE}", path.display())))
}

/// The key in a Web3 Secret Storage file.
pub(super) fn from_keystore(path: &Path, password_file: &Path) -> Result<LocalKey, Refusal> {
    let password = read(password_file).map_err(|problem| Refusal::new("password_file", problem))?;
    let password = password.strip_suffix(b"\n").unwrap_or(&password);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    let refuse = |problem: String| {
        let problem = format!("the keystore {} cannot be opened: {problem}", path.display());
        Refusal::new("path", problem)
    };
    let key = eth_keystore::decrypt_key(path, password)
        .map(Zeroizing::new)
        .map_err(|error| {
            // The decryption's own error tells a missing file from a wrong password; neither holds a secret.
            let mismatch = matches!(error, eth_keystore::KeystoreError::MacMismatch);
            refuse(if mismatch {
                format!("{} holds another password", password_file.display())
            } else {
                error.to_string()
            })
        })?;
    LocalKey::from_bytes(&key).ok_or_else(|| refuse("what it holds is no secp256k1 key".into()))
}

fn parse(bytes: &[u8]) -> Option<LocalKey> {
    LocalKey::from_hex(std::str::from_utf8(bytes).ok()?)
}

/// Reads a file that holds a secret; warns where others may read it too. The problem names the file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| format!("the file {} cannot be read: {}", path.display(), error.kind());
    let file = fs::File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if meta.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %path.display(), "others may read this secret; run chmod 600 on it");
        }
    }
    // Room for all of it at once: a vector that grows leaves copies behind.
    let room = usize::try_from(meta.len().min(MAX_BYTES) + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("the file {} is larger than any secret", path.display()));
    }
    Ok(bytes)
}

/// Whether a text can name an environment variable. 64 hex digits are a key and no name.
fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.chars().next().is_some_and(|first| !first.is_ascii_digit());
    let key = text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    starts && text.chars().all(word) && !key
}
