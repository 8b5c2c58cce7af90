//! Certificates: authorities, and what they issue.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use set_txmgr::ClientTls;

/// An authority.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self { certificate, issuer }
    }

    pub(crate) const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// A certificate for this machine, and its key.
    pub(crate) fn issue(&self) -> (Certificate, KeyPair) {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A client's files in a directory.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    /// Files of a client that trusts `server` and has a certificate of `client`.
    pub(crate) fn new(server: &Authority, client: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::write(files.path("ca.crt"), server.certificate.pem()).unwrap();
        files.rotate(client);
        files
    }

    /// Puts another certificate and key in the place of the old ones.
    pub(crate) fn rotate(&self, client: &Authority) {
        let (certificate, key) = client.issue();
        self.write("tls.crt", &certificate.pem());
        self.write("tls.key", &key.serialize_pem());
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        let dir: &Path = self.0.path();
        dir.join(name)
    }

    pub(crate) fn tls(&self) -> ClientTls {
        ClientTls {
            ca: Some(self.path("ca.crt")),
            cert: self.path("tls.crt"),
            key: self.path("tls.key"),
        }
    }
}
