//! The connection to a signing service: mutual TLS, with certificates that are rotated on disk.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use reqwest::{Certificate, Identity, redirect, tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use tokio::task;
use zeroize::Zeroizing;

use crate::signer::{config::Refusal, innermost, secret};

/// Upper bound for opening a connection, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Files of mutual TLS, in PEM, with the names that op-batcher gives them (`--signer.tls.*`). They are
/// read again when they change, so that certificates can be rotated without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// Certificates of the authorities that may have issued the service's; `None` trusts those that
    /// the system trusts.
    pub ca: Option<PathBuf>,
    /// The client certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// The client certificate's private key, not encrypted.
    pub key: PathBuf,
}

impl ClientTls {
    /// The files, each with its key.
    pub(in crate::signer) fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let ca = self.ca.iter_mut().map(|path| ("tls.ca", path));
        ca.chain([("tls.cert", &mut self.cert), ("tls.key", &mut self.key)])
            .collect()
    }

    /// What tells that a file changed: when it was written, and its length. Links are followed, which
    /// is how mounted secrets are swapped.
    fn stamp(&self) -> Stamp {
        let paths = self.ca.iter().chain([&self.cert, &self.key]);
        let stamp = |path: &PathBuf| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        paths.map(stamp).collect()
    }
}

type Stamp = Vec<Option<(SystemTime, u64)>>;

/// An HTTP client that is made anew when its certificates change.
pub(super) struct Client {
    tls: Option<Arc<ClientTls>>,
    current: Arc<Mutex<Current>>,
}

struct Current {
    stamp: Stamp,
    http: reqwest::Client,
}

impl Current {
    fn read(tls: Option<&ClientTls>) -> Result<Self, Refusal> {
        // Before the files, so that a change while they are read is noticed next time.
        let stamp = tls.map(ClientTls::stamp).unwrap_or_default();
        let http = build(tls)?;
        Ok(Self { stamp, http })
    }
}

impl Client {
    /// Reads the certificates. Nothing is sent.
    pub(super) async fn open(tls: Option<ClientTls>) -> Result<Self, Refusal> {
        let tls = tls.map(Arc::new);
        let files = tls.clone();
        let current = task::spawn_blocking(move || Current::read(files.as_deref()))
            .await
            .unwrap_or_else(|_| Err(Refusal::new("tls", "reading the certificates was interrupted")))?;
        Ok(Self {
            tls,
            current: Arc::new(Mutex::new(current)),
        })
    }

    /// The client with the certificates that are on disk now. While these cannot be used, such as when
    /// only one of two files was replaced yet, the client stays as it was.
    pub(super) async fn current(&self) -> reqwest::Client {
        let Some(tls) = self.tls.clone() else {
            return locked(&self.current).http.clone();
        };
        let current = self.current.clone();
        let refreshed = task::spawn_blocking(move || refreshed(&tls, &mut locked(&current))).await;
        refreshed.unwrap_or_else(|_| locked(&self.current).http.clone())
    }
}

fn locked(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refreshed(tls: &ClientTls, current: &mut Current) -> reqwest::Client {
    let stamp = tls.stamp();
    if stamp != current.stamp {
        match Current::read(Some(tls)) {
            Ok(new) => {
                tracing::info!(certificate = %tls.cert.display(), "client certificate read again");
                *current = new;
            }
            Err(Refusal { key, problem }) => {
                tracing::warn!(key, %problem, "changed certificates cannot be used; the earlier ones stay");
                current.stamp = stamp;
            }
        }
    }
    current.http.clone()
}

fn build(tls: Option<&ClientTls>) -> Result<reqwest::Client, Refusal> {
    set_chain::install_tls();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none())
        // A proxy from the environment would see what is to be signed.
        .no_proxy();
    if let Some(tls) = tls {
        builder = builder
            .https_only(true)
            .tls_version_min(tls::Version::TLS_1_3)
            .identity(identity(tls)?);
        if let Some(ca) = &tls.ca {
            builder = builder.tls_certs_only(authorities(ca)?);
        }
    }
    builder.build().map_err(|error| {
        let problem = format!(
            "the client certificate and `tls.key` cannot be used together: {}",
            innermost(&error)
        );
        Refusal::new("tls.cert", problem)
    })
}

/// The client certificate with its key.
fn identity(tls: &ClientTls) -> Result<Identity, Refusal> {
    let cert = read(&tls.cert).map_err(|problem| Refusal::new("tls.cert", problem))?;
    CertificateDer::from_pem_slice(&cert).map_err(|_| {
        let problem = format!("the file {} holds no certificate in PEM", tls.cert.display());
        Refusal::new("tls.cert", problem)
    })?;
    let key = secret::read(&tls.key).map_err(|problem| Refusal::new("tls.key", problem))?;
    PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
        let problem = format!(
            "the file {} holds no private key in PEM, or one with a password, which must be taken off",
            tls.key.display()
        );
        Refusal::new("tls.key", problem)
    })?;
    let mut both = Zeroizing::new(Vec::with_capacity(cert.len() + key.len() + 1));
    both.extend_from_slice(&cert);
    both.push(b'\n');
    both.extend_from_slice(&key);
    Identity::from_pem(&both).map_err(|error| Refusal::new("tls.cert", innermost(&error)))
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, Refusal> {
    let refuse = |problem| Refusal::new("tls.ca", problem);
    let pem = read(path).map_err(refuse)?;
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if found.is_empty() {
        let problem = format!("the file {} holds no certificate in PEM", path.display());
        return Err(refuse(problem));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("the file {} cannot be read: {}", path.display(), error.kind()))
}

/// What went wrong between here and the service, as the end of a sentence that begins with the service.
pub(super) fn cause(error: &reqwest::Error, within: Duration) -> String {
    if error.is_timeout() {
        return format!(
            "does not answer within {} s; is it up, and reachable from here?",
            within.as_secs()
        );
    }
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => format!(
            "shows a certificate that is refused ({problem}): it must be issued by an authority in `tls.ca`, be valid now and name the host of `url`"
        ),
        Some(rustls::Error::AlertReceived(alert)) => format!(
            "refuses the client certificate of `tls.cert` ({alert:?}): it must be valid now and issued by an authority that the service trusts"
        ),
        Some(other) => format!("does not speak TLS as expected: {other}"),
        None if error.is_connect() => format!("cannot be reached: {}", innermost(error)),
        None => format!(
            "breaks off: {}; if it does so each time, it refuses the client certificate of `tls.cert`, or the lack of one",
            innermost(error)
        ),
    }
}

/// The TLS error inside an error, however deep.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error's source is the source of what it wraps, so what it wraps would be passed over.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as _).or_else(|| error.source());
    }
    None
}
