//! A database for a test, and files with URLs to it.

use std::{fs, net::SocketAddr};

use set_lease::{LeaseConfig, LeaseKind};
use set_testkit::Postgres;
use tempfile::TempDir;

use crate::holder;

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

    /// A file that holds this URL.
    pub(crate) fn file(&self, name: &str, url: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, url).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn config(&self) -> LeaseConfig {
        holder::config(LeaseKind::Postgres, &self.file("direct", &self.server.url()))
    }

    pub(crate) fn config_at(&self, address: SocketAddr) -> LeaseConfig {
        let url = self.server.url_at(address);
        holder::config(LeaseKind::Postgres, &self.file(&address.port().to_string(), &url))
    }

    pub(crate) fn config_with(&self, name: &str, url: &str) -> LeaseConfig {
        holder::config(LeaseKind::Postgres, &self.file(name, url))
    }
}
