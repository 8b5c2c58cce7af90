//! A database for a test, and files with URLs to it.

use std::{fs, net::SocketAddr, path::PathBuf};

use set_testkit::Postgres;
use tempfile::TempDir;

use crate::pair::Lease;

pub(crate) struct Cluster {
    pub(crate) server: Postgres,
    directory: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::of(Postgres::start().await.unwrap())
    }

    pub(crate) fn of(server: Postgres) -> Self {
        let directory = TempDir::new().unwrap();
        Self { server, directory }
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The lease of this name, as the superuser.
    pub(crate) fn lease(&self, name: &'static str) -> Lease {
        self.lease_at(self.server.address(), name)
    }

    /// The same, by another way.
    pub(crate) fn lease_at(&self, address: SocketAddr, name: &'static str) -> Lease {
        self.lease_by(&self.server.url_at(address), name)
    }

    /// The same, by a URL.
    pub(crate) fn lease_by(&self, url: &str, name: &'static str) -> Lease {
        let file = TempDir::new_in(self.directory.path()).unwrap().keep().join("url");
        fs::write(&file, url).unwrap();
        Lease::in_database(file, name)
    }
}
