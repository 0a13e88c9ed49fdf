//! One ssh master process for one host, and what ssh says when it cannot be had.
//!
//! The openssh crate can launch the master itself, but not in a process group of its own: the ssh that serves a
//! ProxyJump would then die from a Ctrl-C meant for us, and the connection with it, in the middle of a cut-over.

use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh::Session;
use tokio::net::UnixStream;
use tokio::process;

use crate::effect::shell;
use crate::model::NodeName;
use crate::model::SshDestination;
use crate::ui::sanitize;

/// Seconds ssh waits for a host to answer, the banner of its sshd included (ssh_config(5), ConnectTimeout).
const CONNECT_SECONDS: u32 = 20;

/// Seconds after which the whole attempt is given up: a jump host's own wait and the authentication come on top.
const ATTEMPT_SECONDS: u64 = 60;

/// Seconds that a master survives us. While we live we hold a connection to it, so it never counts as idle; when we
/// are killed it ends by itself and leaves no ssh behind on the operator's machine.
const PERSIST_SECONDS: u32 = 15;

/// Why a host cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} ({destination}): {reason}: {said}. {next}")]
pub struct ConnectError {
    /// The host.
    pub host: NodeName,
    /// What ssh was asked for.
    pub destination: SshDestination,
    /// What it means.
    pub reason: Reason,
    /// What ssh said, sanitised.
    pub said: String,
    /// What to do next.
    pub next: String,
}

/// The kinds of failure that need different hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The host key is not known, or not the known one.
    #[error("host key not accepted")]
    HostKey,
    /// No key is accepted there.
    #[error("login refused")]
    Login,
    /// The name does not resolve.
    #[error("unknown name")]
    Name,
    /// Nothing answers in time.
    #[error("no answer")]
    Timeout,
    /// Nothing listens, or the way is closed.
    #[error("not reachable")]
    Unreachable,
    /// The connection was closed during the handshake: sshd's MaxStartups or a jump host.
    #[error("closed during the handshake")]
    Closed,
    /// ssh's configuration or ssh itself.
    #[error("ssh failed")]
    Ssh,
}

/// An established connection.
#[derive(Debug)]
pub struct Master {
    pub session: Arc<Session>,
    socket: PathBuf,
    /// Keeps the master alive, see [`PERSIST_SECONDS`].
    _anchor: UnixStream,
}

impl Master {
    /// Connects and waits until commands can run.
    ///
    /// The user's known_hosts and StrictHostKeyChecking decide about the host key; an unknown one is an error, since
    /// BatchMode cannot ask.
    pub async fn connect(
        host: &NodeName,
        destination: &SshDestination,
        config: Option<&Path>,
        ciphers: Option<&str>,
        socket: PathBuf,
    ) -> Result<Master, ConnectError> {
        let fail = |said: &str| explain(host, destination, config, said);
        let log = socket.with_extension("l");
        let stderr = File::create(&log).map_err(|e| fail(&format!("{}: {e}", log.display())))?;
        let mut ssh = process::Command::new("ssh");
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).process_group(0).kill_on_drop(true);
        ssh.args(["-M", "-N", "-f", "-T", "-a", "-x", "-S"]).arg(&socket);
        if let Some(config) = config {
            ssh.arg("-F").arg(config);
        }
        for option in [
            format!("ControlPersist={PERSIST_SECONDS}"),
            format!("ConnectTimeout={CONNECT_SECONDS}"),
            "BatchMode=yes".into(),
            "ServerAliveInterval=15".into(),
            "ServerAliveCountMax=4".into(),
            "ClearAllForwardings=yes".into(),
            "LogLevel=ERROR".into(),
        ] {
            ssh.arg("-o").arg(option);
        }
        if let Some(ciphers) = ciphers {
            ssh.arg("-o").arg(format!("Ciphers={ciphers}"));
        }
        ssh.arg("--").arg(destination.as_str());
        let attempt = tokio::time::timeout(Duration::from_secs(ATTEMPT_SECONDS), ssh.status()).await;
        let said = || fs::read(&log).map(|bytes| sanitize::tail(&bytes, 6)).unwrap_or_default();
        match attempt {
            Err(_) => return Err(fail(&format!("{} Operation timed out after {ATTEMPT_SECONDS} s", said()))),
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => return Err(fail(NO_SSH)),
            Ok(Err(error)) => return Err(fail(&format!("cannot start ssh(1): {error}"))),
            Ok(Ok(status)) if !status.success() => {
                let said = said();
                return Err(fail(if said.is_empty() { "ssh ended without a message" } else { &said }));
            }
            Ok(Ok(_)) => {}
        }
        let anchor = UnixStream::connect(&socket).await.map_err(|e| fail(&format!("ssh's control socket: {e}")))?;
        let session = Arc::new(Session::resume_mux(socket.clone().into_boxed_path(), None));
        session.check().await.map_err(|e| fail(&format!("ssh's control socket: {e}")))?;
        Ok(Master { session, socket, _anchor: anchor })
    }
}

impl Drop for Master {
    /// Ends the master at once instead of after its idle time. When even that fails the idle time does it.
    fn drop(&mut self) {
        let mut ssh = std::process::Command::new("ssh");
        // `-F /dev/null`: the socket says everything, and the user's configuration need not be read for it.
        ssh.args(["-F", "/dev/null", "-O", "exit", "-S"]).arg(&self.socket).args(["--", "master"]);
        drop(ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
        drop(fs::remove_file(self.socket.with_extension("l")));
    }
}

/// Said where the program is missing.
const NO_SSH: &str = "this machine has no ssh(1) in its PATH";

/// Turns ssh's message into what it means and what to do.
fn explain(host: &NodeName, destination: &SshDestination, config: Option<&Path>, said: &str) -> ConnectError {
    let ssh =
        config.map_or_else(|| "ssh".to_owned(), |file| format!("ssh -F {}", shell::word(&file.to_string_lossy())));
    let file = config.map_or_else(|| "~/.ssh/config".to_owned(), |file| file.display().to_string());
    let said = said.trim().trim_end_matches('.').replace('\n', " / ");
    let has = |needles: &[&str]| needles.iter().any(|n| said.contains(n));
    let (reason, next) = if has(&["REMOTE HOST IDENTIFICATION HAS CHANGED", "has changed and you have requested"]) {
        (
            Reason::HostKey,
            format!(
                "The host answers with another key than known_hosts holds. Find out why before anything else; \
                 if the host was reinstalled: ssh-keygen -R its name, then {ssh} {destination}"
            ),
        )
    } else if has(&["Host key verification failed", "host key is known for"]) {
        (Reason::HostKey, format!("Log in once by hand and compare the fingerprint: {ssh} {destination}"))
    } else if has(&["Permission denied (", "Too many authentication failures"]) {
        (
            Reason::Login,
            format!(
                "Load the key into the agent (ssh-add) or name it in {file}; this must work without any \
                 question: {ssh} -o BatchMode=yes {destination} true"
            ),
        )
    } else if has(&["Could not resolve hostname"]) {
        (Reason::Name, format!("Check `ssh:` of this host in the fleet's file, and Host in {file}"))
    } else if has(&[NO_SSH]) {
        (Reason::Ssh, "Install OpenSSH's client here, or put its folder into PATH".to_owned())
    } else if has(&["timed out", "timeout"]) {
        (Reason::Timeout, format!("Is the host up, and does the way there work? Try: {ssh} -v {destination} true"))
    } else if has(&["Connection refused", "No route to host", "Network is unreachable", "Host is down"]) {
        (Reason::Unreachable, format!("Is sshd running there, and is the port right? Try: {ssh} -v {destination} true"))
    } else if has(&["Connection closed by", "Connection reset by", "kex_exchange_identification"]) {
        (
            Reason::Closed,
            format!(
                "sshd may be refusing new connections (MaxStartups), or a jump host is: {ssh} -v {destination} true"
            ),
        )
    } else {
        (Reason::Ssh, format!("Try: {ssh} -v {destination} true"))
    };
    ConnectError { host: host.clone(), destination: destination.clone(), reason, said, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_ssh_has_its_advice() {
        let host = NodeName::new("big").unwrap();
        let destination = SshDestination::new("root@big").unwrap();
        let reason = |said: &str| explain(&host, &destination, None, said).reason;
        assert_eq!(reason("root@big: Permission denied (publickey)."), Reason::Login);
        assert_eq!(reason("Host key verification failed."), Reason::HostKey);
        assert_eq!(
            reason("No ED25519 host key is known for big and you have requested strict checking."),
            Reason::HostKey
        );
        assert_eq!(reason("ssh: Could not resolve hostname big: Name or service not known"), Reason::Name);
        assert_eq!(reason("ssh: connect to host big port 22: Connection timed out"), Reason::Timeout);
        assert_eq!(reason("ssh: connect to host big port 22: Operation timed out"), Reason::Timeout);
        assert_eq!(reason("ssh: connect to host big port 22: Connection refused"), Reason::Unreachable);
        assert_eq!(reason("kex_exchange_identification: Connection closed by remote host"), Reason::Closed);
        assert_eq!(reason("/root/.ssh/config: line 3: Bad configuration option: hots"), Reason::Ssh);
        let text = explain(&host, &destination, None, "root@big: Permission denied (publickey).\n").to_string();
        assert!(
            text.starts_with("big (root@big): login refused: root@big: Permission denied (publickey). Load"),
            "{text}"
        );
        // What is to be typed uses the configuration that was used.
        let named = Some(Path::new("/etc/jail ferry/ssh"));
        let text = explain(&host, &destination, named, "connect to host big port 22: Connection refused").to_string();
        assert!(text.contains("Try: ssh -F '/etc/jail ferry/ssh' -v root@big true"), "{text}");
        let text = explain(&host, &destination, named, "Could not resolve hostname big").to_string();
        assert!(text.ends_with("Host in /etc/jail ferry/ssh"), "{text}");
        assert!(explain(&host, &destination, None, NO_SSH).to_string().contains("Install OpenSSH"));
    }
}
