//! What it was measured on.

use std::fs;

use serde::Serialize;

/// The machine and the build.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    /// The processor as it names itself.
    processor: String,
    cores: usize,
    memory_gib: f64,
    build: &'static str,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (processors, memory) = (text("/proc/cpuinfo"), text("/proc/meminfo"));
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
        };
        let kib = field(&memory, "MemTotal").and_then(|value| value.split(' ').next()?.parse::<f64>().ok());
        Self {
            processor: field(&processors, "model name").unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib.unwrap_or_default() / 1024.0 / 1024.0).round(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            processor,
            cores,
            memory_gib,
            build,
        } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib} GiB, {build} build")
    }
}
