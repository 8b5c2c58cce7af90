//! Lines that plugins log, on their way into the program's log.
//!
//! They are written by a task of the host: a plugin's thread may have a log dispatcher of its own, and
//! must never wait for ours.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use set_plugin_abi::status;
use tokio::sync::{mpsc, watch};
use tracing::{field::display, level_filters::LevelFilter};

use crate::secrets::Redactor;

/// Lines that wait to be written, of all plugins together.
const QUEUE: usize = 1024;

/// Lines of one plugin in a second; the rest is dropped and counted.
const PER_SECOND: u32 = 500;

/// The longest part of a line, in bytes; the rest is cut off.
const LONGEST: usize = 16 << 10;

/// The finest level that the program's log takes, as a `LOG_` number; 0 for none.
pub(crate) fn finest_level() -> u32 {
    match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => status::LOG_ERROR,
        LevelFilter::WARN => status::LOG_WARN,
        LevelFilter::INFO => status::LOG_INFO,
        LevelFilter::DEBUG => status::LOG_DEBUG,
        LevelFilter::TRACE => status::LOG_TRACE,
    }
}

struct Line {
    plugin: Arc<str>,
    redactor: Arc<Redactor>,
    level: u32,
    target: String,
    message: String,
    /// A JSON object, or nothing.
    fields: String,
}

/// How much one plugin may still log in this second.
#[derive(Default)]
pub(crate) struct LogBudget {
    second: Mutex<Option<(Instant, u32)>>,
    dropped: AtomicU64,
}

impl LogBudget {
    /// Takes one line off; false where nothing is left.
    fn take(&self) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, used) = match second.as_mut() {
            Some(current) if current.0.elapsed() < Duration::from_secs(1) => current,
            _ => second.insert((Instant::now(), 0)),
        };
        *used = used.saturating_add(1);
        *used <= PER_SECOND
    }
}

/// Where lines go.
#[derive(Clone)]
pub(crate) struct Outbox(mpsc::Sender<Line>);

impl Outbox {
    /// Sends a line, unless its plugin logs too much or the log cannot keep up; both are counted and told.
    pub(crate) fn send(
        &self,
        plugin: &Arc<str>,
        redactor: &Arc<Redactor>,
        budget: &LogBudget,
        level: u32,
        texts: impl FnOnce() -> (String, String, String),
    ) {
        let Some(place) = budget.take().then(|| self.0.try_reserve().ok()).flatten() else {
            budget.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (target, mut message, fields) = texts();
        let dropped = budget.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            message.insert_str(0, &format!("({dropped} lines before this one were dropped) "));
        }
        let (plugin, redactor) = (plugin.clone(), redactor.clone());
        place.send(Line {
            plugin,
            redactor,
            level,
            target,
            message,
            fields,
        });
    }
}

/// A queue for lines, and the task that writes them until `stop`, and then what is left.
pub(crate) fn relay(mut stop: watch::Receiver<bool>) -> (Outbox, impl Future<Output = ()> + Send) {
    let (outbox, mut inbox) = mpsc::channel::<Line>(QUEUE);
    let task = async move {
        loop {
            tokio::select! {
                line = inbox.recv() => match line {
                    Some(line) => line.write(),
                    None => return,
                },
                // An error means that the host was dropped.
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        inbox.close();
        while let Some(line) = inbox.recv().await {
            line.write();
        }
    };
    (Outbox(outbox), task)
}

impl Line {
    fn write(&self) {
        let Self {
            plugin,
            redactor,
            level,
            target,
            message,
            fields,
        } = self;
        let (target, message, fields) = (cut(target), cut(message), cut(fields));
        let (message, fields) = (redactor.scrub(message), redactor.scrub(fields));
        let fields = (!fields.is_empty()).then(|| display(&fields));
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(target: "set_plugin", %plugin, source = target, fields, "{message}")
            };
        }
        match *level {
            status::LOG_ERROR => write!(error),
            status::LOG_WARN => write!(warn),
            status::LOG_INFO => write!(info),
            status::LOG_DEBUG => write!(debug),
            _ => write!(trace),
        }
    }
}

/// The first [`LONGEST`] bytes, or a little less where that is inside a character.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_is_cut_and_counted() {
        let (_keep, stop) = watch::channel(false);
        let (outbox, _task) = relay(stop);
        let (plugin, redactor, budget) = (Arc::from("flood"), Arc::default(), LogBudget::default());
        let texts = || ("t".to_owned(), "m".to_owned(), String::new());
        for _ in 0..PER_SECOND {
            outbox.send(&plugin, &redactor, &budget, 3, texts);
        }
        *budget.second.lock().unwrap() = Some((Instant::now() + Duration::from_secs(60), PER_SECOND));
        outbox.send(&plugin, &redactor, &budget, 3, texts);
        assert_eq!(budget.dropped.load(Ordering::Relaxed), 1);
        *budget.second.lock().unwrap() = None;
        outbox.send(&plugin, &redactor, &budget, 3, texts);
        assert_eq!(budget.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_cut_keeps_characters_whole() {
        let long = "é".repeat(LONGEST);
        assert_eq!(cut(&long).len(), LONGEST);
        assert_eq!(cut(&format!("x{long}")).len(), LONGEST - 1);
        assert_eq!(cut("short"), "short");
    }
}
