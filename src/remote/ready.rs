//! Shells that are open before they are needed, for the time in which every round trip is a silence of the jail.
//!
//! A command over a warm connection costs two round trips: one until its channel is open, one until it has answered. The
//! first can be had beforehand. What waits in the channel is a shell that reads one line, the very line that the command
//! would have been started by, and becomes it; what follows is the command's own standard input. `read` takes no more
//! than that line from a pipe (sh(1): byte by byte where it cannot seek).
//!
//! A shell that nobody needs reads the end of its input when its channel is closed, and ends without having done anything.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use openssh::Child;
use openssh::Session;
use openssh::Stdio;

use crate::remote::failure::Kind;
use crate::remote::master::Master;
use crate::remote::run;

/// What a login shell runs, sh or csh alike, and which becomes whatever it is told.
const WAITING: &str = r#"exec /bin/sh -c 'IFS= read -r line && eval "$line"'"#;

/// Shells that wait on one host. With a host's `CHANNELS` (room.rs) they stay within sshd's
/// MaxSessions.
pub const MOST: usize = 4;

/// One that waits.
struct Shell {
    child: Child<Arc<Session>>,
    /// The connection it is on.
    master: Arc<Master>,
}

/// Those of one host.
#[derive(Default)]
pub(crate) struct ReadyShells {
    wanted: AtomicUsize,
    /// One was refused its session: commands need those that there are.
    given_up: AtomicBool,
    open: Mutex<Vec<Shell>>,
    /// One at a time opens more.
    opening: tokio::sync::Mutex<()>,
}

impl ReadyShells {
    /// No more of them; were there any?
    pub(crate) fn give_up(&self) -> bool {
        self.given_up.store(true, Ordering::Relaxed);
        let all = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        !all.is_empty()
    }

    /// How many shall wait from now on; those beyond end.
    pub(crate) fn want(&self, count: usize) {
        self.wanted.store(count.min(MOST), Ordering::Relaxed);
        let spare = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let keep = count.min(open.len());
            open.split_off(keep)
        };
        drop(spare);
    }

    /// How many shall wait from now on; those beyond go on waiting.
    pub(crate) fn replenish(&self, count: usize) {
        self.wanted.store(count.min(MOST), Ordering::Relaxed);
    }

    /// One that waits on this very connection.
    pub(crate) fn take(&self, master: &Arc<Master>) -> Option<Child<Arc<Session>>> {
        let shell = self.of(master).pop();
        shell.map(|shell| shell.child)
    }

    /// Are there fewer on this connection than there shall be?
    pub(crate) fn misses(&self, master: &Arc<Master>) -> bool {
        !self.given_up.load(Ordering::Relaxed) && self.of(master).len() < self.wanted.load(Ordering::Relaxed)
    }

    /// Those of this connection. Those of one that was replaced are of no use any more, and end.
    fn of(&self, master: &Arc<Master>) -> MutexGuard<'_, Vec<Shell>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|shell| Arc::ptr_eq(&shell.master, master));
        open
    }

    /// Opens those that are missing. A refusal is not told: the next command opens a channel of its own, and tells it; where
    /// there are no more sessions (MaxSessions, sshd_config(5)), none waits any more.
    pub(crate) async fn fill(&self, master: impl Fn() -> Arc<Master>) {
        let _one = self.opening.lock().await;
        loop {
            let master = master();
            if !self.misses(&master) {
                return;
            }
            let child = match open(&master).await {
                Ok(child) => child,
                Err(Kind::NoChannel(_)) => {
                    self.give_up();
                    return;
                }
                Err(_) => return,
            };
            let mut waiting = self.of(&master);
            // Fewer may be wanted by now, or none at all; then it ends.
            if waiting.len() < self.wanted.load(Ordering::Relaxed) && !self.given_up.load(Ordering::Relaxed) {
                waiting.push(Shell { child, master });
            }
        }
    }
}

async fn open(master: &Master) -> Result<Child<Arc<Session>>, Kind> {
    run::channel(master, WAITING, Stdio::piped()).await
}

/// What makes a waiting shell this command: its line, then its own standard input.
pub(crate) fn told(line: &str, stdin: Option<&str>) -> String {
    format!("{line}\n{}", stdin.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;
    use std::process::Stdio;

    use super::*;

    /// By sh, and by csh where there is one: a login shell is either.
    #[test]
    fn the_line_is_taken_as_it_is_and_the_rest_is_for_the_command() {
        let hostile = r#"exec /bin/sh -s 'a  b' 'it'\''s' '$HOME' '\n' '!!' '*'"#;
        for shell in ["/bin/sh", "/bin/csh"].into_iter().filter(|shell| std::path::Path::new(shell).exists()) {
            let mut child =
                Command::new(shell).args(["-c", WAITING]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(told(hostile, Some("printf '%s|' \"$@\"\necho rest\n")).as_bytes()).unwrap();
            drop(stdin);
            let output = child.wait_with_output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "a  b|it's|$HOME|\\n|!!|*|rest\n", "{shell}");
        }
    }
}
