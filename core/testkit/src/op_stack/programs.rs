//! Where the programs are.

use std::path::{Path, PathBuf};

use super::OpStackError;
use crate::Program;

/// Directories of the programs.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    directory: PathBuf,
    /// What knows the newest fork; holds some of the programs only.
    newer: Option<PathBuf>,
}

impl Programs {
    /// `SET_OP_STACK_BIN`, or what `op-stack/build` makes; with `karst` what knows that fork goes first.
    pub(super) fn find(karst: bool) -> Self {
        let directory =
            std::env::var_os("SET_OP_STACK_BIN").map_or_else(|| project().join("op-stack/bin"), PathBuf::from);
        Self {
            newer: karst.then(|| directory.join("karst")),
            directory,
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Program, OpStackError> {
        let plain = self.directory.join(name);
        let newer = self.newer.as_ref().map(|directory| directory.join(name));
        let path = newer.filter(|path| path.is_file()).unwrap_or(plain);
        match path.is_file() {
            true => Ok(Program::new(path)),
            false => Err(OpStackError::Missing(path)),
        }
    }
}

/// The project's directory.
pub(super) fn project() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    project.map_or_else(PathBuf::new, Path::to_path_buf)
}
