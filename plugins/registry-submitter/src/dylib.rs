//! The submitter as a loadable library.

set_plugin_sdk::export_plugin!(set_registry_submitter::PLUGIN);
