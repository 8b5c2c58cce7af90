//! The policy as a loadable library.

set_plugin_sdk::export_plugin!(set_paymaster_policy::PLUGIN);
