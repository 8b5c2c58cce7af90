//! Asking a sidecar until it says what a test waits for.

use std::time::Duration;

use serde_json::Value;
use set_testkit::Sidecar;
use tokio::time::{interval, timeout};

/// The answer changes without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(180);

/// How settled a commitment may be.
pub(crate) const LEVELS: [&str; 5] = ["included", "safe", "finalized", "claimed", "resolved"];

/// How settled an answer says a commitment is: its place among [`LEVELS`].
pub(crate) fn level(answer: &Value) -> Option<usize> {
    let settlement = answer["settlement"].as_str()?;
    LEVELS.iter().position(|level| *level == settlement)
}

/// Asks until an answer fits.
pub(crate) async fn asked(
    sidecar: &Sidecar,
    method: &str,
    params: Value,
    mut fits: impl FnMut(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let asking = async {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            let answer = sidecar.call(method, params.clone()).await;
            last = answer.unwrap_or_else(|error| error.to_string().into());
            if fits(&last) {
                return;
            }
        }
    };
    let in_time = timeout(PATIENCE, asking).await.is_ok();
    assert!(in_time, "{method} stays {last:#}");
    last
}
