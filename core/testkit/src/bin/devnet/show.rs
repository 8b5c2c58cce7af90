//! A line for each step of a commitment.

use std::io::IsTerminal;

use set_types::Commitment;

/// Prints that a commitment has come so far.
pub(crate) fn show(step: &str, commitment: &Commitment, details: &str) {
    let colour = match step {
        "included" => "32",
        "reported" => "36",
        "safe" | "finalized" => "34",
        "claimed" => "35",
        "held" | "blocked" | "quarantined" => "33",
        _ => "2",
    };
    let (start, end) = if std::io::stdout().is_terminal() {
        (format!("\x1b[{colour}m"), "\x1b[0m")
    } else {
        (String::new(), "")
    };
    let batch: String = commitment.batch_id.to_string().chars().take(8).collect();
    let store: String = commitment.store_id.to_string().chars().take(4).collect();
    let range = format!("{}-{}", commitment.sequence_start, commitment.sequence_end);
    let line = format!("{start}{step:<11}{end} {batch}  store {store}  events {range:<9} {details}");
    println!("{}", line.trim_end());
}

/// The last lines of a program's output.
pub(crate) fn tail(lines: &[String], count: usize) -> String {
    lines[lines.len().saturating_sub(count)..].join("\n")
}
