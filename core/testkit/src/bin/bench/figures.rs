//! What was measured, against what it should be: as a table for people, as JSON for machines.

use serde::Serialize;

/// What a figure should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// One row.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    scenario: String,
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    /// Whether the machine's speed or load decides it.
    timed: bool,
    /// Whether it is what it should be; absent where nothing is asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

impl Figure {
    /// A figure that the machine's speed does not change.
    pub(crate) fn count(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            scenario: String::new(),
            name: name.into(),
            value,
            unit,
            target: None,
            timed: false,
            met: None,
        }
    }

    /// A figure of time or memory.
    pub(crate) fn timed(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            timed: true,
            ..Self::count(name, value, unit)
        }
    }

    #[must_use]
    pub(crate) const fn at_least(mut self, least: f64) -> Self {
        self.target = Some(Target::AtLeast(least));
        self
    }

    #[must_use]
    pub(crate) const fn at_most(mut self, most: f64) -> Self {
        self.target = Some(Target::AtMost(most));
        self
    }
}

/// All rows so far.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    rows: Vec<Figure>,
}

impl Figures {
    /// Judges a scenario's figures and shows them. Without `with_timed`, time is measured and not judged.
    pub(crate) fn add(&mut self, scenario: &str, figures: Vec<Figure>, with_timed: bool) {
        for mut figure in figures {
            scenario.clone_into(&mut figure.scenario);
            let judged = figure.target.filter(|_| with_timed || !figure.timed);
            figure.met = judged.map(|target| target.is_met(figure.value));
            println!("{}", line(&figure));
            self.rows.push(figure);
        }
    }

    pub(crate) fn rows(&self) -> &[Figure] {
        &self.rows
    }

    /// How many miss their target.
    pub(crate) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.met == Some(false)).count()
    }
}

/// The table's head.
pub(crate) fn heading() -> String {
    format!(
        "{:<12} {:<52} {:>12} {:<14} {:<12}",
        "scenario", "figure", "value", "unit", "target"
    )
}

fn line(figure: &Figure) -> String {
    let target = match figure.target {
        Some(Target::AtLeast(least)) => format!(">= {}", number(least)),
        Some(Target::AtMost(most)) => format!("<= {}", number(most)),
        None => String::new(),
    };
    let verdict = match figure.met {
        Some(true) => "ok",
        Some(false) => "MISSED",
        None => "",
    };
    let Figure {
        scenario,
        name,
        value,
        unit,
        ..
    } = figure;
    let line = format!(
        "{scenario:<12} {name:<52} {:>12} {unit:<14} {target:<12} {verdict}",
        number(*value)
    );
    line.trim_end().to_owned()
}

/// Three digits that matter, and none made up behind large numbers.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
