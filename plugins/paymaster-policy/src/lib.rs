//! Policy plugin: when commitments go, and which sponsorships are paid.
