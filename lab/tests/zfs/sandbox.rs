//! A directory that stands for a host's disk, and shell scripts run on that host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// What a script answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub out: String,
    pub err: String,
    pub status: i32,
}

/// The host: its mounts live as long as the process that holds the namespace.
pub struct Sandbox {
    dir: tempfile::TempDir,
    holder: std::process::Child,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bin", "jails", "mnt", "root"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["zfs", "zpool"] {
            symlink(env!("CARGO_BIN_EXE_lab"), dir.path().join("bin").join(name)).unwrap();
        }
        let mut unshare = Command::new("unshare");
        // Without root, a user namespace in which we are root.
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let holder = unshare
            .args(["--mount", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut sandbox = Sandbox { dir, holder };
        let mut line = [0; 6];
        std::io::Read::read_exact(sandbox.holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        sandbox
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The host's directories instead of those of the recorded one.
    pub fn here(&self, text: &str) -> String {
        let dir = self.path().display().to_string();
        text.replace("/usr/jails", &format!("{dir}/jails"))
            .replace("/mnt/d", &format!("{dir}/mnt/d"))
            .replace("/root/", &format!("{dir}/root/"))
            .replace("/tmp/stream", &format!("{dir}/root/stream"))
            .replace("bs=1m", "bs=1M")
    }

    /// Runs a script.
    pub fn run(&self, script: &str) -> Answer {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path().join("bin").display());
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--mount", "--target", &self.holder.id().to_string()]);
        if !is_root() {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        let output = nsenter
            .args(["sh", "-c", &self.here(script)])
            .env("PATH", path)
            .env("LAB_STATE", self.path().join("state"))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Answer { out: text(&output.stdout), err: text(&output.stderr), status: output.status.code().unwrap_or(-1) }
    }

    /// Runs a script that must succeed and say nothing on standard error; what it said otherwise.
    pub fn ok(&self, script: &str) -> String {
        let answer = self.run(script);
        assert_eq!((answer.status, answer.err.as_str()), (0, ""), "{script}\n{}", answer.out);
        answer.out
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
