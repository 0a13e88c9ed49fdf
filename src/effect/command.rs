//! A command as data: what runs where, printed exactly as it is executed.

use serde::Deserialize;
use serde::Serialize;

use crate::effect::shell;
use crate::model::NodeName;

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
        Command { host: host.clone(), form: Form::Argv(words.into_iter().map(Into::into).collect()), timeout }
    }

    /// A script.
    pub fn script(host: &NodeName, timeout: u32, body: impl Into<String>) -> Command {
        Command { host: host.clone(), form: Form::Script(body.into()), timeout }
    }

    /// The string that ssh hands to the login shell, the same for sh and csh: no newline, no `!`, no redirection.
    ///
    /// `timeout --foreground`, since without it FreeBSD's timeout(1) becomes the reaper of everything the command
    /// leaves running (usr.bin/timeout/timeout.c, PROC_REAP_ACQUIRE) and would wait for, and then kill, the jail that
    /// it started.
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
        let seconds = self.timeout.to_string();
        words.extend(["timeout", "--foreground", "-k", "10", &seconds].map(str::to_owned));
        match &self.form {
            Form::Argv(argv) => words.extend(argv.iter().cloned()),
            Form::Script(_) => words.extend(["/bin/sh", "-s"].map(str::to_owned)),
        }
        shell::line(&words)
    }

    /// What goes to standard input: the script, wrapped so that sh has read all of it before the first command runs
    /// and no command can swallow the rest (contract 6.6).
    #[must_use]
    pub fn stdin(&self) -> Option<String> {
        match &self.form {
            Form::Argv(_) => None,
            Form::Script(body) => Some(format!("{PREAMBLE}main() {{\n{body}\n}}\nmain </dev/null\nexit\n")),
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
    }
}
