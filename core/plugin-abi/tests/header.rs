//! The C header says what the Rust types say: sizes, offsets and numbers, checked by a C compiler.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::{fmt::Write as _, fs, mem::offset_of, path::Path, process::Command};

use set_plugin_abi::{
    MAJOR, MAX_PAYLOAD, MINOR, PROTOCOL, SetBuffer, SetCompletion, SetHostV1, SetPluginV1, SetSlice, status,
};

/// Lines of C that fail to compile where the header differs.
fn assertions() -> String {
    let mut lines = String::from("#include \"set_plugin.h\"\n");
    let mut equal = |c: &str, rust: usize| {
        writeln!(lines, "_Static_assert(({c}) == {rust}u, \"{c} is {rust} in Rust\");").unwrap();
    };
    macro_rules! layout {
        ($($type:ident { $($field:ident),* })*) => {$(
            equal(concat!("sizeof(", stringify!($type), ")"), size_of::<$type>());
            $(equal(
                concat!("offsetof(", stringify!($type), ", ", stringify!($field), ")"),
                offset_of!($type, $field),
            );)*
        )*};
    }
    layout! {
        SetSlice { ptr, len }
        SetBuffer { ptr, len, owner, free }
        SetCompletion { complete, ctx, call }
        SetHostV1 { size, major, minor, ctx, log_level, log, metric, call }
        SetPluginV1 { size, major, minor, describe, create, call, cancel, destroy }
    }
    for (c, rust) in [
        ("SET_PLUGIN_MAJOR", MAJOR),
        ("SET_PLUGIN_MINOR", MINOR),
        ("SET_PLUGIN_PROTOCOL", PROTOCOL),
        ("SET_OK", status::OK),
        ("SET_REFUSED", status::REFUSED),
        ("SET_PANICKED", status::PANICKED),
        ("SET_UNKNOWN_METHOD", status::UNKNOWN_METHOD),
        ("SET_INVALID", status::INVALID),
        ("SET_CANCELLED", status::CANCELLED),
        ("SET_LOG_ERROR", status::LOG_ERROR),
        ("SET_LOG_WARN", status::LOG_WARN),
        ("SET_LOG_INFO", status::LOG_INFO),
        ("SET_LOG_DEBUG", status::LOG_DEBUG),
        ("SET_LOG_TRACE", status::LOG_TRACE),
        ("SET_METRIC_COUNTER", status::METRIC_COUNTER),
        ("SET_METRIC_GAUGE", status::METRIC_GAUGE),
        ("SET_METRIC_HISTOGRAM", status::METRIC_HISTOGRAM),
    ] {
        equal(c, rust as usize);
    }
    equal("SET_PLUGIN_MAX_PAYLOAD", MAX_PAYLOAD);
    lines
}

fn compile(source: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("layout.c");
    fs::write(&file, source).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fsyntax-only",
            "-I",
        ])
        .args([include, file])
        .output()
        .expect("a C compiler named `cc`, which Rust links with too");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn the_header_has_the_layout_of_the_types() {
    let (fits, complaints) = compile(&assertions());
    assert!(fits, "{complaints}");
}

#[test]
fn a_difference_does_not_compile() {
    let (fits, complaints) =
        compile("#include \"set_plugin.h\"\n_Static_assert(sizeof(SetSlice) == 1u, \"differs\");\n");
    assert!(!fits && complaints.contains("differs"), "{complaints}");
}
