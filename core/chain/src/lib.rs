//! Contract bindings, the chain's head and settlement, registry and paymaster readers.
