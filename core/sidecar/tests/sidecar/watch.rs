//! What a running sidecar shows of itself: `set_status`, health, metrics.

use std::time::Duration;

use serde_json::{Value, json};
use set_testkit::Sidecar;

use crate::stage::PATIENCE;

/// Another program's state changes without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Waits until `set_status` is as wanted, and gives it.
pub(crate) async fn status(sidecar: &Sidecar, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    answer(sidecar, what, ("set_status", json!([])), wanted).await
}

/// Waits until a method, with its parameters, answers as wanted, and gives the answer.
pub(crate) async fn answer(
    sidecar: &Sidecar,
    what: &str,
    (method, params): (&str, Value),
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let search = async {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            last = sidecar.call(method, params.clone()).await.unwrap();
            if wanted(&last) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    assert!(found.is_ok(), "never saw {what}; {method} stays {last:#}");
    last
}

/// How many commitments are in a stage.
pub(crate) fn in_stage(status: &Value, stage: &str) -> usize {
    status["pipeline"]["stages"][stage].as_u64().unwrap_or_default() as usize
}

/// The alarm of this kind, of whatever part.
pub(crate) fn alarm<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    of_kind(status, "alarms", kind)
}

/// The hold of this kind.
pub(crate) fn hold<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    of_kind(status, "holds", kind)
}

/// Whether nothing is held back and nothing needs a look.
pub(crate) fn is_well(status: &Value) -> bool {
    let mut found = vec![];
    for list in ["alarms", "holds"] {
        lists(status, list, &mut found);
    }
    found.is_empty()
}

fn of_kind<'a>(status: &'a Value, list: &str, kind: &str) -> Option<&'a Value> {
    let mut found = vec![];
    lists(status, list, &mut found);
    found.into_iter().find(|entry| entry["kind"] == kind)
}

/// The entries of all lists with this name, whatever part they belong to.
fn lists<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::Array(entries) if key == name => found.extend(entries),
                    member => lists(member, name, found),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| lists(entry, name, found)),
        _ => {}
    }
}

/// Status and body of one of the health server's routes.
pub(crate) async fn health(sidecar: &Sidecar, path: &str) -> (u16, String) {
    let answer = reqwest::get(sidecar.health.join(path).unwrap()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until one of the health server's routes answers with this status and with a text that contains `said`:
/// a machine that stalls makes a node look unreachable for a moment.
pub(crate) async fn health_is(sidecar: &Sidecar, path: &str, status: u16, said: &str) {
    health_until(sidecar, path, &format!("{status} with `{said}`"), |found, text| {
        found == status && text.contains(said)
    })
    .await;
}

/// Waits until one of the health server's routes says this, with whatever status.
pub(crate) async fn health_says(sidecar: &Sidecar, path: &str, said: &str) {
    health_until(sidecar, path, &format!("`{said}`"), |_, text| text.contains(said)).await;
}

async fn health_until(sidecar: &Sidecar, path: &str, what: &str, wanted: impl Fn(u16, &str) -> bool) {
    let mut last = None;
    let search = async {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            let (status, text) = last.insert(health(sidecar, path).await);
            if wanted(*status, text) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    assert!(found.is_ok(), "/{path} never answered {what}; it stays {last:?}");
}

/// A metric's value, summed over the series that bear these labels; `None` where there is no such series.
pub(crate) async fn metric(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let (_, text) = health(sidecar, "metrics").await;
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, rest) = series.split_once('{').unwrap_or((series, ""));
        let fits = |(key, value): &(&str, &str)| rest.contains(&format!("{key}=\"{value}\""));
        (found == name && labels.iter().all(fits)).then(|| value.parse::<f64>().unwrap())
    });
    values.reduce(|sum, value| sum + value)
}

/// Waits until a metric has a value.
pub(crate) async fn metric_is(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)], wanted: f64) {
    metric_until(sidecar, name, labels, |value| value == wanted).await;
}

/// Waits until a metric is above a value.
pub(crate) async fn metric_above(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)], least: f64) {
    metric_until(sidecar, name, labels, |value| value > least).await;
}

async fn metric_until(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)], wanted: impl Fn(f64) -> bool) {
    let mut last = None;
    let search = async {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            last = metric(sidecar, name, labels).await;
            if last.is_some_and(&wanted) {
                return;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, search).await;
    assert!(found.is_ok(), "{name}{labels:?} stays {last:?}");
}

/// Whether a line of its log contains `text`.
pub(crate) fn logged(sidecar: &Sidecar, text: &str) -> bool {
    sidecar.process.lines().iter().any(|line| line.contains(text))
}
