//! From source to report: checks, policies, plans, settlement, quarantine.
