//! TLS to the database: the server's certificate and name are always checked.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::LeaseError;

/// What connects with TLS, trusting the authorities in the file, or the system's. Reads files.
///
/// # Errors
/// [`LeaseError::Config`] where there are no authorities to trust.
pub(super) fn connector(root_certificates: Option<&Path>) -> Result<MakeRustlsConnect, LeaseError> {
    let refuse = |problem: String| LeaseError::config("postgres_url", problem);
    let mut roots = RootCertStore::empty();
    match root_certificates {
        Some(path) => {
            let unreadable =
                |error: String| refuse(format!("names the certificates in {}, but {error}", path.display()));
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unreadable(error.to_string()))?;
            roots.add_parsable_certificates(certificates);
            if roots.is_empty() {
                return Err(unreadable("the file holds none".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(refuse(
                    "asks for TLS, but this system trusts no certificate authorities; install its ca-certificates, or \
                     name a file with `sslrootcert=`"
                        .to_owned(),
                ));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(io::Error::other(error).to_string()))?;
    Ok(MakeRustlsConnect::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}
