//! The source as a loadable library.

set_plugin_sdk::export_plugin!(set_sequencer_http::PLUGIN);
