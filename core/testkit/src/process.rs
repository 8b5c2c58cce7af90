//! A program under a test's control: its output as events, its end guaranteed.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};
use tokio::sync::watch;
use url::Url;

/// Lines of output kept; older ones are forgotten.
const KEPT_LINES: usize = 20_000;

/// Becomes the program once there is a line to read, which is written when the leash is on. Were this process killed
/// before, there would be no line, and no program.
const GATE: &str = r#"read -r _ && exec "$0" "$@" </dev/null"#;

/// What can go wrong with a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// The file that was to be run.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended while something was awaited.
    #[error("`{program}` ended ({status}) before {awaited}; its last lines:\n{output}")]
    Ended {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What was awaited.
        awaited: String,
        /// The end of its output.
        output: String,
    },
    /// What was awaited did not happen in time.
    #[error("`{program}` runs, but {awaited} did not happen within {deadline:?}; its last lines:\n{output}")]
    Deadline {
        /// The program.
        program: String,
        /// What was awaited.
        awaited: String,
        /// How long.
        deadline: Duration,
        /// The end of its output.
        output: String,
    },
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    echoes: bool,
}

impl Program {
    /// The program in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: vec![],
            environment: vec![],
            directory: None,
            echoes: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, beside those of this process.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs it in another directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Prints its output as it comes, which a test runner shows of a test that fails.
    #[must_use]
    pub const fn echo(mut self) -> Self {
        self.echoes = true;
        self
    }

    /// Starts it, in a process group of its own, so that a terminal's Ctrl-C reaches only its parent.
    ///
    /// # Errors
    /// [`ProcessError::Start`] if the file cannot be run.
    pub fn spawn(&self) -> Result<Process, ProcessError> {
        let name = self.path.display().to_string();
        let start = |source| ProcessError::Start {
            program: name.clone(),
            source,
        };
        // The gate would only find out once it is open. A bare name is looked for by the shell.
        if self.path.components().nth(1).is_some() {
            fs::metadata(&self.path).map_err(start)?;
        }
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", GATE])
            .arg(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn().map_err(start)?;
        let leash = match Leash::tie(child.id()) {
            Ok(leash) => leash,
            Err(error) => {
                // Better no child than one that could outlive us.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(start(error));
            }
        };
        if let Some(mut gate) = child.stdin.take() {
            // Fails where the process was killed already, which shows in how it ended.
            let _ = gate.write_all(b"\n");
        }
        let shared = Arc::new(Shared::new());
        let readers = [
            child.stdout.take().map(|out| Box::new(out) as Box<dyn Read + Send>),
            child.stderr.take().map(|out| Box::new(out) as Box<dyn Read + Send>),
        ];
        let readers = readers
            .into_iter()
            .flatten()
            .map(|pipe| {
                let shared = Arc::clone(&shared);
                let echoes = self.echoes;
                thread::spawn(move || shared.read(pipe, echoes))
            })
            .collect();
        let pid = Pid::from_child(&child);
        let reaper = Arc::clone(&shared);
        thread::spawn(move || reaper.reap(child, pid, leash, readers));
        Ok(Process { name, pid, shared })
    }
}

/// A running program. It is killed when this is dropped, and also when this process itself is
/// killed, whatever the signal.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    shared: Arc<Shared>,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its output so far, standard output and error as they came (at most the last 20,000 lines).
    pub fn lines(&self) -> Vec<String> {
        self.shared.output().lines.iter().cloned().collect()
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.shared.output().ended
    }

    /// Waits for a line of output that contains `text`, among those already there too, and returns it.
    ///
    /// # Errors
    /// [`ProcessError::Ended`] if the program ends without one, [`ProcessError::Deadline`] if none
    /// comes in time. Both carry the last lines.
    pub async fn line_with(&self, text: &str, deadline: Duration) -> Result<String, ProcessError> {
        self.line(&format!("a line with `{text}`"), deadline, |line| line.contains(text))
            .await
    }

    /// Waits for a line that `matches`; `awaited` names it in errors.
    ///
    /// # Errors
    /// As [`line_with`](Self::line_with).
    pub async fn line(
        &self,
        awaited: &str,
        deadline: Duration,
        matches: impl Fn(&str) -> bool,
    ) -> Result<String, ProcessError> {
        let mut changed = self.shared.changed.subscribe();
        let mut seen = 0;
        let search = async {
            loop {
                changed.borrow_and_update();
                {
                    let output = self.shared.output();
                    let unseen = seen.max(output.forgotten) - output.forgotten;
                    if let Some(line) = output.lines.iter().skip(unseen).find(|line| matches(line)) {
                        return Ok(line.clone());
                    }
                    seen = output.forgotten + output.lines.len();
                    if let Some(status) = output.ended {
                        return Err(self.ended_before(status, awaited, &output));
                    }
                }
                // The sender lives in `self`, so it is there as long as we wait.
                let _ = changed.changed().await;
            }
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(found) => found,
            Err(_) => Err(self.too_late(awaited, deadline)),
        }
    }

    /// Waits until `url` answers with a success.
    ///
    /// # Errors
    /// As [`line_with`](Self::line_with).
    pub async fn ready(&self, url: &Url, deadline: Duration) -> Result<(), ProcessError> {
        crate::init();
        let client = reqwest::Client::new();
        let answers = || {
            let answer = client.get(url.clone()).timeout(Duration::from_secs(2)).send();
            async { answer.await.is_ok_and(|answer| answer.status().is_success()) }
        };
        self.until(&format!("`{url}` was ready"), deadline, answers).await
    }

    /// Waits until something of it `is_so`, which it tells nobody who does not ask; `awaited` names it in errors.
    ///
    /// # Errors
    /// As [`line_with`](Self::line_with).
    pub async fn until<F: Future<Output = bool>>(
        &self,
        awaited: &str,
        deadline: Duration,
        mut is_so: impl FnMut() -> F,
    ) -> Result<(), ProcessError> {
        let asking = async {
            let mut pause = tokio::time::interval(Duration::from_millis(20));
            while !is_so().await {
                pause.tick().await;
            }
        };
        tokio::select! {
            () = asking => Ok(()),
            ended = self.end() => Err(self.ended_before(ended, awaited, &self.shared.output())),
            () = tokio::time::sleep(deadline) => Err(self.too_late(awaited, deadline)),
        }
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Interrupts it (SIGINT), as Ctrl-C does; PostgreSQL then ends without waiting for its clients.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends it at once (SIGKILL), as a crash or the out-of-memory killer would.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it is (SIGSTOP): it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets no file of it grow beyond so many bytes: to it, a disk that is full. `None` ends that. A program
    /// that does not ignore SIGXFSZ is ended by its next write.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let output = self.shared.output();
        if !output.reaped {
            let limit = Rlimit {
                current: bytes,
                maximum: None,
            };
            // Fails only for a process that ended this instant, or that was not allowed so much before.
            let _ = rustix::process::prlimit(Some(self.pid), Resource::Fsize, limit);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if it still runs then; it goes on running.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus, ProcessError> {
        tokio::time::timeout(deadline, self.end())
            .await
            .map_err(|_| self.too_late("its end", deadline))
    }

    /// Prints what it said last, where a test shows that should it fail.
    #[expect(
        clippy::print_stderr,
        reason = "a test that fails is read by somebody who cannot ask the program any more"
    )]
    pub(crate) fn show_last_lines(&self) {
        eprintln!("the last lines of `{}`:\n{}", self.name, self.shared.output().tail());
    }

    /// Waits for its end where nothing can be awaited, as in a `drop`; true once it has ended.
    pub(crate) fn wait_blocking(&self, deadline: Duration) -> bool {
        let output = self.shared.output();
        let waited = self
            .shared
            .reaped
            .wait_timeout_while(output, deadline, |output| !output.reaped);
        waited.is_ok_and(|(output, _)| output.reaped)
    }

    async fn end(&self) -> ExitStatus {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(status) = self.shared.output().ended {
                return status;
            }
            let _ = changed.changed().await;
        }
    }

    /// Signals only while the process has not been reaped, so that the id cannot be another's yet.
    fn signal(&self, signal: Signal) {
        let output = self.shared.output();
        if !output.reaped {
            // Fails only for a process that ended this instant, which is as good.
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    fn ended_before(&self, status: ExitStatus, awaited: &str, output: &Output) -> ProcessError {
        ProcessError::Ended {
            program: self.name.clone(),
            status,
            awaited: awaited.into(),
            output: output.tail(),
        }
    }

    fn too_late(&self, awaited: &str, deadline: Duration) -> ProcessError {
        ProcessError::Deadline {
            program: self.name.clone(),
            awaited: awaited.into(),
            deadline,
            output: self.shared.output().tail(),
        }
    }
}

impl Drop for Process {
    /// Waits until the system has taken the process away, a few milliseconds: were this process to end
    /// first, nobody might. Where a test is failing, it prints the program's last lines.
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_last_lines();
        }
        self.kill();
        self.wait_blocking(Duration::from_secs(5));
    }
}

#[derive(Debug, Default)]
struct Output {
    lines: VecDeque<String>,
    forgotten: usize,
    /// Its id may be another process's by now.
    reaped: bool,
    /// How it ended, known once all its output is here.
    ended: Option<ExitStatus>,
}

impl Output {
    fn tail(&self) -> String {
        let skipped = self.lines.len().saturating_sub(30);
        self.lines
            .iter()
            .skip(skipped)
            .map(|line| format!("  {line}\n"))
            .collect()
    }
}

#[derive(Debug)]
struct Shared {
    output: Mutex<Output>,
    /// Announces that the process was reaped.
    reaped: Condvar,
    changed: watch::Sender<()>,
}

impl Shared {
    fn new() -> Self {
        Self {
            output: Mutex::default(),
            reaped: Condvar::new(),
            changed: watch::Sender::new(()),
        }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::print_stdout,
        reason = "an echo is asked for, and stands where the test's own output does"
    )]
    fn read(&self, pipe: impl Read, echoes: bool) {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = vec![];
        while matches!(pipe.read_until(b'\n', &mut bytes), Ok(length) if length > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if echoes {
                println!("{line}");
            }
            let mut output = self.output();
            if output.lines.len() == KEPT_LINES {
                output.lines.pop_front();
                output.forgotten += 1;
            }
            output.lines.push_back(line);
            drop(output);
            self.changed.send_replace(());
        }
    }

    fn reap(&self, mut child: Child, pid: Pid, mut leash: Leash, readers: Vec<thread::JoinHandle<()>>) {
        // Waits without reaping: until the lock is held and the leash off, the id must stay this process's.
        let _ = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        leash.untie();
        let status = {
            let mut output = self.output();
            output.reaped = true;
            child.wait().unwrap_or_else(|_| ExitStatus::from_raw(-1))
        };
        self.reaped.notify_all();
        for reader in readers {
            let _ = reader.join();
        }
        self.output().ended = Some(status);
        self.changed.send_replace(());
    }
}

/// Kills a process when this one ends, however it ends: a shell that waits for its input to close.
#[derive(Debug)]
struct Leash {
    shell: Child,
    _input: Option<ChildStdin>,
}

impl Leash {
    fn tie(process: u32) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("read -r _; kill -9 {process}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = shell.stdin.take();
        Ok(Self { shell, _input: input })
    }

    fn untie(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
