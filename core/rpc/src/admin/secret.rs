//! The secret that the listener and its callers share, and the tokens made with it.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Once,
};

use alloy_primitives::hex;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result as JwtResult},
    signature::{Error as SignatureError, Signer, Verifier},
};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How far a token's `iat` may be from this machine's clock, in seconds (execution-apis, "Authentication").
const TOLERANCE: u64 = 60;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read or made.
    #[error("`rpc.admin_jwt`: the file {} cannot be {action}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Read, or made.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`rpc.admin_jwt`: the file {} does not hold 64 hex digits; remove it, and a new one is made at the next start", .0.display())]
    Content(PathBuf),
}

/// 32 bytes that the listener and its callers share. Wiped when dropped, and never shown.
#[derive(Clone)]
pub struct AdminSecret(Zeroizing<[u8; 32]>);

impl fmt::Debug for AdminSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminSecret")
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("there is no token: send `Authorization: Bearer TOKEN`, signed with the secret in `rpc.admin_jwt`")]
    Missing,
    #[error("the token is no HS256 JWT with the claim `iat`")]
    Malformed,
    #[error("the token is signed with another secret than the one in `rpc.admin_jwt`")]
    Signature,
    #[error("the token's `iat` is more than 60 s from this machine's clock: make a new one, or set the clock right")]
    Stale,
}

/// What a token says. Other claims are allowed and mean nothing.
#[derive(Serialize, Deserialize)]
struct Claims {
    /// When it was issued, in seconds since 1970.
    iat: u64,
}

impl AdminSecret {
    /// Reads the secret from a file of 64 hex digits.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read_to_string(path).map_err(|source| SecretError::File {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        let text = Zeroizing::new(text);
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), secret.as_mut_slice()).map_err(|_| SecretError::Content(path.to_owned()))?;
        let others = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0);
        if others {
            tracing::warn!(file = %path.display(), "others may read this secret; run chmod 600 on it");
        }
        Ok(Self(secret))
    }

    /// Reads the secret, or makes the file with a new one, readable by its owner alone.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read_or_create(path: &Path) -> Result<Self, SecretError> {
        let mut secret = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(secret.as_mut_slice());
        let text = Zeroizing::new(format!("{}\n", hex::encode(secret.as_slice())));
        // The mode is set as the file is made: there is no moment in which others could open it.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => Ok(Self(secret)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(source) => Err(SecretError::File {
                path: path.to_owned(),
                action: "made",
                source,
            }),
        }
    }

    /// A token for requests within a minute from `now`, in seconds since 1970; `None` where the library fails.
    pub fn token(&self, now: u64) -> Option<String> {
        install_hs256();
        let key = EncodingKey::from_secret(self.0.as_slice());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &Claims { iat: now }, &key).ok()
    }

    /// Checks the value of an `Authorization` header.
    pub(crate) fn check(&self, header: Option<&str>, now: u64) -> Result<(), TokenError> {
        install_hs256();
        let (scheme, token) = header
            .and_then(|header| header.split_once(' '))
            .ok_or(TokenError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Missing);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // The engine API's tokens carry `iat` alone, which the library does not judge.
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(self.0.as_slice());
        let token = jsonwebtoken::decode::<Claims>(token.trim(), &key, &validation);
        let claims = token.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Malformed,
        })?;
        if claims.claims.iat.abs_diff(now) > TOLERANCE {
            return Err(TokenError::Stale);
        }
        Ok(())
    }
}

/// Gives the JWT library the one algorithm that is used here; the ones it offers itself bring RSA and more along.
fn install_hs256() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.as_bytes())?)),
        verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.try_get_as_bytes()?)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Whoever installed another one first has installed one that knows HS256.
        let _ = PROVIDER.install_default();
    });
}

/// HMAC with SHA-256 (RFC 7518, section 3.2).
struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: &Algorithm, key: &[u8]) -> JwtResult<Self> {
        if *algorithm != Algorithm::HS256 {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        let mac = Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Self(mac))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    /// In constant time.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let mac = self.0.clone().chain_update(message);
        mac.verify_slice(signature).map_err(|_| SignatureError::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn secret(byte: u8) -> AdminSecret {
        AdminSecret(Zeroizing::new([byte; 32]))
    }

    fn check(header: &str) -> Result<(), TokenError> {
        secret(1).check(Some(header), NOW)
    }

    #[test]
    fn a_token_of_the_same_secret_and_minute_passes() {
        for issued in [NOW - 60, NOW, NOW + 60] {
            let token = secret(1).token(issued).unwrap();
            assert_eq!(check(&format!("Bearer {token}")), Ok(()));
        }
        // Signed by another implementation (Python's hmac), with a claim more than is needed.
        let foreign = "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDAsImlkIjoiYSJ9.U4bdL62wKNowR3hGMe--7LGDlDC1h6eJRtlSbR-oO4g";
        assert_eq!(check(foreign), Ok(()));
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let bearer = |token: String| format!("Bearer {token}");
        assert_eq!(secret(1).check(None, NOW), Err(TokenError::Missing));
        assert_eq!(check("Basic YTpi"), Err(TokenError::Missing));
        assert_eq!(check("Bearer nonsense"), Err(TokenError::Malformed));
        assert_eq!(
            check(&bearer(secret(2).token(NOW).unwrap())),
            Err(TokenError::Signature)
        );
        for issued in [NOW - 61, NOW + 61, 0] {
            assert_eq!(check(&bearer(secret(1).token(issued).unwrap())), Err(TokenError::Stale));
        }
        // {"alg":"none"}
        let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJpYXQiOjE3MDAwMDAwMDB9.";
        assert_eq!(check(unsigned), Err(TokenError::Malformed));
    }

    #[test]
    fn the_file_is_made_for_its_owner_alone_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.jwt");
        let made = AdminSecret::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = AdminSecret::read_or_create(&path).unwrap();
        assert_eq!(*made.0, *read.0);
        assert!(!format!("{made:?}").contains(&hex::encode(made.0.as_slice())));

        fs::write(&path, "0x12").unwrap();
        let error = AdminSecret::read(&path).unwrap_err().to_string();
        assert!(error.contains("`rpc.admin_jwt`") && !error.contains("0x12"), "{error}");
    }
}
