//! `set_version`.

use alloy_primitives::U64;
use serde::{Deserialize, Serialize};

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionAnswer {
    /// `set-sidecar`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Chain id of the L2.
    pub chain_id: U64,
    /// Every method there is.
    pub methods: Vec<MethodAnswer>,
}

/// A method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodAnswer {
    /// Its name.
    pub name: String,
    /// What it answers, in one sentence.
    pub summary: String,
    /// Its parameters, by position; an object by these names works too.
    pub params: Vec<ParamAnswer>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParamAnswer {
    /// Its name.
    pub name: String,
    /// Whether it must be given.
    pub required: bool,
    /// What to give.
    pub form: String,
}
