//! Ctrl-C and SIGTERM: the first asks the run to turn round, the second to stop where it is.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;

/// What the journal says of a run that turned round, or stopped, because somebody asked for it.
pub const INTERRUPTED: &str = "interrupted as asked";

/// What is told as soon as somebody has asked for it.
pub const TURNS_ROUND: &str = "asked to stop: before the jail is proven at the target, what was done is undone as soon as the step under way has ended (while the jail runs, a stream is cut off after 5 s); behind that the run ends by itself. Asked once more, it stops where it is: in the first copy what has been copied is kept for `jailferry recover --continue`, later the jail may be down until `jailferry recover`";

/// How long a stream goes on after the first request: time for a second one.
pub const GRACE: Duration = Duration::from_secs(5);

/// What it says of a run that [`crate::saga::run::Run::recover`] took back.
pub const RECOVERED: &str = "recovering an interrupted run";

/// How often somebody who waits looks whether he was asked to turn round.
const LOOK: Duration = Duration::from_millis(100);

/// How often somebody asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    count: Arc<AtomicU8>,
    again: Arc<Notify>,
}

impl Interrupts {
    /// Starts listening. A closed terminal (SIGHUP) is noted and ignored: it does not stop a cut-over.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen() -> std::io::Result<Interrupts> {
        let interrupts = Interrupts::default();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let mut stream = signal(kind)?;
            let heard = interrupts.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    heard.ask();
                }
            });
        }
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move { while hangup.recv().await.is_some() {} });
        Ok(interrupts)
    }

    /// One more request to stop.
    pub fn ask(&self) {
        if self.count.fetch_add(1, Ordering::SeqCst) > 0 {
            self.again.notify_waiters();
        }
    }

    /// Was the run asked to turn round?
    #[must_use]
    pub fn asked(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Resolves at the first request.
    pub async fn asked_to(&self) {
        while !self.asked() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Resolves at the second request.
    pub async fn stop_now(&self) {
        let waiting = self.again.notified();
        if self.count.load(Ordering::SeqCst) > 1 {
            return;
        }
        waiting.await;
    }
}
