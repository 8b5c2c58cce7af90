//! What fills the source's window.

use std::collections::{BTreeMap, HashMap};

use set_types::{BatchId, Stage, StreamId};

use super::{Ledger, snapshot::stage_label};
use crate::{
    clock::Now,
    status::{AlarmKind, StuckStream, Window},
};

/// Polls in a row that see a full window before that is an alarm.
const POLLS: u32 = 10;
/// Streams that are named.
const NAMED: usize = 5;

impl Ledger {
    /// Looks at what a full window holds; says so where it stays full.
    pub(super) fn look_at_window(&mut self, full: bool, unreadable: usize, now: Now) {
        if !full {
            self.window = None;
            self.alarms.clear(AlarmKind::WindowFull);
            return;
        }
        let mut stages: BTreeMap<Stage, usize> = BTreeMap::new();
        let mut stuck: HashMap<StreamId, (usize, BatchId)> = HashMap::new();
        for batch_id in &self.shown {
            let Some((id, position)) = self.place(*batch_id) else {
                continue;
            };
            let Some(stream) = self.streams.get(&id) else {
                continue;
            };
            let stage = match stream.entries.get(&position) {
                Some(entry) => entry.stage(stream),
                None => match stream.resting(position.sequence_start, *batch_id) {
                    Some(resting) => resting.stage(),
                    None => continue,
                },
            };
            *stages.entry(stage).or_default() += 1;
            if let Stage::Held | Stage::Blocked | Stage::Quarantined = stage {
                stuck.entry(id).or_insert((0, *batch_id)).0 += 1;
            }
        }
        let mut worst: Vec<_> = stuck.into_iter().collect();
        worst.sort_unstable_by_key(|(id, (count, _))| (std::cmp::Reverse(*count), *id));
        worst.truncate(NAMED);
        let worst = worst.into_iter().map(|(stream, (commitments, _))| StuckStream {
            stream,
            commitments,
            reason: self.why_stuck(stream),
        });
        let worst = worst.collect();
        let since = self.window.as_ref().map_or(now.wall, |window| window.since);
        let window = Window {
            since,
            stages,
            unreadable,
            worst,
        };
        if now.wall.duration_since(since) >= (self.config.poll_interval * POLLS).try_into().unwrap_or_default() {
            self.alarms.renew(AlarmKind::WindowFull, &describe(&window), now);
        }
        self.window = Some(window);
    }

    /// Why the first of a stream's commitments that does not move does not.
    fn why_stuck(&self, id: StreamId) -> String {
        let stream = self.streams.get(&id);
        let reasons = stream.into_iter().flat_map(|stream| {
            let entries = stream.entries.values();
            entries.map(|entry| self.stage(stream, entry, None))
        });
        let mut stuck = reasons.filter(|(stage, _)| matches!(stage, Stage::Held | Stage::Blocked | Stage::Quarantined));
        stuck.find_map(|(_, reason)| reason).unwrap_or_default()
    }
}

fn describe(window: &Window) -> String {
    let mut parts: Vec<String> = window
        .stages
        .iter()
        .map(|(stage, count)| format!("{count} {}", stage_label(*stage)))
        .collect();
    if window.unreadable > 0 {
        parts.push(format!("{} unreadable", window.unreadable));
    }
    let worst: Vec<String> = window
        .worst
        .iter()
        .map(|stuck| format!("{} of stream {} ({})", stuck.commitments, stuck.stream, stuck.reason))
        .collect();
    let mut text = format!(
        "the source's window is full of {}: known streams are read on, and streams that nobody has seen stay hidden \
         until it moves",
        parts.join(", ")
    );
    if !worst.is_empty() {
        text.push_str(&format!("; what does not move: {}", worst.join(", ")));
    }
    text
}
