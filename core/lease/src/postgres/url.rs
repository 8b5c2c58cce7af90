//! The database's URL: where it comes from, and what it asks of TLS.

use std::{env, fs, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::{DatabaseUrl, LeaseError};

/// What is wrong with a URL that is none.
const MALFORMED: &str = "is no URL such as postgresql://user:password@host:5432/database?sslmode=verify-full; characters \
                         such as @ : / # ? in a password are written percent-encoded";

/// A database to connect to.
#[derive(Clone)]
pub(super) struct Database {
    /// How to connect to each of its hosts, at least one. Their debug output leaves the password out.
    pub(super) hosts: Vec<Config>,
    /// Whether the connection is encrypted, and the server's certificate and name are checked.
    pub(super) tls: bool,
    /// Certificate authorities to trust instead of the system's.
    pub(super) root_certificates: Option<PathBuf>,
}

impl Database {
    /// Reads the URL from where the configuration says that it is.
    ///
    /// # Errors
    /// [`LeaseError::Config`], which never holds a part of the URL.
    pub(super) fn read(written: &DatabaseUrl) -> Result<Self, LeaseError> {
        let written = written.expose();
        if let Some(path) = written.strip_prefix("file:") {
            let text = fs::read_to_string(path).map(SecretString::from);
            let text = text.map_err(|error| refuse(format!("names the file {path}, which cannot be read: {error}")))?;
            return Self::parse(text.expose_secret().trim());
        }
        if let Some(variable) = written.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
            let text = env::var(variable).map(SecretString::from);
            let unset = |_| refuse(format!("names the environment variable {variable}, which is not set"));
            return Self::parse(text.map_err(unset)?.expose_secret());
        }
        let database = Self::parse(written)?;
        if database.hosts.iter().any(|config| config.get_password().is_some()) {
            return Err(refuse(
                "holds a password in clear: write \"${VARIABLE}\" or \"file:/path\" instead, and the URL there",
            ));
        }
        Ok(database)
    }

    fn parse(url: &str) -> Result<Self, LeaseError> {
        let schemes = ["postgresql://", "postgres://"];
        let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| refuse("must begin with postgresql://"))?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut mode, mut root_certificates, mut kept) = (None, None, vec![]);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root_certificates = Some(PathBuf::from(decoded(value))),
                _ => kept.push(pair),
            }
        }
        let (authority, database) = address.split_once('/').unwrap_or((address, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains('@') || database.contains('@') || query.contains('@') {
            // Then a part of the password would be taken for a host, and shown as one.
            return Err(refuse(MALFORMED));
        }
        let at = if user.is_empty() { "" } else { "@" };
        // One at a time, so that a host that accepts and never answers does not keep the next from its turn.
        let urls = hosts.split(',').map(|host| {
            let url = format!("postgresql://{user}{at}{host}/{database}?{}", kept.join("&"));
            SecretString::from(url)
        });
        let mut hosts = urls.map(|url| configure(&url)).collect::<Result<Vec<_>, _>>()?;
        let local = |config: &Config| config.get_hosts().iter().all(is_this_machine);
        let tls = match mode {
            None => !hosts.iter().all(local),
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => {
                return Err(refuse(
                    "has another `sslmode` than verify-full (the default; require and verify-ca mean the same here) \
                     or disable",
                ));
            }
        };
        for config in &mut hosts {
            config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
        }
        Ok(Self {
            hosts,
            tls,
            root_certificates,
        })
    }
}

/// How to connect to the one host of this URL.
fn configure(url: &SecretString) -> Result<Config, LeaseError> {
    // The parser's own error may quote what it takes for a port, and which is a password's end.
    let parsed: Result<Config, _> = url.expose_secret().parse();
    let mut config = parsed.map_err(|_| refuse(MALFORMED))?;
    if config.get_hosts().is_empty() {
        return Err(refuse("names no host"));
    }
    // Of several hosts, the one that takes writes.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_application_name().is_none() {
        config.application_name("set-sidecar");
    }
    Ok(config)
}

/// Host and port of a database, for messages.
pub(super) fn address(config: &Config) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => format!("{name}:{port}"),
        Host::Unix(path) => format!("{}/.s.PGSQL.{port}", path.display()),
    });
    hosts.collect::<Vec<_>>().join(",")
}

fn refuse(problem: impl Into<String>) -> LeaseError {
    LeaseError::config("postgres_url", problem)
}

/// Whether nobody can listen on the way to this host.
fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Percent-decoding, as URLs have it. What is no code stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = vec![];
    let mut position = 0;
    while let Some(byte) = bytes.get(position) {
        let code = (*byte == b'%').then(|| text.get(position + 1..position + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                decoded.push(code);
                position += 3;
            }
            None => {
                decoded.push(*byte);
                position += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Database, LeaseError> {
        Database::read(&text.into())
    }

    #[test]
    fn tls_is_the_default_except_on_this_machine() {
        for (url, tls) in [
            ("postgresql://a@db.example/x", true),
            ("postgresql://a@127.0.0.1:5433/x", false),
            ("postgresql://a@localhost/x?sslmode=verify-full", true),
            ("postgresql://a@%2Frun%2Fpostgresql/x", false),
            ("postgresql://a@db.example/x?sslmode=disable&connect_timeout=3", false),
            ("postgresql://a@one,two:5433/x?sslmode=require", true),
        ] {
            assert_eq!(read(url).unwrap().tls, tls, "{url}");
        }
        let database = read("postgresql://a@db.example:5433/x?sslrootcert=%2Fetc%2Fca.pem").unwrap();
        assert_eq!(database.root_certificates, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(address(&database.hosts[0]), "db.example:5433");
        let database = read("postgresql://a@one,two:5433/x?sslmode=require").unwrap();
        let addresses: Vec<_> = database.hosts.iter().map(address).collect();
        assert_eq!(addresses, ["one:5432", "two:5433"]);
        assert!(
            database
                .hosts
                .iter()
                .all(|host| host.get_user() == Some("a") && host.get_dbname() == Some("x"))
        );
    }

    #[test]
    fn what_is_refused_is_never_quoted() {
        for url in [
            "postgresql://a:hunter2@db.example/x",
            "postgresql://a:hunter2/3@db.example/x",
            "postgresql://a:3/hunter2@db.example/x",
            "postgresql://a:3@hunter2@db.example/x",
            "postgresql://a:3?hunter2@db.example/x",
            "postgresql://a:hunter2@db.example/x?sslmode=hunter2",
            "hunter2",
            "postgresql://a@db.example/x?sslmode=prefer",
            "file:/nowhere/at/all",
            "${SET_NO_SUCH_VARIABLE}",
        ] {
            let error = read(url).err().unwrap().to_string();
            assert!(
                error.starts_with("`lease.postgres_url` ") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_holds_the_url_with_its_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        fs::write(&path, "postgresql://a:hunter2@127.0.0.1/x\n").unwrap();
        let database = read(&format!("file:{}", path.display())).unwrap();
        assert_eq!(database.hosts[0].get_password(), Some(&b"hunter2"[..]));
        assert!(!format!("{:?}", database.hosts).contains("hunter2"));
    }
}
