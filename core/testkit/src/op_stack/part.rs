//! One program of the stack, under a test's control.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use url::Url;

use super::OpStackError;
use crate::{Process, ProcessError, Program, ReservedPort};

/// Programs need one or two seconds; a busy machine may take its time.
pub(super) const START: Duration = Duration::from_secs(180);
/// op-geth writes its state before it ends, and op-batcher waits for what it has sent.
const STOP: Duration = Duration::from_secs(120);

/// One program of the stack. It keeps its ports when it is started again.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    program: Program,
    url: Url,
    ready: Ready,
    process: Mutex<Arc<Process>>,
    /// Held also while it does not run: it is to find them free when it is started again.
    _ports: Vec<ReservedPort>,
}

/// What shows that a program is ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ready {
    /// A success at this path of its URL.
    Answers(&'static str),
    /// A line of its output.
    Says(&'static str),
}

impl Part {
    /// Starts `program`, which listens on `ports`, and returns once it is ready.
    pub(super) async fn start(
        name: &'static str,
        program: Program,
        url: Url,
        ready: Ready,
        ports: impl Into<Vec<ReservedPort>>,
    ) -> Result<Self, OpStackError> {
        let part = Self {
            name,
            process: Mutex::new(Arc::new(program.spawn()?)),
            program,
            url,
            ready,
            _ports: ports.into(),
        };
        part.ready().await?;
        Ok(part)
    }

    /// The program's name, such as `op-node`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its JSON-RPC.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The process as it runs now, or as it ended: for its output, or to await a line of it.
    pub fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it at once (SIGKILL), as a crash would, and returns once it is gone.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if the system does not take it away.
    pub async fn kill(&self) -> Result<(), ProcessError> {
        let process = self.process();
        process.kill();
        process.wait(STOP).await.map(drop)
    }

    /// Asks it to end (SIGTERM), as a service manager does, and returns once it has.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if it does not end in time.
    pub async fn stop(&self) -> Result<(), ProcessError> {
        let process = self.process();
        process.terminate();
        process.wait(STOP).await.map(drop)
    }

    /// Stops it where it is: it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.process().freeze();
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.process().thaw();
    }

    /// Starts it alone again with the same data and ports, killing what still runs, and returns once it is ready. See
    /// [`OpStack::restart`](super::OpStack::restart) for what depends on it.
    ///
    /// # Errors
    /// [`ProcessError`] with its last lines, if it ends or takes too long.
    pub async fn restart(&self) -> Result<(), ProcessError> {
        self.kill().await?;
        let process = Arc::new(self.program.spawn()?);
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), ProcessError> {
        let process = self.process();
        match self.ready {
            Ready::Says(text) => process.line_with(text, START).await.map(drop),
            Ready::Answers(path) => {
                let mut url = self.url.clone();
                url.set_path(path);
                process.ready(&url, START).await
            }
        }
    }
}

/// Ports to tell a program of, each another one.
pub(super) fn reserve<const N: usize>() -> Result<[ReservedPort; N], OpStackError> {
    let ports: Vec<_> = (0..N)
        .map(|_| ReservedPort::any())
        .collect::<Result<_, _>>()
        .map_err(|source| OpStackError::File {
            path: "a free port of 127.0.0.1".into(),
            source,
        })?;
    Ok(ports.try_into().expect("there are as many as were asked for"))
}

/// The URL of a port on the loopback interface.
pub(super) fn local(scheme: &str, port: u16) -> Url {
    Url::parse(&format!("{scheme}://127.0.0.1:{port}/")).expect("a scheme and a port make a URL")
}
