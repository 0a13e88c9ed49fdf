//! Runs a direct transfer: the source sends by itself, and only the count of bytes comes by here.

use std::time::Duration;

use openssh::Stdio;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::effect::command::Command;
use crate::effect::direct::Direct;
use crate::effect::direct::SshPublicKey;
use crate::effect::direct::Unusable;
use crate::effect::direct::UserName;
use crate::model::NodeName;
use crate::remote::copy::Bounds;
use crate::remote::copy::CLOSING;
use crate::remote::copy::Cause;
use crate::remote::copy::Copied;
use crate::remote::copy::CopyError;
use crate::remote::failure::Kind;
use crate::remote::failure::RemoteError;
use crate::remote::hosts::Hosts;
use crate::remote::run;
use crate::remote::run::Refused;

/// Why a host did not say what a direct connection needs.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// A command failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A host's answer is not usable.
    #[error("{0}: {1}")]
    Answer(NodeName, Unusable),
}

impl Hosts {
    /// Who logs in on `host`.
    ///
    /// # Errors
    /// When the host does not say.
    pub async fn login_user(&self, host: &NodeName) -> Result<UserName, DirectError> {
        let text = self.run(&Direct::ask_user(host)).await?.text();
        UserName::new(text.trim()).map_err(|e| DirectError::Answer(host.clone(), e))
    }

    /// The host key of `host`, over the connection that is trusted already.
    ///
    /// # Errors
    /// When the host has no ed25519 key.
    pub async fn host_key(&self, host: &NodeName) -> Result<SshPublicKey, DirectError> {
        let text = self.run(&Direct::ask_host_key(host)).await?.text();
        SshPublicKey::new(&text).map_err(|e| DirectError::Answer(host.clone(), e))
    }

    /// Runs `send` ([`Direct::send`]), which sends what `from` prints into `to` without coming by here. As
    /// [`Hosts::copy`]; the two commands are named in errors.
    ///
    /// # Errors
    /// As [`Hosts::copy`].
    pub async fn send_direct(
        &self,
        send: &Command,
        from: &Command,
        to: &Command,
        mut progress: impl FnMut(u64) + Send,
        bounds: impl Into<Bounds>,
    ) -> Result<Copied, CopyError> {
        let bounds = bounds.into();
        let watchdog = bounds.watchdog;
        let early = |cause| CopyError { cause, besides: None, bytes: 0 };
        let host = self.host(&send.host).map_err(|e| early(Cause::Source(e)))?;
        let _place = host.room.enter_for(bounds.r#use()).await;
        let started = Instant::now();
        let deadline = started + Duration::from_secs(u64::from(send.timeout) + run::GRACE_SECONDS);
        let master = host.master();
        let failed = |kind, said: &[u8]| Cause::Source(RemoteError::of(send, kind, said));
        let (mut child, script) = self
            .open(host, &master, send, Stdio::piped, Refused::Waits)
            .await
            .map_err(|kind| early(failed(kind, b"")))?;
        let (input, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let Some(mut stderr) = stderr else {
            return Err(early(Cause::Local(std::io::Error::other("no pipes"))));
        };
        let (mut answer, mut counted) = (Vec::new(), Progress::default());
        let counting = async {
            let mut buffer = vec![0; 16 << 10];
            let mut moved = Instant::now();
            loop {
                let patience = deadline.min(moved + if counted.over { watchdog * CLOSING } else { watchdog });
                let Ok(read) = timeout_at(patience, stderr.read(&mut buffer)).await else {
                    return Err(Kind::NoReply(patience.duration_since(started).as_secs()));
                };
                let count = read.map_err(Kind::Local)?;
                if count == 0 {
                    return Ok(());
                }
                let before = counted.bytes;
                let open = !counted.over;
                counted.read(buffer.get(..count).unwrap_or_default());
                if counted.bytes > before || open && counted.over {
                    moved = Instant::now();
                    progress(counted.bytes);
                } else if !counted.over && moved.elapsed() >= watchdog {
                    // dd repeats itself every second although nothing moves.
                    return Err(Kind::NoReply(watchdog.as_secs()));
                }
            }
        };
        let streams = async {
            let mut unheard = |_: &[u8]| {};
            tokio::try_join!(
                run::feed(input, script.as_deref()),
                run::read_whole(stdout, &mut answer, 64 << 10, &mut unheard),
                counting
            )
        };
        let read = streams.await;
        let stalled = matches!(read, Err(Kind::NoReply(_))) && Instant::now() < deadline;
        let closing = counted.over;
        let result = match read {
            Ok(_) => timeout(Duration::from_secs(run::GRACE_SECONDS), run::status(&master, child))
                .await
                .unwrap_or(Err(Kind::ConnectionLost)),
            Err(kind) => {
                drop(child);
                Err(kind)
            }
        };
        let (bytes, duration) = (counted.bytes, started.elapsed());
        counted.end();
        self.write_down(host, send, &result, &answer, &counted.said, duration).map_err(|e| CopyError {
            cause: Cause::Source(e),
            besides: None,
            bytes,
        })?;
        let cause = match result {
            Err(_) if stalled && closing => {
                Cause::Unended { host: to.host.clone(), seconds: (watchdog * CLOSING).as_secs() }
            }
            Err(_) if stalled => Cause::Stalled { host: send.host.clone(), sending: true, seconds: watchdog.as_secs() },
            Err(kind) => failed(kind, &counted.said),
            Ok(0) => match statuses(&answer) {
                Some((0, 0)) => return Ok(Copied { bytes, duration }),
                // 141: the sender was ended by the receiver's end (128 + SIGPIPE).
                Some((0 | 141, received)) => Cause::Target(RemoteError::of(to, Kind::Exit(received), &counted.said)),
                Some((sent, _)) => Cause::Source(RemoteError::of(from, Kind::Exit(sent), &counted.said)),
                None => failed(Kind::Exit(0), &counted.said),
            },
            Ok(status) => failed(Kind::Exit(status), &counted.said),
        };
        Err(CopyError { cause, besides: None, bytes })
    }
}

/// `sent 0 received 0`
fn statuses(answer: &[u8]) -> Option<(i32, i32)> {
    let text = String::from_utf8_lossy(answer);
    let words: Vec<&str> = text.lines().last()?.split(' ').collect();
    match words.as_slice() {
        ["sent", sent, "received", received] => Some((sent.parse().ok()?, received.parse().ok()?)),
        _ => None,
    }
}

/// Reads dd's progress out of standard error and keeps the rest.
///
/// FreeBSD: `  2147483648 bytes (2147 MB, 2048 MiB) transferred 3.001s, 716 MB/s` after a carriage return (dd(1));
/// at the end `N+M records in`, `N+M records out` and the total.
#[derive(Debug, Default)]
struct Progress {
    bytes: u64,
    /// Has dd read everything? Then the receiver may take its time without a byte moving.
    over: bool,
    said: Vec<u8>,
    piece: Vec<u8>,
}

impl Progress {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if matches!(byte, b'\r' | b'\n') {
                self.end();
            } else if self.piece.len() < 4096 {
                self.piece.push(*byte);
            }
        }
    }

    /// A line is whole.
    fn end(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        let text = String::from_utf8_lossy(&piece);
        let text = text.trim();
        let number = text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
        match number {
            Some(bytes) if text.contains(" bytes") && (text.contains(" transferred ") || text.contains(" copied")) => {
                self.bytes = self.bytes.max(bytes);
            }
            _ if text.ends_with(" records in") => self.over = true,
            _ if text.is_empty() || text.ends_with(" records out") => {}
            _ if self.said.len() < 64 << 10 => {
                self.said.extend_from_slice(text.as_bytes());
                self.said.push(b'\n');
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dd_is_read_and_everything_else_kept() {
        let mut progress = Progress::default();
        progress.read(b"  131072 bytes (131 kB, 128 KiB) transferred 1.0");
        assert_eq!(progress.bytes, 0);
        progress.read(b"01s, 131 kB/s\r  262144 bytes (262 kB) copied, 2 s, 131 kB/s\rcannot receive: out of space\n");
        assert_eq!((progress.bytes, progress.over), (262_144, false));
        progress.read(b"2+1 records in\n2+1 records out\n300000 bytes transferred in 2.1 secs (1 bytes/sec)\n");
        assert_eq!((progress.bytes, progress.over), (300_000, true));
        assert_eq!(progress.said, b"cannot receive: out of space\n");
        assert_eq!(statuses(b"sent 0 received 1\n"), Some((0, 1)));
        assert_eq!(statuses(b"noise"), None);
    }
}
