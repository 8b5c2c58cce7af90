//! A PostgreSQL server of the test's own: a fresh cluster on a free port, gone when it is dropped.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    ReservedPort,
    process::{Process, ProcessError, Program},
};

/// Where Debian puts a version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The account that Debian's packages make; the server refuses to run as root.
const ACCOUNT: &str = "postgres";
/// The superuser's password, in URLs as it stands.
const PASSWORD: &str = "only-for-tests";
/// How long the server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The program is not installed.
    #[error(
        "PostgreSQL's `initdb` is neither in {DEBIAN}/*/bin nor on the PATH: on Debian and Ubuntu, apt-get install postgresql"
    )]
    Missing,
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The cluster could not be made.
    #[error("initdb failed:\n{0}")]
    Cluster(String),
    /// There is no account to run it as.
    #[error("the server refuses to run as root, and there is no account `{ACCOUNT}`")]
    Account,
    /// A file or port could not be had.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A running PostgreSQL server, with password authentication (SCRAM) and one superuser, `postgres`.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    account: Option<(u32, u32)>,
    port: ReservedPort,
    tls: bool,
    server: Option<Process>,
    directory: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// [`PostgresError`], which says what to install.
    pub async fn start() -> Result<Self, PostgresError> {
        let mut postgres = Self::cluster().await?;
        postgres.resume().await?;
        Ok(postgres)
    }

    /// As [`start`](Self::start), with TLS under this certificate and key (PEM).
    ///
    /// # Errors
    /// [`PostgresError`], which says what to install.
    pub async fn start_with_tls(certificate: &str, key: &str) -> Result<Self, PostgresError> {
        let mut postgres = Self::cluster().await?;
        for (name, content) in [("server.crt", certificate), ("server.key", key)] {
            let path = postgres.data().join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            postgres.give(&path)?;
        }
        postgres.tls = true;
        postgres.resume().await?;
        Ok(postgres)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.port.number())
    }

    /// The superuser's URL, with the password.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The superuser's URL by another way, such as a [`TcpProxy`](crate::TcpProxy).
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgresql://postgres:{PASSWORD}@{address}/postgres")
    }

    /// Ends the server and every connection. The data stays.
    ///
    /// # Errors
    /// [`PostgresError::Process`] where it does not end.
    pub async fn stop(&mut self) -> Result<(), PostgresError> {
        if let Some(server) = self.server.take() {
            server.interrupt();
            server.wait(PATIENCE).await?;
        }
        Ok(())
    }

    /// Starts the server again, on the same port and with the same data.
    ///
    /// # Errors
    /// [`PostgresError::Process`] with the server's output.
    pub async fn resume(&mut self) -> Result<(), PostgresError> {
        let on_or_off = if self.tls { "on" } else { "off" };
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port.number()),
            "unix_socket_directories=".to_owned(),
            format!("ssl={on_or_off}"),
            // Nothing of a test outlives the machine.
            "fsync=off".to_owned(),
            // Leaves nothing behind if it is killed.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "shared_buffers=16MB".to_owned(),
            "max_connections=40".to_owned(),
        ];
        let settings = settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]);
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(settings)
            .spawn()?;
        server.line_with("ready to accept connections", PATIENCE).await?;
        self.server = Some(server);
        Ok(())
    }

    /// Runs statements as the superuser, and gives back what `psql` prints of their rows.
    ///
    /// # Errors
    /// [`PostgresError::Cluster`] with what `psql` says.
    pub async fn run(&self, statements: &str) -> Result<Vec<String>, PostgresError> {
        let psql = Program::new(self.programs.join("psql"))
            .args([
                "--no-psqlrc",
                "--tuples-only",
                "--no-align",
                "--quiet",
                "-v",
                "ON_ERROR_STOP=1",
            ])
            .args(["--command", statements])
            .arg(self.url())
            .spawn()?;
        finished(&psql).await
    }

    async fn cluster() -> Result<Self, PostgresError> {
        let programs = programs().ok_or(PostgresError::Missing)?;
        let account = match rustix::process::geteuid().is_root() {
            true => Some(account().ok_or(PostgresError::Account)?),
            false => None,
        };
        let port = ReservedPort::any()?;
        let postgres = Self {
            programs,
            account,
            port,
            tls: false,
            server: None,
            directory: TempDir::new()?,
        };
        fs::set_permissions(postgres.directory.path(), fs::Permissions::from_mode(0o700))?;
        let password = postgres.directory.path().join("password");
        fs::write(&password, PASSWORD)?;
        postgres.give(&password)?;
        postgres.give(postgres.directory.path())?;
        let initdb = postgres
            .program("initdb")
            .arg("-D")
            .arg(postgres.data())
            .args([
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--pwfile",
            ])
            .arg(password)
            .spawn()?;
        finished(&initdb).await?;
        Ok(postgres)
    }

    /// One of PostgreSQL's programs, as an account that it runs as.
    fn program(&self, name: &str) -> Program {
        let path = self.programs.join(name);
        let program = match self.account {
            Some((user, group)) => Program::new("setpriv")
                .args([format!("--reuid={user}"), format!("--regid={group}")])
                .arg("--clear-groups")
                .arg(path),
            None => Program::new(path),
        };
        program.current_dir(self.directory.path())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Makes a file the server's.
    fn give(&self, path: &Path) -> io::Result<()> {
        match self.account {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            // At once, but in order: a server that is killed leaves its shared memory behind.
            server.interrupt();
            server.wait_blocking(Duration::from_secs(5));
        }
    }
}

async fn finished(process: &Process) -> Result<Vec<String>, PostgresError> {
    let status = process.wait(PATIENCE).await?;
    let lines = process.lines();
    match status.success() {
        true => Ok(lines),
        false => Err(PostgresError::Cluster(lines.join("\n"))),
    }
}

/// The directory of `initdb` and its siblings: the newest of Debian's, else the first on the PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let installed = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let programs = version.path().join("bin");
        programs.join("initdb").exists().then_some((number, programs))
    });
    let on_path = || env::split_paths(&env::var_os("PATH")?).find(|directory| directory.join("initdb").exists());
    installed.max().map(|(_, programs)| programs).or_else(on_path)
}

/// User and group of [`ACCOUNT`].
fn account() -> Option<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = fields.into_iter().find(|fields| fields.first() == Some(&ACCOUNT))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}
