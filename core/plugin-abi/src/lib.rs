//! The C ABI between the sidecar and its plugins.
