//! A lab's folder on the machine that runs it, and the process behind it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;

/// A lab's folder. It holds `ssh_config`, `env`, keys, `lab.log`, `pid` and the control socket; the hosts' disks are under [`Place::disks`], in the lab's own mount namespace.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder.
    pub dir: PathBuf,
}

impl Place {
    /// From `--dir D` or `--name N` or the environment (`LAB_DIR`, `XDG_RUNTIME_DIR`).
    pub fn choose(dir: Option<&str>, name: Option<&str>) -> Result<Place> {
        let dir = match (dir, name, std::env::var_os("LAB_DIR")) {
            (Some(dir), _, _) => PathBuf::from(dir),
            (None, None, Some(dir)) => PathBuf::from(dir),
            (None, name, _) => base().join(name.unwrap_or("default")),
        };
        let dir = std::path::absolute(&dir).with_context(|| format!("cannot make {} absolute", dir.display()))?;
        // The path of the control socket must fit into sun_path.
        if dir.as_os_str().len() > 80 {
            bail!("the lab's folder {} has too long a path (80 bytes at most)", dir.display());
        }
        Ok(Place { dir })
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where the supervisor mounts the hosts' disks.
    pub fn disks(&self) -> PathBuf {
        self.dir.join("disks")
    }

    /// Pid of the lab's outer process, if it runs.
    pub fn outer(&self) -> Option<i32> {
        let text = fs::read_to_string(self.file("pid")).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let pid: i32 = pid.parse().ok()?;
        (start_time(pid)? == started).then_some(pid)
    }

    /// As [`Place::outer`], but it must run.
    pub fn running(&self) -> Result<i32> {
        self.outer().with_context(|| format!("no lab runs in {} (start one with: lab up)", self.dir.display()))
    }

    /// Writes `pid`.
    pub fn record(&self, pid: i32) -> Result<()> {
        let started = start_time(pid).context("the lab's process ended at once")?;
        fs::write(self.file("pid"), format!("{pid} {started}\n")).context("cannot write the lab's pid file")
    }

    /// Pid (as the machine counts) of a host's pid 1, if the host is up. `/proc/PID/root` is the host as it sees itself.
    pub fn init(&self, node: &str) -> Option<i32> {
        let wanted = format!("__host {} {node} ", self.dir.display());
        let host = |pid: &i32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| command_line(&line).contains(&wanted))
        };
        let launcher = children(self.outer()?).into_iter().find(host)?;
        children(launcher).into_iter().next()
    }

    /// A path on a host's disk, seen from outside of the lab.
    pub fn on_disk(&self, node: &str, path: &str) -> Result<PathBuf> {
        let outer = self.running()?;
        let disk = self.disks().join(node);
        let inside = disk.strip_prefix("/").unwrap_or(&disk);
        Ok(Path::new("/proc").join(outer.to_string()).join("root").join(inside).join(path.trim_start_matches('/')))
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The words of a command line, each followed by a space.
fn command_line(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).replace('\0', " ")
}

fn base() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if Path::new(&dir).is_dir() => PathBuf::from(dir).join("jailferry-lab"),
        _ => {
            let uid = std::env::var("SUDO_UID").unwrap_or_else(|_| nix::unistd::getuid().to_string());
            PathBuf::from(format!("/tmp/jailferry-lab-{uid}"))
        }
    }
}

/// Field 22 of /proc/PID/stat: with the pid, it names a process for good.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18).map(str::to_string)
}
