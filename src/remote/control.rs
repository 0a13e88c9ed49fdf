//! The directory of the control sockets: private, short, and gone afterwards.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

/// `sun_path` of FreeBSD and macOS, with its terminating NUL (sys/un.h); Linux has 108.
const SOCKET_PATH_BYTES: usize = 104;

/// While ssh opens the socket its name carries a dot and 16 random characters (openssh mux.c, `muxserver_listen`).
const SSH_SUFFIX: usize = 17;

/// The longest name below the directory: a number and `.s`.
const LONGEST_NAME: usize = 8;

/// All our directories begin with this.
const PREFIX: &str = "jf-";

/// Makes a new directory, mode 0700, below the first of the candidates that is short enough.
///
/// # Errors
/// When no candidate is short enough or writable.
pub fn create(candidates: &[PathBuf]) -> io::Result<TempDir> {
    let mut last = io::Error::other("no directory for ssh's control sockets is short enough");
    for base in candidates {
        // `jf-` and six random characters.
        let length = base.as_os_str().len() + 1 + PREFIX.len() + 6 + 1 + LONGEST_NAME + SSH_SUFFIX + 1;
        if !base.is_absolute() || length > SOCKET_PATH_BYTES {
            continue;
        }
        let private = Permissions::from_mode(0o700);
        match tempfile::Builder::new().prefix(PREFIX).rand_bytes(6).permissions(private).tempdir_in(base) {
            Ok(directory) => {
                remove_stale(base, directory.path());
                return Ok(directory);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `$XDG_RUNTIME_DIR` where there is one, else /tmp. Not `$TMPDIR`: macOS makes that one too long.
pub fn candidates() -> Vec<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).into_iter().chain([PathBuf::from("/tmp")]).collect()
}

/// Removes what a killed process left an hour ago or earlier: directories of ours without a socket that answers.
/// Whatever cannot be looked at is left alone; this is tidying, no step of a run depends on it.
fn remove_stale(base: &Path, own: &Path) {
    let Ok(us) = fs::metadata(own).map(|m| m.uid()) else { return };
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let Ok(about) = entry.metadata() else { continue };
        let old =
            about.modified().ok().and_then(|t| t.elapsed().ok()).is_some_and(|age| age > Duration::from_secs(3600));
        if old && about.is_dir() && about.uid() == us && path != own && !has_live_socket(&path) {
            drop(fs::remove_dir_all(&path));
        }
    }
}

/// Does a master still listen in `directory`?
fn has_live_socket(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return true };
    entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_socket()))
        .any(|e| UnixStream::connect(e.path()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_runtime_directory_is_passed_over() {
        let long = tempfile::Builder::new().prefix(&"x".repeat(90)).tempdir_in("/tmp").unwrap();
        let made = create(&[long.path().to_owned(), PathBuf::from("/tmp")]).unwrap();
        assert_eq!(made.path().parent(), Some(Path::new("/tmp")));
        assert_eq!(fs::metadata(made.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(create(&[long.path().to_owned()]).is_err());
    }

    #[test]
    fn every_socket_path_fits_freebsd() {
        let made = create(&candidates()).unwrap();
        let socket = made.path().join("9".repeat(LONGEST_NAME));
        assert!(socket.as_os_str().len() + SSH_SUFFIX < SOCKET_PATH_BYTES);
    }
}
