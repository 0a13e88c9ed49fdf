//! Two pools, and the product's commands run on them.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command as Process;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use jailferry::effect::Effect;
use jailferry::effect::Work;
use jailferry::effect::command::Become;
use jailferry::effect::command::Command;
use jailferry::effect::work::DONE;
use tempfile::TempDir;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Stands in for FreeBSD's lockf(1), as the product calls it.
const LOCKF: &str = "#!/bin/sh\n# lockf -k -s -t SECONDS FILE COMMAND...\nseconds=$4 file=$5\nshift 5\nexec flock -E 75 -w \"$seconds\" \"$file\" \"$@\"\n";

/// Ten times as patient: a machine that emulates every instruction is slow, and deadlines are tested in the lab.
const TIMEOUT: &str = "#!/bin/sh\n# timeout [--foreground] -k GRACE SECONDS COMMAND...\nforeground=\nif [ \"$1\" = --foreground ]; then foreground=$1; shift; fi\ngrace=$2 seconds=$3\nshift 3\nexec /usr/bin/timeout $foreground -k \"$grace\" $((seconds * 10)) \"$@\"\n";

/// FreeBSD's `mount -p`: what is mounted, and where (mount(8)).
const MOUNT: &str = "#!/bin/sh\nif [ \"$*\" = -p ]; then exec cat /proc/self/mounts; fi\nexec /bin/mount \"$@\"\n";

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Two pools, each with a folder where its datasets are mounted; gone when dropped.
pub struct Bench {
    pub source: String,
    pub target: String,
    folder: TempDir,
}

impl Bench {
    pub fn make() -> Bench {
        assert!(Path::new("/dev/zfs").exists(), "this kernel has no ZFS: these tests are run by `make zfs-lab`");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| format!("jf{side}{}x{number}", std::process::id());
        let bench = Bench { source: name("a"), target: name("b"), folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(bench.path("bin")).expect("a folder");
        bench.tool("lockf", LOCKF);
        bench.tool("timeout", TIMEOUT);
        bench.tool("mount", MOUNT);
        for pool in [&bench.source, &bench.target] {
            let file = bench.path(&format!("{pool}.img"));
            let root = bench.path(pool);
            bench.sh(&format!(
                "truncate -s 1g {file}\nzpool create -m none -o ashift=12 -o cachefile=none -O compression=lz4 {pool} {file}\nzfs create -o mountpoint={root} {pool}/jails"
            ));
        }
        bench
    }

    fn tool(&self, name: &str, script: &str) {
        let file = self.path(&format!("bin/{name}"));
        fs::write(&file, script).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A shell script that has to succeed: what it printed.
    pub fn sh(&self, script: &str) -> String {
        let answer = self.try_sh(script);
        assert_eq!(answer.status, 0, "{script}\n{answer:?}");
        answer.out
    }

    pub fn try_sh(&self, script: &str) -> Answer {
        finish(self.process("exec /bin/sh -es"), Some(script))
    }

    fn process(&self, line: &str) -> Process {
        let mut process = Process::new("/bin/sh");
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin"));
        process.args(["-c", line]).env("PATH", path).env("LC_ALL", "C");
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process
    }

    /// A command of the product, as a host gets it.
    pub fn command(&self, command: &Command) -> Answer {
        let script = command.stdin().map(|script| on_linux(&script));
        finish(self.process(&on_linux(&command.remote_line(Become::None))), script.as_deref())
    }

    /// An effect that has to succeed.
    pub fn does(&self, effect: &Effect) {
        self.works(&effect.work()).unwrap_or_else(|answer| panic!("{effect:#?}\n{answer:#?}"));
    }

    /// An effect that may fail.
    pub fn tries(&self, effect: &Effect) -> Result<(), Answer> {
        self.works(&effect.work())
    }

    fn works(&self, work: &Work) -> Result<(), Answer> {
        match work {
            Work::Nothing => Ok(()),
            Work::Run(commands) => commands.iter().try_for_each(|command| self.succeeds(command).map(drop)),
            Work::Sequence(parts) => parts.iter().try_for_each(|part| self.works(part)),
            Work::Unless { done, work } => {
                if self.succeeds(done)?.out.trim() == DONE {
                    return Ok(());
                }
                self.works(work)
            }
            Work::Pipe { from, to, .. } => self.pipe(from, to, None).map(drop),
            Work::Compare { left, right } => {
                let (left, right) = (self.succeeds(left)?, self.succeeds(right)?);
                if left.out == right.out { Ok(()) } else { Err(Answer { status: 1, out: left.out, err: right.out }) }
            }
            other => panic!("no storage: {other:?}"),
        }
    }

    fn succeeds(&self, command: &Command) -> Result<Answer, Answer> {
        let answer = self.command(command);
        if answer.status == 0 { Ok(answer) } else { Err(answer) }
    }

    /// Lets one command feed the other, up to so many bytes; then both are killed, as by a machine that dies. The bytes
    /// that went over.
    pub fn pipe(&self, from: &Command, to: &Command, most: Option<u64>) -> Result<u64, Answer> {
        let spawn =
            |command: &Command| self.process(&on_linux(&command.remote_line(Become::None))).spawn().expect("sh runs");
        let (mut sender, mut receiver) = (spawn(from), spawn(to));
        drop(sender.stdin.take());
        let mut output = sender.stdout.take().expect("a pipe");
        let mut input = receiver.stdin.take().expect("a pipe");
        let (mut moved, mut buffer) = (0, vec![0; 65536]);
        let cut = loop {
            let room = most.map_or(buffer.len() as u64, |most| most.saturating_sub(moved).min(buffer.len() as u64));
            if room == 0 {
                break true;
            }
            let read = output.read(&mut buffer[..room as usize]).expect("a pipe");
            // A receiver that has refused reads no more.
            if read == 0 || input.write_all(&buffer[..read]).is_err() {
                break false;
            }
            moved += read as u64;
        };
        if cut {
            // The stream breaks off; zfs(8) itself notices and ends.
            drop(sender.kill());
        }
        drop((input, output));
        let read = |child: std::process::Child| answer(child.wait_with_output().expect("it ends"));
        let (sent, received) = (read(sender), read(receiver));
        match (cut, received.status, sent.status) {
            (true, _, _) | (false, 0, 0) => Ok(moved),
            (false, 0, _) => Err(sent),
            (false, _, _) => Err(received),
        }
    }
}

/// FreeBSD's `jailed` is `zoned` here (zfsprops(7)).
fn on_linux(text: &str) -> String {
    text.replace("jailed", "zoned")
}

fn finish(mut process: Process, input: Option<&str>) -> Answer {
    let mut child = process.spawn().expect("sh runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // What ends before it has read all tells why by its status.
    drop(stdin.write_all(input.unwrap_or_default().as_bytes()));
    drop(stdin);
    answer(child.wait_with_output().expect("it ends"))
}

fn answer(output: std::process::Output) -> Answer {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { status: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pool in [&self.source, &self.target] {
            let gone = self.try_sh(&format!(
                "n=0; until zpool destroy -f {pool}; do n=$((n + 1)); [ $n -lt 20 ]; sleep 0.5; done; rm -f /var/run/jailferry-{pool}%*"
            ));
            if gone.status != 0 && !std::thread::panicking() {
                panic!("{gone:?}");
            }
        }
    }
}
