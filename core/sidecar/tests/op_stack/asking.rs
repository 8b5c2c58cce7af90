//! Asking until what a test waits for is so.

use std::time::Duration;

use serde_json::Value;
use set_testkit::Sidecar;
use tokio::time::{interval, timeout};

/// The answer changes without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Longer than anything here takes on a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// How settled a commitment may be.
pub(crate) const LEVELS: [&str; 5] = ["included", "safe", "finalized", "claimed", "resolved"];

/// How settled an answer says a commitment is: its place among [`LEVELS`].
pub(crate) fn level(answer: &Value) -> Option<usize> {
    let settlement = answer["settlement"].as_str()?;
    LEVELS.iter().position(|level| *level == settlement)
}

/// Whether `set_status` shows an alarm of this kind about settlement; `None` where it shows nothing of settlement.
pub(crate) fn alarmed(status: &Value, kind: &str) -> Option<bool> {
    let alarms = status["settlement"]["alarms"].as_array()?;
    Some(alarms.iter().any(|alarm| alarm["kind"] == kind))
}

/// What a sidecar answers, or why it does not.
pub(crate) async fn answer(sidecar: &Sidecar, method: &str, params: &Value) -> Value {
    let answer = sidecar.call(method, params.clone()).await;
    answer.unwrap_or_else(|error| error.to_string().into())
}

/// Asks a sidecar until an answer is as `wanted`, which says so in words.
pub(crate) async fn asked(
    sidecar: &Sidecar,
    wanted: &str,
    method: &str,
    params: Value,
    mut fits: impl FnMut(&Value) -> bool,
) -> Value {
    until(
        wanted,
        async || answer(sidecar, method, &params).await,
        |answer| fits(answer),
    )
    .await
}

/// Looks until what is seen is as `wanted`.
pub(crate) async fn until(
    wanted: &str,
    mut look: impl AsyncFnMut() -> Value,
    mut fits: impl FnMut(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let looking = async {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            last = look().await;
            if fits(&last) {
                return;
            }
        }
    };
    let in_time = timeout(PATIENCE, looking).await.is_ok();
    assert!(in_time, "waited for {wanted}, and saw last: {last:#}");
    last
}
