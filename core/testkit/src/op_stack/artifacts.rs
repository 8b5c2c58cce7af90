//! Compiled contracts of L1, as `@eth-optimism/contracts-bedrock` ships them.

use std::path::{Path, PathBuf};

use alloy_primitives::Bytes;
use serde::Deserialize;

use super::{OpStackError, programs::project};

#[derive(Deserialize)]
struct Artifact {
    bytecode: Bytecode,
}

#[derive(Deserialize)]
struct Bytecode {
    object: Bytes,
}

/// Creation code of a contract, with its constructor's arguments (ABI-encoded) behind.
pub(super) fn creation_code(name: &str, arguments: Vec<u8>) -> Result<Bytes, OpStackError> {
    let path = file(name);
    let failed = |reason: String| OpStackError::Artifact {
        file: path.display().to_string(),
        reason,
    };
    let content = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
    let artifact: Artifact = serde_json::from_slice(&content).map_err(|error| failed(error.to_string()))?;
    Ok([artifact.bytecode.object.as_ref(), &arguments].concat().into())
}

fn file(name: &str) -> PathBuf {
    let package = Path::new("op-stack/l1-contracts/node_modules/@eth-optimism/contracts-bedrock");
    let artifact = format!("forge-artifacts/{name}.sol/{name}.json");
    project().join(package).join(artifact)
}
