//! The rules by which a term of the lease begins, goes on and ends. Pure: no clock, no disk.
//!
//! Each term is a file of its own, and only its holder writes it. A term begins by the creation of the
//! file with the next number, which exactly one process manages to do. So no process ever waits for
//! another: one that is stopped in the middle holds no lock.
//!
//! Two rules make that safe. A renewal counts only if the deadline before it had not passed *after* the
//! new one was written: until then nobody can have found the term at its end. And a term with a renewal
//! that did not count is over, whatever its file says: its successor may be on the way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// What a term's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The lease: chain and registry.
    pub(super) lease: String,
    /// Who holds it.
    pub(super) holder: String,
    /// The run of the machine that `deadline` belongs to.
    pub(super) boot: String,
    /// Nanoseconds since the machine started; 0 once given up.
    pub(super) deadline: u64,
}

/// The newest term, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) number: u64,
    /// `None` where the file cannot be understood.
    pub(super) record: Option<Record>,
}

/// What to do about the newest term.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write a new deadline into it. [`renewed`] says afterwards whether that counts.
    Renew { until: Moment },
    /// Begin the term with this number.
    Begin { number: u64 },
    /// It is another's for so long.
    Wait { remaining: Duration },
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) holder: &'a str,
    pub(super) boot: &'a str,
    pub(super) now: Moment,
    pub(super) ttl: Duration,
    /// The term that it holds, and the deadline that counts.
    pub(super) own: Option<(u64, Moment)>,
    /// For how long the newest term has been found just as it is now.
    pub(super) unchanged: Duration,
}

/// Decides by the newest term.
pub(super) fn step(newest: Option<&Term>, asking: Asking<'_>) -> Step {
    let Some(term) = newest else {
        return Step::Begin { number: 1 };
    };
    let next = Step::Begin {
        number: term.number + 1,
    };
    match &term.record {
        Some(record) if record.deadline == 0 => next,
        Some(record) if record.holder == asking.holder => match asking.own {
            Some((number, until)) if number == term.number && asking.now < until => Step::Renew { until },
            _ => next,
        },
        Some(record) if record.boot == asking.boot => {
            let deadline = Moment(record.deadline);
            if asking.now >= deadline {
                next
            } else {
                Step::Wait {
                    remaining: deadline.since(asking.now),
                }
            }
        }
        // A deadline on a clock that is not ours, or none at all. Whoever lives renews it within its
        // time; so what stays as it is for so long is nobody's.
        Some(_) | None if asking.unchanged >= asking.ttl => next,
        Some(_) | None => Step::Wait {
            remaining: asking.ttl.saturating_sub(asking.unchanged),
        },
    }
}

/// Whether a renewal counts that was written some time before `now`, over the deadline `until`.
pub(super) fn renewed(until: Moment, now: Moment) -> bool {
    now < until
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const TTL: Duration = Duration::from_nanos(30);

    fn record(holder: &str, boot: &str, deadline: u64) -> Record {
        Record {
            lease: "1:0xa".to_owned(),
            holder: holder.to_owned(),
            boot: boot.to_owned(),
            deadline,
        }
    }

    fn decide(record: Option<Record>, own: u64, unchanged: u64) -> Step {
        let term = Term { number: 4, record };
        let asking = Asking {
            holder: "a",
            boot: "today",
            now: Moment(100),
            ttl: TTL,
            own: Some((4, Moment(own))),
            unchanged: Duration::from_nanos(unchanged),
        };
        step(Some(&term), asking)
    }

    #[test]
    fn a_term_is_renewed_waited_for_or_followed() {
        let wait = |nanoseconds| Step::Wait {
            remaining: Duration::from_nanos(nanoseconds),
        };
        let next = Step::Begin { number: 5 };
        assert_eq!(decide(Some(record("b", "today", 101)), 0, 99), wait(1));
        assert_eq!(decide(Some(record("b", "today", 100)), 0, 0), next);
        assert_eq!(decide(Some(record("b", "today", 0)), 0, 0), next, "given up");
        let renew = Step::Renew { until: Moment(101) };
        assert_eq!(decide(Some(record("a", "today", 101)), 101, 0), renew);
        assert_eq!(decide(Some(record("a", "today", 130)), 101, 0), renew);
        assert_eq!(
            decide(Some(record("a", "today", 130)), 100, 0),
            next,
            "the renewal does not count"
        );
        // From before a restart, and damaged.
        for found in [Some(record("b", "yesterday", 500)), None] {
            assert_eq!(decide(found.clone(), 0, 29), wait(1));
            assert_eq!(decide(found, 0, 30), next);
        }
    }

    /// A process that goes through the protocol one access of the disk at a time, and may be stopped
    /// between any two.
    #[derive(Debug, Clone)]
    struct Process {
        holder: &'static str,
        at: At,
        term: u64,
        ends: u64,
    }

    #[derive(Debug, Clone)]
    enum At {
        Start,
        Decided { step: Step2, asked: u64 },
        Written { until: u64, asked: u64 },
    }

    /// [`Step`] as the model keeps it between two accesses.
    #[derive(Debug, Clone)]
    enum Step2 {
        Renew { number: u64, until: u64 },
        Begin { number: u64 },
    }

    impl Process {
        fn access(&mut self, disk: &mut BTreeMap<u64, Record>, now: u64) {
            self.at = match self.at.clone() {
                At::Start => {
                    let newest = disk.iter().next_back().map(|(number, record)| Term {
                        number: *number,
                        record: Some(record.clone()),
                    });
                    let asking = Asking {
                        holder: self.holder,
                        boot: "today",
                        now: Moment(now),
                        ttl: TTL,
                        own: Some((self.term, Moment(self.ends))),
                        unchanged: Duration::ZERO,
                    };
                    let number = newest.as_ref().map_or(0, |term| term.number);
                    match step(newest.as_ref(), asking) {
                        Step::Renew { until } => At::Decided {
                            step: Step2::Renew { number, until: until.0 },
                            asked: now,
                        },
                        Step::Begin { number } => At::Decided {
                            step: Step2::Begin { number },
                            asked: now,
                        },
                        Step::Wait { .. } => At::Start,
                    }
                }
                At::Decided { step, asked } => {
                    let ends = asked + 30;
                    match step {
                        Step2::Renew { number, until } => {
                            disk.insert(number, record(self.holder, "today", ends));
                            At::Written { until, asked }
                        }
                        Step2::Begin { number } => {
                            // As `link`: it fails where the file is there.
                            disk.entry(number).or_insert_with(|| {
                                (self.term, self.ends) = (number, ends);
                                record(self.holder, "today", ends)
                            });
                            At::Start
                        }
                    }
                }
                At::Written { until, asked } => {
                    self.ends = if renewed(Moment(until), Moment(now)) {
                        asked + 30
                    } else {
                        0
                    };
                    At::Start
                }
            };
        }
    }

    proptest! {
        #[test]
        fn no_two_hold_the_lease_at_a_time(schedule in prop::collection::vec((0_usize..3, 0_u64..12), 1..400)) {
            let mut disk = BTreeMap::new();
            let mut now = 1;
            let mut processes = ["a", "b", "c"].map(|holder| Process { holder, at: At::Start, term: 0, ends: 0 });
            for (who, pause) in schedule {
                now += pause;
                processes[who].access(&mut disk, now);
                let holding: Vec<_> = processes.iter().filter(|process| now < process.ends).collect();
                prop_assert!(holding.len() <= 1, "at {now}: {holding:?}, {disk:?}");
            }
        }
    }
}
