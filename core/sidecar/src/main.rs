//! The program: configuration, wiring, command line.
fn main() {}
