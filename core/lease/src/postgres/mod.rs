//! The lease in PostgreSQL: one row a lease, taken and renewed by one statement on the database's clock.

mod tls;
mod url;

use std::{error::Error as _, time::Duration};

use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, NoTls,
    error::SqlState,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{DatabaseUrl, LeaseError, answer::Answer, clock::Moment};
use url::{Database, address};

/// The table, made where it is missing.
///
/// Without the right to create tables, create it once and grant
/// `SELECT, INSERT, UPDATE ON set_sidecar_lease`.
pub const POSTGRES_TABLE: &str = "CREATE TABLE IF NOT EXISTS set_sidecar_lease (
    name       text        PRIMARY KEY,
    holder     text        NOT NULL,
    term       bigint      NOT NULL,
    expires_at timestamptz NOT NULL
)";

/// Takes or renews: makes the row where there is none, and else changes it only where it is ours or has
/// expired. Two that try at once wait for each other at the row, so one of them finds it taken.
const TAKE: &str = "
    INSERT INTO set_sidecar_lease AS lease (name, holder, term, expires_at)
    VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder,
        expires_at = excluded.expires_at,
        term = lease.term + (lease.holder <> excluded.holder OR lease.expires_at <= clock_timestamp())::int
    WHERE lease.holder = excluded.holder OR lease.expires_at <= clock_timestamp()";

/// What the row says now: holder, term, and milliseconds until it expires.
const READ: &str = "
    SELECT holder, term, (extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint
    FROM set_sidecar_lease WHERE name = $1";

/// Gives the lease up, where it is ours.
const RELEASE: &str = "UPDATE set_sidecar_lease SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2";

/// The lease's row, and the connection to it.
pub(crate) struct PostgresLease {
    database: Database,
    tls: Option<MakeRustlsConnect>,
    lease: String,
    holder: String,
    ttl: Duration,
    /// Which host is asked; the next one after each failure.
    host: usize,
    /// `None` before the first attempt and after each failure.
    session: Option<Session>,
}

/// A connection. Closed when dropped, even while an answer is still awaited, which may never come.
struct Session {
    client: Client,
    connection: JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl PostgresLease {
    /// The lease in the database at `url`, for `holder`. Reads files; connects to nothing yet.
    ///
    /// # Errors
    /// [`LeaseError::Config`] where `url` or the certificates that it names cannot be used.
    pub(crate) fn new(url: &DatabaseUrl, lease: String, holder: String, ttl: Duration) -> Result<Self, LeaseError> {
        let database = Database::read(url)?;
        let tls = match database.tls {
            true => Some(tls::connector(database.root_certificates.as_deref())?),
            false => None,
        };
        Ok(Self {
            database,
            tls,
            lease,
            holder,
            ttl,
            host: 0,
            session: None,
        })
    }

    /// Takes or renews the lease, in one round trip on a connection that is open. Dropped before its end
    /// it closes the connection; the caller sets the deadline.
    ///
    /// # Errors
    /// [`LeaseError::Postgres`]; whether the row was written is unknown then, and does not matter.
    pub(crate) async fn attempt(&mut self) -> Result<Answer, LeaseError> {
        let (host, session) = self.session().await?;
        let answer = match self.take(&session.client).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                self.create_table(host, &session.client).await?;
                self.take(&session.client).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| self.failure(host, &error))?;
        (self.host, self.session) = (host, Some(session));
        Ok(answer)
    }

    /// Gives the lease up.
    ///
    /// # Errors
    /// [`LeaseError::Postgres`]; then it runs out by itself.
    pub(crate) async fn release(&mut self) -> Result<(), LeaseError> {
        let (host, session) = self.session().await?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&self.lease, Type::TEXT), (&self.holder, Type::TEXT)];
        let released = session.client.query_typed(RELEASE, &parameters).await;
        released.map(drop).map_err(|error| self.failure(host, &error))
    }

    async fn take(&self, client: &Client) -> Result<Answer, tokio_postgres::Error> {
        let lifetime = f64::from(u32::try_from(self.ttl.as_millis()).unwrap_or(u32::MAX));
        let lease: (&(dyn ToSql + Sync), Type) = (&self.lease, Type::TEXT);
        let take = [lease.clone(), (&self.holder, Type::TEXT), (&lifetime, Type::FLOAT8)];
        let read = [lease];
        // The server gives up when the caller does, so that statements that wait for a lock do not pile up. A
        // lease must survive a crash of the server even where others have traded that for speed.
        let begin = format!(
            "BEGIN; SET LOCAL statement_timeout = {}; SET LOCAL synchronous_commit = on",
            crate::task::patience(self.ttl).as_millis()
        );
        let asked = Moment::now();
        // Sent together, answered in order. All answers are awaited: the first error is the cause, which the
        // others, that came after it in an aborted transaction, do not name.
        let (begun, taken, row, committed) = tokio::join!(
            client.batch_execute(&begin),
            client.query_typed(TAKE, &take),
            client.query_typed_opt(READ, &read),
            client.batch_execute("COMMIT"),
        );
        begun?;
        taken?;
        let row = row?;
        committed?;
        let Some(row) = row else {
            // Somebody deleted it in between.
            return Ok(Answer::Other {
                holder: None,
                term: 0,
                remaining: Duration::ZERO,
            });
        };
        let holder: String = row.try_get(0)?;
        let term = u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
        if holder == self.holder {
            return Ok(Answer::Mine {
                term,
                ends: asked.after(self.ttl),
            });
        }
        let remaining = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
        Ok(Answer::Other {
            holder: Some(holder),
            term,
            remaining: Duration::from_millis(remaining),
        })
    }

    async fn create_table(&self, host: usize, client: &Client) -> Result<(), LeaseError> {
        match client.batch_execute(POSTGRES_TABLE).await {
            // Another made it at the same time: `IF NOT EXISTS` does not see what is not committed.
            Err(error)
                if matches!(
                    error.code(),
                    Some(&SqlState::DUPLICATE_TABLE | &SqlState::UNIQUE_VIOLATION)
                ) => {}
            made => made.map_err(|error| self.failure(host, &error))?,
        }
        tracing::info!(database = %address(&self.database.hosts[host]), "table set_sidecar_lease made");
        Ok(())
    }

    /// The connection that is open, or a new one to the first host from `self.host` on that takes writes. Until
    /// the caller sets it back, `self.host` is the one after it: whoever gives up waiting goes on there.
    async fn session(&mut self) -> Result<(usize, Session), LeaseError> {
        let hosts = self.database.hosts.len();
        let first = self.host;
        let open = self.session.take().filter(|session| !session.client.is_closed());
        if let Some(session) = open {
            self.host = (first + 1) % hosts;
            return Ok((first, session));
        }
        let mut failures = vec![];
        for host in (first..first + hosts).map(|position| position % hosts) {
            self.host = (host + 1) % hosts;
            match self.connect(host).await {
                Ok(session) => return Ok((host, session)),
                Err(error) => failures.push(self.cause(host, &error)),
            }
        }
        Err(LeaseError::Postgres(failures.join("; ")))
    }

    async fn connect(&self, host: usize) -> Result<Session, tokio_postgres::Error> {
        let config = &self.database.hosts[host];
        // What a connection ended of, the client's next call says.
        let (client, connection) = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(connection))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(connection))
            }
        };
        Ok(Session { client, connection })
    }

    /// The error with its cause and what to do; the driver never names a password.
    fn failure(&self, host: usize, error: &tokio_postgres::Error) -> LeaseError {
        LeaseError::Postgres(self.cause(host, error))
    }

    fn cause(&self, host: usize, error: &tokio_postgres::Error) -> String {
        let address = address(&self.database.hosts[host]);
        let Some(server) = error.as_db_error() else {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            let advice = match cause.contains("server does not support TLS") {
                true => "; turn TLS on there, or write sslmode=disable where nobody else is on the way",
                false => "",
            };
            return format!("{address}: {error}{cause}{advice}");
        };
        let advice = match *server.code() {
            SqlState::INSUFFICIENT_PRIVILEGE => {
                "; let the role create tables, or create set_sidecar_lease and grant SELECT, INSERT and UPDATE on it"
            }
            SqlState::READ_ONLY_SQL_TRANSACTION => "; this server is a standby, name the primary too",
            _ => "",
        };
        let code = server.code().code();
        format!("{address}: {} ({code}){advice}", server.message())
    }
}
