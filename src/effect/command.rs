//! A command as data: what runs where, printed exactly as it is executed.

use serde::Deserialize;
use serde::Serialize;

use crate::effect::shell;
use crate::model::DatasetName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::Owner;
use crate::model::RunId;

/// How commands become root on a host (fleet.yml `become`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// The ssh user is root.
    #[default]
    None,
    /// sudo(8) from ports, without a password.
    Sudo,
    /// doas(1) from ports, without a password.
    Doas,
    /// mdo(1) of the base system (late 14.x, 15.0).
    Mdo,
}

/// One command for one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Command {
    /// The host it runs on.
    pub host: NodeName,
    /// What runs.
    pub form: Form,
    /// Seconds after which both sides give up on it.
    pub timeout: u32,
    /// The jail whose turn on the host it waits for and keeps while it runs: what starts, stops or mounts a jail goes
    /// one after the other, also when the connection of an earlier such command is long gone.
    #[serde(default)]
    pub turn: Option<JailName>,
    /// What else it waits for.
    #[serde(default)]
    pub lock: Option<Lock>,
    /// Does nothing that it starts outlive it? Then everything of it is ended when its time is over.
    #[serde(default)]
    pub whole: bool,
    /// What must hold on the host, or the script does nothing.
    #[serde(default)]
    pub guard: Option<Guard>,
}

/// Who may still change the host for a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// The run.
    pub run: RunId,
    /// Its jail.
    pub jail: JailName,
    /// Who drives it. A machine that was taken for dead and comes back is refused (exit status 25).
    pub owner: Owner,
    /// Must the host's lease be alive, too (exit status 24)?
    pub lease: bool,
}

impl Guard {
    /// The lines in front of a script, which start no program where nothing is wrong: they are in front of every step. A
    /// host without the run's folder knows of no owner and no lease.
    fn text(&self) -> String {
        let folder = format!("{RUNS}/{}", self.run);
        let mut text = format!(
            "if {{ read -r driver < {folder}/owner; }} 2>/dev/null; then\n  {}\nelif [ -e {folder}/owner ]; then\n  cat {folder}/owner >/dev/null\n  echo 'who drives run {run} cannot be read' >&2\n  exit 21\nfi\n",
            refuse_others(&self.run, &self.owner),
            run = self.run,
        );
        if self.lease {
            text.push_str(&format!(
                "[ ! -e {folder}/lease/lapsed ] || {{ echo 'nobody was heard for too long: this host has gone back by itself' >&2; exit {LAPSED}; }}\n"
            ));
        }
        text
    }
}

/// Ends a script whose `$driver` is somebody else. The file is read once: a script beside it may take it away at any time,
/// and a run that nobody drives is not taken over.
pub(crate) fn refuse_others(run: &RunId, owner: &Owner) -> String {
    format!("[ \"$driver\" = {owner} ] || {{ echo \"run {run} was taken over by $driver\" >&2; exit {SUPERSEDED}; }}")
}

/// A lock on a host, of whatever jail or run: lockf(1) gives up after its seconds (contract 6.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lock {
    /// Its file, which stays.
    pub file: String,
    /// Seconds to wait.
    pub seconds: u32,
}

impl Lock {
    /// One edit of configuration on a host at a time, and none while AllowedIPs change, whichever jails move: such a
    /// script reads, computes and writes.
    #[must_use]
    pub fn edits() -> Lock {
        Lock { file: CHANGES.into(), seconds: 150 }
    }

    /// One receive into a dataset at a time.
    #[must_use]
    pub fn receive(into: &DatasetName) -> Lock {
        // '%' is in no dataset's name.
        Lock { file: format!("/var/run/jailferry-{}.receive", into.as_str().replace('/', "%")), seconds: 30 }
    }

    fn words(&self) -> [String; 6] {
        ["lockf", "-k", "-s", "-t", &self.seconds.to_string(), &self.file].map(str::to_owned)
    }
}

/// The lock of everything on a host that reads, computes and writes.
pub const CHANGES: &str = "/var/run/jailferry.lock";

/// Where every run has a folder on the hosts it changes.
pub const RUNS: &str = "/var/db/jailferry";

/// Exit status of a script on a host that has gone back by itself.
pub const LAPSED: i32 = 24;

/// Exit status of a script of a machine whose run another one has taken over.
pub const SUPERSEDED: i32 = 25;

/// lockf(1): the lock was not to be had in time (EX_TEMPFAIL, contract 6.1).
pub const NO_TURN: i32 = 75;

/// Seconds to wait for a turn: longer than any command that keeps one may take.
pub const TURN: u32 = 600;

/// The lock of a jail's turns on a host.
#[must_use]
pub fn turn_lock(jail: &JailName) -> String {
    format!("/var/run/jailferry-{jail}.turn")
}

/// The two ways to hand a command to a host whose login shell may be csh (contract 0.20, 6.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One program with its arguments; standard input and output are free for data.
    Argv(Vec<String>),
    /// A script for /bin/sh, sent on standard input.
    Script(String),
}

impl Command {
    /// A program with its arguments.
    pub fn argv<S: Into<String>>(host: &NodeName, timeout: u32, words: impl IntoIterator<Item = S>) -> Command {
        Command::new(host, timeout, Form::Argv(words.into_iter().map(Into::into).collect()))
    }

    /// A script.
    pub fn script(host: &NodeName, timeout: u32, body: impl Into<String>) -> Command {
        Command::new(host, timeout, Form::Script(body.into()))
    }

    fn new(host: &NodeName, timeout: u32, form: Form) -> Command {
        Command { host: host.clone(), form, timeout, turn: None, lock: None, whole: false, guard: None }
    }

    /// Lets it wait for the jail's turn on the host.
    #[must_use]
    pub fn in_turn(mut self, jail: &JailName) -> Command {
        self.turn = Some(jail.clone());
        self
    }

    /// Lets it wait for a lock on the host and keep it while it runs.
    #[must_use]
    pub fn under(mut self, lock: Lock) -> Command {
        self.lock = Some(lock);
        self
    }

    /// Says that nothing that it starts is to outlive it: no daemon, no jail. When its time is over, what hangs in it is
    /// ended as well instead of working on with nobody's turn.
    #[must_use]
    pub fn whole(mut self) -> Command {
        self.whole = true;
        self
    }

    /// Lets it do nothing unless the guard holds. Only scripts can ask.
    #[must_use]
    pub fn guarded(mut self, guard: &Guard) -> Command {
        if matches!(self.form, Form::Script(_)) {
            self.guard = Some(guard.clone());
        }
        self
    }

    /// A guarded script that also waits for the jail's turn: what a killed run or a lost connection left at work on the
    /// host ends before the next owner changes anything there.
    #[must_use]
    pub fn exclusive(self, guard: &Guard) -> Command {
        let guarded = self.guarded(guard);
        if guarded.guard.is_some() { guarded.in_turn(&guard.jail) } else { guarded }
    }

    /// Seconds until the host itself has ended it, whatever it does.
    #[must_use]
    pub fn patience(&self) -> u32 {
        let turn = if self.turn.is_some() { TURN } else { 0 };
        let lock = self.lock.as_ref().map_or(0, |lock| lock.seconds);
        self.timeout.saturating_add(turn).saturating_add(lock)
    }

    /// The string that ssh hands to the login shell, the same for sh and csh: no newline, no `!`, no redirection.
    ///
    /// `timeout --foreground` unless the command is [`whole`](Command::whole), since without it FreeBSD's timeout(1)
    /// becomes the reaper of everything the command leaves running (usr.bin/timeout/timeout.c, PROC_REAP_ACQUIRE,
    /// PROC_REAP_KILL) and would wait for, and then kill, the jail that it started.
    #[must_use]
    pub fn remote_line(&self, become_root: Become) -> String {
        let mut words: Vec<String> = vec!["exec".into()];
        let prefix: &[&str] = match become_root {
            Become::None => &[],
            Become::Sudo => &["sudo", "-n", "--"],
            Become::Doas => &["doas", "-n", "--"],
            Become::Mdo => &["mdo", "-u", "root", "--"],
        };
        words.extend(prefix.iter().map(|w| (*w).to_owned()));
        // lockf outside, so that the turn ends with the command and not when only timeout(1) is killed.
        if let Some(jail) = &self.turn {
            words.extend(["lockf", "-k", "-s", "-t"].map(str::to_owned));
            words.extend([TURN.to_string(), turn_lock(jail)]);
        }
        words.extend(self.bounded());
        shell::line(&words)
    }

    /// What the host itself runs when it carries the command out by itself, in the turn that it has.
    #[must_use]
    pub fn on_the_host(&self) -> String {
        shell::line(&self.bounded())
    }

    /// The program under its lock and its deadline.
    fn bounded(&self) -> Vec<String> {
        let mut words: Vec<String> = self.lock.iter().flat_map(Lock::words).collect();
        let seconds = self.timeout.to_string();
        words.push("timeout".into());
        if !self.whole {
            words.push("--foreground".into());
        }
        words.extend(["-k", "10", &seconds].map(str::to_owned));
        match &self.form {
            Form::Argv(argv) => words.extend(argv.iter().cloned()),
            Form::Script(_) => words.extend(["/bin/sh", "-s"].map(str::to_owned)),
        }
        words
    }

    /// What goes to standard input: the script, wrapped so that sh has read all of it before the first command runs
    /// and no command can swallow the rest (contract 6.6).
    #[must_use]
    pub fn stdin(&self) -> Option<String> {
        match &self.form {
            Form::Argv(_) => None,
            Form::Script(body) => {
                let guard = self.guard.as_ref().map(Guard::text).unwrap_or_default();
                Some(format!("{PREAMBLE}{guard}main() {{\n{body}\n}}\nmain </dev/null\nexit\n"))
            }
        }
    }

    /// What a person reads in a plan: the command line, or the script's text.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.form {
            Form::Argv(argv) => shell::line(argv),
            Form::Script(body) => body.clone(),
        }
    }
}

/// The first lines of every script: stop at the first failure and at unset names, one locale, base system paths.
pub const PREAMBLE: &str = "set -eu
LC_ALL=C; export LC_ALL
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin; export PATH
umask 077
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_shell_sees_one_harmless_line() {
        let big = NodeName::new("big").unwrap();
        let script = Command::script(&big, 60, "zfs list\necho 'done!'");
        assert_eq!(script.remote_line(Become::None), "exec timeout --foreground -k 10 60 /bin/sh -s");
        assert_eq!(script.remote_line(Become::Sudo), "exec sudo -n -- timeout --foreground -k 10 60 /bin/sh -s");
        assert!(script.stdin().unwrap().ends_with("main() {\nzfs list\necho 'done!'\n}\nmain </dev/null\nexit\n"));
        let argv = Command::argv(&big, 3600, ["zfs", "receive", "-s", "-u", "zroot/jails/web"]);
        assert_eq!(
            argv.remote_line(Become::None),
            "exec timeout --foreground -k 10 3600 zfs receive -s -u zroot/jails/web"
        );
        assert_eq!(argv.stdin(), None);
        let web = DatasetName::new("zroot/jails/web").unwrap();
        let alone = argv.whole().under(Lock::receive(&web)).in_turn(&JailName::new("web").unwrap());
        assert_eq!(
            alone.remote_line(Become::Doas),
            "exec doas -n -- lockf -k -s -t 600 /var/run/jailferry-web.turn lockf -k -s -t 30 /var/run/jailferry-zroot%jails%web.receive timeout -k 10 3600 zfs receive -s -u zroot/jails/web"
        );
        assert_eq!(alone.patience(), 3600 + 600 + 30);
    }

    /// `vanishing` takes the file away between any two looks at it, as the end of the run beside it does.
    #[test]
    fn only_another_owner_is_refused_and_not_a_run_that_ends_meanwhile() {
        let run = RunId::new("web-12345678").unwrap();
        let jail = JailName::new("web").unwrap();
        let guard = Guard { run, jail, owner: Owner::new("anna@laptop-1").unwrap(), lease: false };
        let folder = tempfile::tempdir().unwrap();
        let owner = folder.path().join("web-12345678/owner");
        std::fs::create_dir(owner.parent().unwrap()).unwrap();
        let vanishing = format!("read() {{ rm -f {}; return 1; }}\n", owner.display());
        let status = |before: &str| {
            let text = guard.text().replace(RUNS, folder.path().to_str().unwrap());
            let script = format!("set -e\n{before}{text}exit 7\n");
            std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap().status.code()
        };
        assert_eq!(status(""), Some(7), "nobody drives it");
        std::fs::write(&owner, "anna@laptop-1\n").unwrap();
        assert_eq!(status(""), Some(7));
        assert_eq!(status(&vanishing), Some(7));
        std::fs::write(&owner, "bert@desk-2\n").unwrap();
        assert_eq!(status(""), Some(SUPERSEDED));
        std::fs::write(&owner, "bert@d").unwrap();
        assert_eq!(status(""), Some(21), "half a line");
        std::fs::remove_file(&owner).unwrap();
        std::fs::create_dir(&owner).unwrap();
        assert_eq!(status(""), Some(1), "what cannot be read may name anybody");
    }
}
