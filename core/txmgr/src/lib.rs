//! Signers, nonces, fees, replacement and confirmation of transactions.
