//! Relays data from a command on one host into a command on another, through this machine.
//!
//! No trust between the two hosts is needed, every byte is counted, and a stream that stands still is noticed. The
//! pipes bound what is under way, so memory stays flat at any size and a slow receiver slows the sender.

use std::fmt;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use openssh::ChildStdin;
use openssh::ChildStdout;
use openssh::Stdio;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::effect::command::Command;
use crate::model::NodeName;
use crate::remote::failure::Kind;
use crate::remote::failure::RemoteError;
use crate::remote::failure::classify;
use crate::remote::hosts::Host;
use crate::remote::hosts::Hosts;
use crate::remote::pace::Pace;
use crate::remote::room::Place;
use crate::remote::room::Room;
use crate::remote::room::Use;
use crate::remote::run;
use crate::remote::run::Refused;

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// How long the ends may take to say why, once the copy has failed and their streams are closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How often the watchdog's time the ends have for themselves once the last byte has gone through: a receiver still
/// writes what is on its way, and waits for its pool.
pub(crate) const CLOSING: u32 = 3;

/// What bounds a copy, besides the time that its commands have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The time in which no byte moves.
    pub watchdog: Duration,
    /// Bytes a second, at most.
    pub rate: Option<NonZeroU64>,
    /// Does somebody wait for it? Then it does not wait for copies for which nobody does.
    pub urgent: bool,
}

impl Bounds {
    pub(crate) fn r#use(&self) -> Use {
        if self.urgent { Use::Urgent } else { Use::Long }
    }
}

impl From<Duration> for Bounds {
    fn from(watchdog: Duration) -> Bounds {
        Bounds { watchdog, rate: None, urgent: false }
    }
}

/// A copy that is done: both ends ended with status 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that went through.
    pub bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// A copy that failed. Both ends are closed, what caused it comes first.
#[derive(Debug)]
pub struct CopyError {
    /// What caused it.
    pub cause: Cause,
    /// What the other end said, often only an echo of the cause.
    pub besides: Option<Box<RemoteError>>,
    /// Bytes that had gone through.
    pub bytes: u64,
}

/// Where a copy broke.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The sending command.
    #[error("{0}")]
    Source(RemoteError),
    /// The receiving command.
    #[error("{0}")]
    Target(RemoteError),
    /// The receiver ended, content, before it had everything.
    #[error("{0}: the receiving command ended before it had read everything")]
    TargetLeft(NodeName),
    /// No byte moved for this long.
    #[error("{host}: {} for {seconds} seconds", if *.sending { "sent nothing" } else { "took nothing" })]
    Stalled {
        /// The host that stood still.
        host: NodeName,
        /// Was it the sender?
        sending: bool,
        /// How long.
        seconds: u64,
    },
    /// Everything went through, and then it did not end.
    #[error("{host}: has not ended {seconds} seconds after the last byte")]
    Unended {
        /// The host that hangs.
        host: NodeName,
        /// How long.
        seconds: u64,
    },
    /// Bytes still moved when the commands' time was over.
    #[error("the copy from {0} to {1} was not done in the time that its commands have")]
    Late(NodeName, NodeName),
    /// Our own end of a pipe.
    #[error("relaying failed on this machine: {0}")]
    Local(std::io::Error),
    /// The receiving command has its standard input taken by a script.
    #[error("a script cannot receive data: its standard input is the script")]
    ScriptAsTarget,
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} bytes)", self.cause, self.bytes)?;
        self.besides.iter().try_for_each(|error| write!(f, "; besides, {error}"))
    }
}

impl std::error::Error for CopyError {}

impl CopyError {
    fn early(cause: Cause) -> CopyError {
        CopyError { cause, besides: None, bytes: 0 }
    }

    /// What the end at which it broke has said; `None` where no host had to do with it.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match &self.cause {
            Cause::Source(error) | Cause::Target(error) => Some(error),
            Cause::TargetLeft(_)
            | Cause::Stalled { .. }
            | Cause::Unended { .. }
            | Cause::Late(..)
            | Cause::Local(_)
            | Cause::ScriptAsTarget => None,
        }
    }

    /// The target cannot be asked what it has of a stream: nothing went through now.
    #[must_use]
    pub fn of_target(error: RemoteError) -> CopyError {
        CopyError::early(Cause::Target(error))
    }
}

/// How the flow of bytes ended.
enum Flow {
    /// The sender has no more.
    End,
    /// The receiver takes no more.
    Refused,
    SenderSilent,
    ReceiverStuck,
    /// Everything went through, but an end does not come to its end.
    Unended {
        sending: bool,
    },
    /// Bytes still move, but the commands' own time is over.
    Late,
    Broken(std::io::Error),
}

impl Hosts {
    /// Sends the standard output of `from` into the standard input of `to`.
    ///
    /// `progress` hears the bytes so far after each piece.
    ///
    /// # Errors
    /// [`CopyError`] when either command failed, or nothing moved for the watchdog's time.
    pub async fn copy(
        &self,
        from: &Command,
        to: &Command,
        mut progress: impl FnMut(u64) + Send,
        bounds: impl Into<Bounds>,
    ) -> Result<Copied, CopyError> {
        let bounds = bounds.into();
        let watchdog = bounds.watchdog;
        if to.stdin().is_some() {
            return Err(CopyError::early(Cause::ScriptAsTarget));
        }
        let source = self.host(&from.host).map_err(|e| CopyError::early(Cause::Source(e)))?;
        let target = self.host(&to.host).map_err(|e| CopyError::early(Cause::Target(e)))?;
        let _places = places(source, target, bounds.r#use()).await;
        let started = Instant::now();
        let deadline = started + Duration::from_secs(u64::from(from.timeout.max(to.timeout)) + run::GRACE_SECONDS);

        let (source_master, target_master) = (source.master(), target.master());
        let receiver = |way| self.open(target, &target_master, to, Stdio::piped, way);
        let sender = |way| self.open(source, &source_master, from, Stdio::null, way);
        // Both at once, since each waits a round trip for its channel.
        let (mut receiving, mut sending) = tokio::join!(receiver(Refused::Told), sender(Refused::Told));
        let refused = |kind: Option<&Kind>| matches!(kind, Some(Kind::NoChannel(_)));
        if refused(receiving.as_ref().err()) || refused(sending.as_ref().err()) {
            // One that has the one and waits for the other could wait for one that has it the other way round: both are
            // given back, and taken in the order of the hosts' names.
            drop((receiving, sending));
            if source.target.name < target.target.name {
                sending = sender(Refused::Waits).await;
                receiving = receiver(Refused::Waits).await;
            } else {
                receiving = receiver(Refused::Waits).await;
                sending = sender(Refused::Waits).await;
            }
        }
        let (mut receiver, line) =
            receiving.map_err(|kind| CopyError::early(Cause::Target(RemoteError::of(to, kind, b""))))?;
        let (mut sender, script) =
            sending.map_err(|kind| CopyError::early(Cause::Source(RemoteError::of(from, kind, b""))))?;

        let pipes = (sender.stdout().take(), receiver.stdin().take());
        let (input, sender_err) = (sender.stdin().take(), sender.stderr().take());
        let (receiver_out, receiver_err) = (receiver.stdout().take(), receiver.stderr().take());
        let (mut said, mut answered, mut received) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0;
        let (gone, receiver_gone) = watch::channel(false);
        let (over, patience) = oneshot::channel();

        let flow = async {
            let (Some(mut out), Some(mut into)) = pipes else {
                return Flow::Broken(std::io::Error::other("no pipes"));
            };
            widen(&out);
            widen(&into);
            let relayed = async {
                // A receiver that ends before it has read its line says why by its exit status.
                match into.write_all(line.as_deref().unwrap_or_default().as_bytes()).await {
                    Err(error) if error.kind() != ErrorKind::BrokenPipe => return Flow::Broken(error),
                    _ => {}
                }
                relay(&mut out, &mut into, receiver_gone, bounds, |count| {
                    bytes += count;
                    progress(bytes);
                })
                .await
            };
            let flow = timeout_at(deadline, relayed).await.unwrap_or(Flow::Late);
            // Nobody listens when both ends are gone already.
            let _ = over.send(if matches!(flow, Flow::End) { watchdog * CLOSING } else { LAST_WORDS });
            flow
        };
        let streams = async {
            let receiver = async {
                let read = tokio::join!(
                    run::read_last(receiver_out, &mut received),
                    run::read_last(receiver_err, &mut answered)
                );
                gone.send_replace(true);
                read
            };
            tokio::join!(run::feed(input, script.as_deref()), run::read_last(sender_err, &mut said), receiver)
        };
        let streams = async {
            let mut streams = pin!(timeout_at(deadline, streams));
            tokio::select! {
                ended = &mut streams => ended.is_ok(),
                Ok(patience) = patience => timeout(patience, streams).await.is_ok(),
            }
        };
        let (flow, ended) = tokio::join!(flow, streams);
        let flow = match flow {
            Flow::End if !ended => Flow::Unended { sending: *gone.borrow() },
            other => other,
        };

        let patience = if matches!(flow, Flow::End) { deadline } else { Instant::now() + LAST_WORDS };
        let patience = patience.max(Instant::now() + Duration::from_secs(1));
        let (sent, taken) = tokio::join!(
            timeout_at(patience, run::status(&source_master, sender)),
            timeout_at(patience, run::status(&target_master, receiver))
        );
        let duration = started.elapsed();
        let late = Kind::NoReply(duration.as_secs());
        let sent = sent.unwrap_or(Err(Kind::NoReply(duration.as_secs())));
        let taken = taken.unwrap_or(Err(late));
        self.write_down(source, from, &sent, b"", &said, duration).map_err(|e| CopyError {
            cause: Cause::Source(e),
            besides: None,
            bytes,
        })?;
        self.write_down(target, to, &taken, &received, &answered, duration).map_err(|e| CopyError {
            cause: Cause::Target(e),
            besides: None,
            bytes,
        })?;
        let source_error = failure_of(source, from, sent, &said, duration);
        let target_error = failure_of(target, to, taken, &answered, duration);
        judge(flow, (from, source_error), (to, target_error), watchdog)
            .map_or(Ok(Copied { bytes, duration }), |(cause, besides)| {
                Err(CopyError { cause, besides: besides.map(Box::new), bytes })
            })
    }
}

/// One place on each host, taken in the order of their names so that opposite copies cannot wait for each other.
async fn places(source: &Host, target: &Host, r#use: Use) -> Vec<Place> {
    if source.target.name == target.target.name {
        let mut taken = Room::lanes(&[&source.room], r#use).await;
        taken.extend(source.room.enter(2).await);
        return taken;
    }
    let (first, second) = if source.target.name < target.target.name { (source, target) } else { (target, source) };
    let mut taken = Room::lanes(&[&first.room, &second.room], r#use).await;
    taken.extend(first.room.enter(1).await);
    taken.extend(second.room.enter(1).await);
    taken
}

/// Lets a pipe between us and ssh hold as much as we read at once, so that both wait for each other less often. Linux only:
/// FreeBSD and macOS size theirs by themselves. Where a user has many such pipes already the kernel refuses, and it stays
/// as it is (pipe(7), pipe-user-pages-soft).
#[cfg(target_os = "linux")]
fn widen(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BUFFER);
}

#[cfg(not(target_os = "linux"))]
fn widen(_: impl AsFd) {}

/// Moves the bytes. Dropping both pipes afterwards is what ends the two commands: the receiver reads the end, a sender
/// that still writes gets SIGPIPE.
async fn relay(
    from: &mut ChildStdout,
    to: &mut ChildStdin,
    mut receiver_gone: watch::Receiver<bool>,
    Bounds { watchdog, rate, .. }: Bounds,
    mut count: impl FnMut(u64),
) -> Flow {
    let mut pace = rate.map(|rate| Pace::new(rate, Instant::now()));
    let mut buffer = vec![0; pace.as_ref().map_or(BUFFER, |pace| pace.piece(BUFFER))];
    loop {
        let read = tokio::select! {
            biased;
            read = timeout(watchdog, from.read(&mut buffer)) => read,
            // zfs receive ends at the stream's end record, which may be before we hear that the sender has ended too:
            // only bytes that it would have had to read are a reason to complain.
            _ = receiver_gone.wait_for(|gone| *gone) => {
                return match timeout(LAST_WORDS, from.read(&mut buffer)).await {
                    Ok(Ok(0)) => Flow::End,
                    _ => Flow::Refused,
                };
            }
        };
        let length = match read {
            Err(_) => return Flow::SenderSilent,
            Ok(Err(error)) => return Flow::Broken(error),
            Ok(Ok(0)) => return Flow::End,
            Ok(Ok(length)) => length,
        };
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            match timeout(watchdog, to.write(rest)).await {
                Err(_) => return Flow::ReceiverStuck,
                Ok(Ok(0) | Err(_)) => return Flow::Refused,
                Ok(Ok(written)) => {
                    rest = rest.get(written..).unwrap_or_default();
                    count(written as u64);
                }
            }
        }
        if let Some(pace) = &mut pace {
            sleep_until(pace.sent(length as u64, Instant::now())).await;
        }
    }
}

/// The error of one end, if it has one.
fn failure_of(
    host: &Host,
    command: &Command,
    result: Result<i32, Kind>,
    stderr: &[u8],
    duration: Duration,
) -> Option<RemoteError> {
    let kind = match result {
        Ok(0) => return None,
        Ok(status) => classify(command, host.target.become_root, status, stderr, duration),
        Err(kind) => kind,
    };
    Some(RemoteError::of(command, kind, stderr))
}

/// Which end is to blame; `None` when all is well.
fn judge(
    flow: Flow,
    (from, source): (&Command, Option<RemoteError>),
    (to, target): (&Command, Option<RemoteError>),
    watchdog: Duration,
) -> Option<(Cause, Option<RemoteError>)> {
    let stalled =
        |host: &NodeName, sending| Cause::Stalled { host: host.clone(), sending, seconds: watchdog.as_secs() };
    match (flow, source, target) {
        (Flow::End, None, None) => None,
        (Flow::End, Some(source), target) => Some((Cause::Source(source), target)),
        (Flow::End, None, Some(target)) => Some((Cause::Target(target), None)),
        (Flow::Refused, source, Some(target)) => Some((Cause::Target(target), source)),
        (Flow::Refused, source, None) => Some((Cause::TargetLeft(to.host.clone()), source)),
        (Flow::SenderSilent, source, target) => Some((stalled(&from.host, true), source.or(target))),
        (Flow::ReceiverStuck, source, target) => Some((stalled(&to.host, false), target.or(source))),
        (Flow::Unended { sending }, source, target) => {
            let (host, besides) = if sending { (&from.host, source.or(target)) } else { (&to.host, target.or(source)) };
            let seconds = (watchdog * CLOSING).as_secs();
            Some((Cause::Unended { host: host.clone(), seconds }, besides))
        }
        (Flow::Late, source, target) => Some((Cause::Late(from.host.clone(), to.host.clone()), source.or(target))),
        (Flow::Broken(error), source, target) => Some((Cause::Local(error), source.or(target))),
    }
}
