//! Runs one command on one host, exactly as the plan prints it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use openssh::Child;
use openssh::ChildStdin;
use openssh::Session;
use openssh::Stdio;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::effect::command::Command;
use crate::effect::command::Form;
use crate::remote::failure::Kind;
use crate::remote::failure::RemoteError;
use crate::remote::failure::classify;
use crate::remote::hosts::Host;
use crate::remote::hosts::Hosts;
use crate::remote::log::CommandEntry;
use crate::remote::master::Master;
use crate::remote::ready;
use crate::remote::room::Refusals;
use crate::remote::room::Use;

/// Bytes of standard output that a command may print: the facts of a host with thousands of datasets are below it.
pub const STDOUT_LIMIT: usize = 16 << 20;

/// Bytes of standard error that are kept, the last ones.
const STDERR_KEPT: usize = 256 << 10;

/// Bytes of each output that go to the log.
pub(crate) const LOGGED: usize = 4 << 10;

/// How often a command whose connection broke is sent once more over a fresh one.
pub const FRESH_TRIES: u32 = 2;

/// Seconds that our deadline lies behind the one on the host, so that the host's own ending is seen.
pub(crate) const GRACE_SECONDS: u64 = 15;

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// The end of standard error.
    pub stderr: Vec<u8>,
    /// How long it took, as seen from here.
    pub duration: Duration,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Hosts {
    /// Runs `command` and requires that it succeeds.
    ///
    /// # Errors
    /// [`RemoteError`] for every way in which it did not, an exit status other than 0 included.
    pub async fn run(&self, command: &Command) -> Result<Output, RemoteError> {
        let output = self.probe(command).await?;
        if output.status == 0 {
            return Ok(output);
        }
        let become_root = self.host(&command.host)?.target.become_root;
        let kind = classify(command, become_root, output.status, &output.stderr, output.duration);
        Err(RemoteError::of(command, kind, &output.stderr))
    }

    /// Runs a command that may be repeated, and requires that it succeeds: a broken connection is made anew and the command
    /// sent once more, [`FRESH_TRIES`] times at most.
    ///
    /// # Errors
    /// [`RemoteError`] for every way in which it did not.
    pub async fn run_repeatable(&self, command: &Command) -> Result<Output, RemoteError> {
        let mut tries = 0;
        loop {
            match self.run(command).await {
                Err(error) if matches!(error.kind, Kind::ConnectionLost) && tries < FRESH_TRIES => {
                    tries += 1;
                    self.reconnect(&command.host).await?;
                }
                other => return other,
            }
        }
    }

    /// Runs `command` where its exit status is an answer (a check, `kldstat -q`). A timeout, a refused `become` and a
    /// missing program are no answers and stay errors.
    ///
    /// # Errors
    /// [`RemoteError`] when there is no answer.
    pub async fn probe(&self, command: &Command) -> Result<Output, RemoteError> {
        let Came { result, kept, duration } = self.carry_out(command, &mut |_| {}).await?;
        match result {
            Ok(status) => Ok(Output { status, stdout: kept.stdout, stderr: kept.stderr, duration }),
            Err(kind) => Err(RemoteError::of(command, kind, &kept.stderr)),
        }
    }

    /// Runs `command`; `heard` gets its standard output as it comes.
    pub(crate) async fn carry_out(
        &self,
        command: &Command,
        heard: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Came, RemoteError> {
        let host = self.host(&command.host)?;
        let Some(_place) = host.room.enter_for(Use::of(command.timeout)).await else {
            return Err(RemoteError::before(&command.host, Kind::NotConnected));
        };
        let started = Instant::now();
        let mut kept = Kept::default();
        let master = host.master();
        let result = self.serve(host, &master, command, &mut kept, heard).await;
        let duration = started.elapsed();
        let result = result.and_then(|status| {
            match classify(command, host.target.become_root, status, &kept.stderr, duration) {
                Kind::Exit(_) => Ok(status),
                refused => Err(refused),
            }
        });
        self.write_down(host, command, &result, &kept.stdout, &kept.stderr, duration)?;
        Ok(Came { result, kept, duration })
    }

    /// Runs the command to its end or to our own deadline.
    async fn serve(
        &self,
        host: &Host,
        master: &Arc<Master>,
        command: &Command,
        kept: &mut Kept,
        heard: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<i32, Kind> {
        let limit = u64::from(command.patience()) + GRACE_SECONDS;
        let deadline = Instant::now() + Duration::from_secs(limit);
        // A program by itself, such as what proves a fresh connection, has a channel of its own.
        let opening = async {
            match &command.form {
                Form::Script(_) => self.open(host, master, command, Stdio::null, Refused::Waits).await,
                Form::Argv(_) => {
                    let line = command.remote_line(host.target.become_root);
                    Ok((channel_in(host, master, &line, Stdio::null).await?, None))
                }
            }
        };
        let (mut child, script) = timeout_at(deadline, opening).await.map_err(|_| Kind::NoReply(limit))??;
        let (input, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let streams = async {
            tokio::try_join!(
                feed(input, script.as_deref()),
                read_whole(stdout, &mut kept.stdout, STDOUT_LIMIT, heard),
                read_last(stderr, &mut kept.stderr)
            )
        };
        // Both outputs to their ends first: asking for the exit status ends the channel, and what is still on its way
        // would be lost.
        let read = timeout_at(deadline, streams).await;
        match read {
            Ok(Ok(_)) => timeout_at(deadline, status(master, child)).await.unwrap_or(Err(Kind::NoReply(limit))),
            Ok(Err(kind)) => Err(kind),
            Err(_) => match tokio::time::timeout(Duration::from_secs(1), status(master, child)).await {
                Ok(Ok(_)) => Err(Kind::OutputHeldOpen),
                Ok(Err(kind)) => Err(kind),
                Err(_) => Err(Kind::NoReply(limit)),
            },
        }
    }

    /// The command's process on the host, and what has to be written to it first: in a shell that waits there, which becomes
    /// the command by its line, or in a channel of its own. `stdin` is that of a program without a script.
    pub(crate) async fn open(
        &self,
        host: &Host,
        master: &Arc<Master>,
        command: &Command,
        stdin: fn() -> Stdio,
        refused: Refused,
    ) -> Result<(Child<Arc<Session>>, Option<String>), Kind> {
        let (line, script) = (command.remote_line(host.target.become_root), command.stdin());
        if let Some(child) = self.ready_shell(host, master) {
            return Ok((child, Some(ready::told(&line, script.as_deref()))));
        }
        let stdin = if script.is_some() { Stdio::piped } else { stdin };
        let child = match refused {
            Refused::Told => channel(master, &line, stdin()).await?,
            Refused::Waits => channel_in(host, master, &line, stdin).await?,
        };
        Ok((child, script))
    }

    /// Writes a command that ran to the log.
    pub(crate) fn write_down(
        &self,
        host: &Host,
        command: &Command,
        result: &Result<i32, Kind>,
        stdout: &[u8],
        stderr: &[u8],
        duration: Duration,
    ) -> Result<(), RemoteError> {
        let problem = result.as_ref().err().map(ToString::to_string);
        let (line, stdin) = (command.remote_line(host.target.become_root), command.stdin());
        let entry = CommandEntry {
            host: &command.host,
            line: &line,
            stdin: stdin.as_deref(),
            status: match result {
                Ok(status) | Err(Kind::NotFound(status)) => Some(*status),
                Err(_) => None,
            },
            duration,
            stdout: last(stdout, LOGGED),
            stderr: last(stderr, LOGGED),
            problem: problem.as_deref(),
        };
        self.log().command(&entry).map_err(|e| RemoteError::of(command, Kind::Log(e), stderr))
    }
}

/// What happens where the host's sshd refuses one more session (MaxSessions, sshd_config(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is an error.
    Told,
    /// The command waits for another one's end.
    Waits,
}

/// What has been read so far; outlives a deadline, so that the error can tell what the host said before it.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// What came of a command.
pub(crate) struct Came {
    /// Its exit status, or why there is none that counts.
    pub(crate) result: Result<i32, Kind>,
    /// What it said.
    pub(crate) kept: Kept,
    /// How long it took.
    pub(crate) duration: Duration,
}

/// The same for who has a place on the host: where its sshd refuses a session, the shells that wait give theirs up, and then
/// another command's end is waited for.
async fn channel_in(
    host: &Host,
    master: &Master,
    line: &str,
    stdin: fn() -> Stdio,
) -> Result<Child<Arc<Session>>, Kind> {
    let mut refusals = Refusals::default();
    loop {
        match channel(master, line, stdin()).await {
            Err(Kind::NoChannel(said)) => {
                if host.ready.give_up() {
                    continue;
                }
                if !host.room.again(&mut refusals).await {
                    return Err(Kind::NoChannel(said));
                }
            }
            other => return other,
        }
    }
}

/// A channel with what the login shell runs for `line`. All three standard streams are always set: the master would keep
/// an inherited one open (measured).
pub(crate) async fn channel(master: &Master, line: &str, stdin: Stdio) -> Result<Child<Arc<Session>>, Kind> {
    let mut process = master.session.clone().arc_raw_command(line);
    process.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    match process.spawn().await {
        Ok(child) => Ok(child),
        Err(openssh::Error::Disconnected) => Err(Kind::ConnectionLost),
        Err(_) if !master_lives_on(master).await => Err(Kind::ConnectionLost),
        Err(other) => Err(Kind::NoChannel(chain(&other))),
    }
}

/// Does the master still answer, and not only for the moment it takes to notice that its connection is gone? It closes
/// its channels first and itself last.
async fn master_lives_on(master: &Master) -> bool {
    for _ in 0..5 {
        if master.session.check().await.is_err() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}

/// The exit status. The crate makes an error of 127, which here is a status like any other.
pub(crate) async fn status(master: &Master, child: Child<Arc<Session>>) -> Result<i32, Kind> {
    match child.wait().await {
        Ok(status) => status.code().ok_or(Kind::Signal),
        Err(openssh::Error::Remote(_)) => Ok(127),
        // The protocol does not tell a signal from a lost connection; a master that goes on answering does.
        Err(_) if master_lives_on(master).await => Err(Kind::Signal),
        Err(_) => Err(Kind::ConnectionLost),
    }
}

/// Writes the script. A host that ends before it has read everything says why by its exit status.
pub(crate) async fn feed(input: Option<ChildStdin>, script: Option<&str>) -> Result<(), Kind> {
    let (Some(mut input), Some(script)) = (input, script) else { return Ok(()) };
    match input.write_all(script.as_bytes()).await {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Kind::Local(error)),
        _ => Ok(()),
    }
}

/// Reads to the end, or to `limit`, and lets each piece be `heard` as it comes.
pub(crate) async fn read_whole(
    from: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    limit: usize,
    heard: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), Kind> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await.map_err(Kind::Local)?;
        if count == 0 {
            return Ok(());
        }
        if into.len() + count > limit {
            return Err(Kind::TooMuchOutput(limit));
        }
        let piece = buffer.get(..count).unwrap_or_default();
        into.extend_from_slice(piece);
        heard(piece);
    }
}

/// Reads to the end and keeps the last part.
pub(crate) async fn read_last(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> Result<(), Kind> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer).await.map_err(Kind::Local)?;
        if count == 0 {
            return Ok(());
        }
        into.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if into.len() > 2 * STDERR_KEPT {
            into.drain(..into.len() - STDERR_KEPT);
        }
    }
}

/// The last `count` bytes.
pub(crate) fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default()
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
