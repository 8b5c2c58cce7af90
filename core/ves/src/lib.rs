//! VES
