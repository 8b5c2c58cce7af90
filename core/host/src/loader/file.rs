//! Plugin files: where they may be, who may write to them, and the copy that is loaded.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::error::Problem;

/// The largest plugin file that is read, in bytes. An unstripped debug build takes tens of megabytes.
const LARGEST: u64 = 1 << 30;

fn refuse(path: &Path, reason: impl Into<String>) -> Problem {
    Problem::File {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

/// The file itself, without links and dots. A bare name never reaches the system's library path.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, Problem> {
    path.canonicalize().map_err(|error| refuse(path, error.to_string()))
}

/// The file that `path` means: it must be in one of `dirs`, and nobody else may be able to change it.
pub(super) fn find(path: &Path, dirs: &[PathBuf]) -> Result<PathBuf, Problem> {
    let bare = path.components().count() == 1 && path.is_relative();
    let candidate = if bare {
        dirs.iter()
            .map(|dir| dir.join(path))
            .find(|candidate| candidate.exists())
    } else {
        Some(path.to_owned())
    };
    let named: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    let named = if named.is_empty() {
        "none are configured".to_owned()
    } else {
        named.join(", ")
    };
    let Some(candidate) = candidate else {
        return Err(refuse(
            path,
            format!("is in none of the plugin directories (`sidecar.plugin_dirs`: {named})"),
        ));
    };
    let file = canonical(&candidate)?;
    let inside = |dir: &PathBuf| dir.canonicalize().is_ok_and(|dir| file.starts_with(dir));
    if !dirs.iter().any(inside) {
        return Err(refuse(
            &file,
            format!("is outside of the plugin directories (`sidecar.plugin_dirs`: {named})"),
        ));
    }
    check_writers(&file)?;
    Ok(file)
}

/// Refuses a path that somebody other than root and this user could change or replace: each part of it
/// must belong to one of them and be writable by nobody else. As everywhere, a directory with the
/// sticky bit (`/tmp`) may be written to by all, for they cannot replace what is not theirs.
fn check_writers(path: &Path) -> Result<(), Problem> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    for part in path.ancestors() {
        let metadata = fs::metadata(part).map_err(|error| refuse(part, error.to_string()))?;
        if let Some(reason) = other_writer(&metadata, user, group) {
            return Err(refuse(part, reason));
        }
    }
    Ok(())
}

fn other_writer(metadata: &Metadata, user: u32, group: u32) -> Option<String> {
    const STICKY: u32 = 0o1000;
    let (mode, owner) = (metadata.mode(), metadata.uid());
    if owner != 0 && owner != user {
        return Some(format!(
            "belongs to user {owner}; a plugin and the directories above it must be root's or yours"
        ));
    }
    if metadata.is_dir() && mode & STICKY != 0 {
        return None;
    }
    if mode & 0o002 != 0 {
        return Some("can be written by everybody; run `chmod o-w` on it".to_owned());
    }
    // Where each user has a group of the same number, that group is the user.
    let private = metadata.gid() == group && group == user;
    (mode & 0o020 != 0 && !private)
        .then(|| format!("can be written by group {}; run `chmod g-w` on it", metadata.gid()))
}

/// A plugin file as it was read, once: what is hashed is what is loaded.
pub(super) struct Image {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: [u8; 32],
}

/// The copy that is loaded. A temporary one disappears with this value; the mapping stays.
pub(super) struct Copy {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Copy {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Image {
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let of = |error: io::Error| refuse(path, error.to_string());
        let file = File::open(path).map_err(of)?;
        let metadata = file.metadata().map_err(of)?;
        if !metadata.is_file() {
            return Err(refuse(path, "is no file"));
        }
        let mut bytes = vec![];
        // One byte more than allowed, for the file may grow while it is read.
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(of)?;
        if bytes.len() as u64 > LARGEST {
            return Err(refuse(path, format!("is larger than {LARGEST} bytes")));
        }
        let sha256 = Sha256::digest(&bytes).into();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            sha256,
        })
    }

    pub(super) const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    pub(super) fn check_digest(&self, pin: &[u8; 32]) -> Result<(), Problem> {
        if *pin == self.sha256 {
            return Ok(());
        }
        let (expected, found) = (hex::encode(pin), hex::encode(self.sha256));
        Err(Problem::Digest {
            path: self.path.clone(),
            expected,
            found,
        })
    }

    /// Copies the image to `<data>/plugins/<name>-<sha256>.so`, or to a temporary directory. Under a name
    /// of its own, for the system's loader takes a path that it knows to mean the code that it knows.
    pub(super) fn place(&self, data_dir: Option<&Path>) -> Result<Copy, Problem> {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{name}-{}.so", hex::encode(self.sha256));
        let (dir, temporary) = match data_dir {
            Some(data_dir) => (data_dir.join("plugins"), None),
            None => {
                let prefix = tempfile::Builder::new().prefix("set-plugin-").tempdir();
                let dir = prefix.map_err(|error| refuse(&std::env::temp_dir(), error.to_string()))?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| refuse(&dir, format!("cannot be made to keep plugins in: {error}")))?;
        let dir = canonical(&dir)?;
        check_writers(&dir)?;
        let path = dir.join(name);
        if !self.is_at(&path) {
            self.write(&dir, &path)
                .map_err(|error| refuse(&path, format!("cannot be written: {error}")))?;
        }
        Ok(Copy {
            path,
            _temporary: temporary,
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.bytes.len() as u64)
            && fs::read(path).is_ok_and(|bytes| bytes == self.bytes)
    }

    /// Writes beside the path and renames, so that nobody ever loads half a file.
    fn write(&self, dir: &Path, path: &Path) -> io::Result<()> {
        let draft = dir.join(format!(
            ".{}-{}.part",
            hex::encode(&self.sha256[..8]),
            std::process::id()
        ));
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o500)
            .open(&draft)?;
        // No sync: a copy that a crash cut short is not what `is_at` looks for, and is written again.
        file.write_all(&self.bytes)?;
        fs::rename(&draft, path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn directory() -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("libx.so");
        fs::write(&file, b"code").unwrap();
        set_mode(&file, 0o644);
        (dir, file)
    }

    #[test]
    fn a_file_is_found_by_name_and_by_path_inside_the_directories_only() {
        let (dir, file) = directory();
        let (other, _) = directory();
        let dirs = [other.path().join("missing"), dir.path().to_owned()];
        let real = file.canonicalize().unwrap();
        assert_eq!(find(Path::new("libx.so"), &dirs).unwrap(), real);
        assert_eq!(find(&file, &dirs).unwrap(), real);
        assert!(
            find(Path::new("libc.so.6"), &dirs)
                .unwrap_err()
                .to_string()
                .contains("in none of")
        );
        assert!(
            find(&other.path().join("libx.so"), &dirs)
                .unwrap_err()
                .to_string()
                .contains("outside of")
        );
        let link = dir.path().join("liblink.so");
        symlink(other.path().join("libx.so"), &link).unwrap();
        assert!(find(&link, &dirs).unwrap_err().to_string().contains("outside of"));
        assert!(find(&dir.path().join("../x.so"), &dirs).is_err());
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let (dir, file) = directory();
        let dirs = [dir.path().to_owned()];
        set_mode(&file, 0o646);
        assert!(find(&file, &dirs).unwrap_err().to_string().contains("chmod o-w"));
        set_mode(&file, 0o644);
        set_mode(dir.path(), 0o777);
        assert!(find(&file, &dirs).unwrap_err().to_string().contains("chmod o-w"));
        set_mode(dir.path(), 0o1777);
        find(&file, &dirs).unwrap();
        let metadata = fs::metadata(&file).unwrap();
        let owner = metadata.uid();
        assert_eq!(other_writer(&metadata, owner, metadata.gid()), None);
        if owner != 0 {
            assert!(
                other_writer(&metadata, owner + 1, 0)
                    .unwrap()
                    .contains("belongs to user")
            );
        }
        set_mode(&file, 0o664);
        let metadata = fs::metadata(&file).unwrap();
        assert!(
            other_writer(&metadata, owner, metadata.gid() + 1)
                .unwrap()
                .contains("chmod g-w")
        );
    }

    #[test]
    fn a_copy_is_named_by_its_content_and_mended() {
        let (dir, file) = directory();
        let data = dir.path().join("data");
        let image = Image::read(&file).unwrap();
        let copy = image.place(Some(&data)).unwrap();
        let digest = hex::encode(Sha256::digest(b"code"));
        assert_eq!(
            copy.path(),
            data.canonicalize().unwrap().join(format!("plugins/libx-{digest}.so"))
        );
        assert_eq!(fs::metadata(data.join("plugins")).unwrap().mode() & 0o777, 0o700);
        set_mode(copy.path(), 0o700);
        fs::write(copy.path(), b"evil").unwrap();
        image.place(Some(&data)).unwrap();
        assert_eq!(fs::read(copy.path()).unwrap(), b"code");
        let temporary = image.place(None).unwrap();
        assert!(temporary.path().exists());
        let wrong = image.check_digest(&[7; 32]).unwrap_err().to_string();
        assert!(wrong.contains(&digest) && wrong.contains(&"07".repeat(32)), "{wrong}");
    }
}
