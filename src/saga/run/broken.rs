//! What goes on behind a break: the target is asked what it has kept of a stream, the source whether that is a part of
//! this very snapshot, and only the rest is sent.

use std::time::Duration;

use super::Run;
use super::StepError;
use super::away::pause;
use crate::effect::resume::Kept;
use crate::effect::resume::Meaning;
use crate::effect::resume::Resume;
use crate::model::SnapshotLabel;
use crate::remote::Cause;
use crate::remote::CopyError;
use crate::remote::Kind;
use crate::remote::RemoteError;
use crate::saga::run::stream::Ends;
use crate::saga::run::stream::Next;
use crate::saga::run::stream::Tally;
use crate::ui::event::Event;

/// Bytes more than at the break before that make the tries be counted anew.
const GAIN: u64 = 16 << 20;

/// An exit status from here on is a signal's (timeout(1), sh(1)), or ssh's own (255).
const ENDED_FROM_OUTSIDE: i32 = 128;

/// lockf(1): what it ran was ended by a signal (EX_SOFTWARE).
const ENDED_UNDER_LOCKF: i32 = 70;

/// What the target has of a transfer that broke.
enum Found {
    /// The whole of it.
    Everything,
    /// Nothing of the snapshot that was on its way.
    Nothing,
    /// So many bytes of it; the commands that send the rest.
    Ours { resume: Box<Resume>, kept: u64, left: u64 },
    /// A part of something else: of what.
    Foreign(String),
}

/// What is sent when nothing was kept of the snapshot that was on its way.
fn begins(resume: &Resume, arrived: Option<&SnapshotLabel>) -> Next {
    match (&resume.onward, arrived) {
        (Some(onward), Some(arrived)) => Next::Onward(Box::new(onward.behind(arrived))),
        _ => Next::All,
    }
}

/// Why a transfer does not go on.
pub(super) enum GivenUp {
    /// Nothing to add to why it broke.
    Plainly,
    /// This, besides.
    Because(String),
    /// A host is away: which, and for how many tries.
    Away(String),
}

impl From<RemoteError> for GivenUp {
    fn from(error: RemoteError) -> GivenUp {
        GivenUp::Because(error.to_string())
    }
}

impl Run<'_> {
    /// What is sent where a run was interrupted in the middle of a stream, of which the target may have a part; `None` when
    /// it has all.
    pub(super) async fn found_again(
        &self,
        number: usize,
        ends: &Ends<'_>,
        resume: &Resume,
        tally: &mut Tally,
    ) -> Result<Option<Next>, StepError> {
        let (found, arrived) = self.look(resume).await?;
        tally.arrived.clone_from(&arrived);
        match found {
            Found::Everything => Ok(None),
            Found::Nothing => Ok(Some(begins(resume, arrived.as_ref()))),
            Found::Ours { resume, kept, left } => {
                (tally.kept, tally.before) = (kept, kept);
                // What the interrupted run had sent nobody has counted.
                (self.events)(Event::TransferResumed { number, kept, left: Some(left), again: None, arrived });
                Ok(Some(Next::Rest { resume, kept, left }))
            }
            Found::Foreign(what) => {
                self.take_away(ends, resume, &what).await?;
                Ok(Some(begins(resume, arrived.as_ref())))
            }
        }
    }

    /// Of several snapshots, what is sent behind the rest of one; `None` when that was the last, or there was but one.
    pub(super) async fn behind_the_rest(
        &self,
        sent: &Next,
        resume: Option<&Resume>,
        tally: &mut Tally,
    ) -> Result<Option<Next>, StepError> {
        let (Next::Rest { .. }, Some(resume @ Resume { onward: Some(onward), .. })) = (sent, resume) else {
            return Ok(None);
        };
        let answer = self.command(&resume.ask).await?;
        match (Resume::kept(&answer), resume.arrived(&answer)) {
            (Some(Kept::Everything), _) => Ok(None),
            (Some(Kept::Nothing), Some(arrived)) => {
                tally.arrived = Some(arrived.clone());
                Ok(Some(Next::Onward(Box::new(onward.behind(arrived)))))
            }
            _ => Err(StepError::Unclear(resume.ask.host.clone(), answer)),
        }
    }

    /// What the target has of it, and of several snapshots the last one that is there.
    async fn look(&self, resume: &Resume) -> Result<(Found, Option<SnapshotLabel>), StepError> {
        let answer = self.command(&resume.ask).await?;
        let arrived = resume.arrived(&answer).cloned();
        let token = match Resume::kept(&answer) {
            Some(Kept::Everything) => return Ok((Found::Everything, arrived)),
            Some(Kept::Nothing) => return Ok((Found::Nothing, arrived)),
            Some(Kept::Part(token)) => token,
            None => return Err(StepError::Unclear(resume.ask.host.clone(), answer)),
        };
        let resume = Box::new(resume.with(&token));
        let found = match Resume::meaning(&self.command(&resume.decode).await?) {
            Meaning::Ours { kept, left } => Found::Ours { resume, kept, left },
            Meaning::Foreign(what) => Found::Foreign(what),
        };
        Ok((found, arrived))
    }

    /// What the target has kept of something else.
    async fn take_away(&self, ends: &Ends<'_>, resume: &Resume, what: &str) -> Result<(), RemoteError> {
        self.command(&resume.abort).await?;
        (self.events)(Event::Note { text: format!("{}: {what}; it was taken away", ends.to.host) });
        Ok(())
    }

    /// What is sent behind a break; `None` when everything has arrived.
    pub(super) async fn go_on_behind(
        &self,
        number: usize,
        ends: &Ends<'_>,
        resume: &Resume,
        error: &CopyError,
        tally: &mut Tally,
    ) -> Result<Option<Next>, GivenUp> {
        let patient = resume.tries.saturating_add(self.more_tries(number.saturating_sub(1)));
        let mut away: Option<RemoteError> = None;
        loop {
            if self.is_to_turn_round() || self.beats.superseded().is_some() {
                return Err(GivenUp::Plainly);
            }
            let attempts = if away.is_some() { patient } else { resume.tries };
            if tally.tries >= attempts {
                return Err(match (tally.tries, away) {
                    (0, _) => GivenUp::Plainly,
                    (tries, Some(away)) => GivenUp::Away(format!("tried {tries} times in vain: {away}")),
                    (tries, None) => GivenUp::Because(format!("tried {tries} times in vain")),
                });
            }
            // What zfs(8) itself refuses is refused again, unless something of it has arrived.
            let broke = from_outside(&error.cause);
            // What stood still for the watchdog's time without any gain is not a link's hiccup.
            let stuck = matches!(error.cause, Cause::Stalled { .. } | Cause::Unended { .. });
            if broke {
                let wait = pause(tally.tries);
                tally.tries += 1;
                (self.events)(Event::TransferBroken {
                    number,
                    error: error.to_string(),
                    seconds: wait,
                    attempt: tally.tries,
                    attempts,
                });
                self.wait(wait).await?;
            }
            let (found, arrived) = match self.look(resume).await {
                Ok(found) => found,
                Err(StepError::Remote(error)) if broke && is_away(&error) => {
                    away = Some(error);
                    continue;
                }
                Err(other) => return Err(GivenUp::Because(other.to_string())),
            };
            // One more of several snapshots has arrived: that is a gain, whatever its size.
            let one_more = arrived.is_some() && arrived != tally.arrived;
            if one_more {
                (tally.arrived, tally.tries, tally.kept) = (arrived, u32::from(broke), 0);
            }
            match found {
                Found::Everything => return Ok(None),
                Found::Nothing if one_more || broke && !(stuck && tally.tries > 1) => {
                    self.tell(number, tally, 0, None);
                    return Ok(Some(begins(resume, tally.arrived.as_ref())));
                }
                Found::Nothing => return Err(GivenUp::Plainly),
                Found::Ours { resume, kept, left } => {
                    let gained = kept.saturating_sub(tally.kept);
                    if gained == 0 && !one_more && (!broke || stuck && tally.tries > 1) {
                        return Err(GivenUp::Plainly);
                    }
                    tally.tries = if gained >= GAIN { 1 } else { tally.tries + u32::from(!broke) };
                    self.tell(number, tally, kept, Some(left));
                    return Ok(Some(Next::Rest { resume, kept, left }));
                }
                Found::Foreign(what) => {
                    self.take_away(ends, resume, &what).await?;
                    tally.tries += 1;
                    self.tell(number, tally, 0, None);
                    return Ok(Some(begins(resume, tally.arrived.as_ref())));
                }
            }
        }
    }

    /// A while, in which somebody may ask the run to turn round.
    pub(super) async fn wait(&self, seconds: u64) -> Result<(), GivenUp> {
        for _ in 0..seconds * 5 {
            if self.is_to_turn_round() {
                return Err(GivenUp::Plainly);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Tells with what it goes on.
    fn tell(&self, number: usize, tally: &mut Tally, kept: u64, left: Option<u64>) {
        tally.kept = kept;
        let sent = tally.before.saturating_add(tally.sent);
        let again = sent.saturating_sub(kept).saturating_sub(tally.again);
        tally.again = tally.again.saturating_add(again);
        // Nobody has counted what the snapshots before it came to.
        let again = tally.arrived.is_none().then_some(again);
        (self.events)(Event::TransferResumed { number, kept, left, again, arrived: tally.arrived.clone() });
    }
}

/// Was the stream cut off, or one of its ends killed or stuck? Then it may work the next time. What a command says by an
/// exit status of its own, it says again.
fn from_outside(cause: &Cause) -> bool {
    match cause {
        Cause::Source(error) | Cause::Target(error) => match &error.kind {
            Kind::Exit(status) => *status >= ENDED_FROM_OUTSIDE || *status == ENDED_UNDER_LOCKF,
            kind => is_transient(kind),
        },
        Cause::TargetLeft(_) | Cause::Stalled { .. } | Cause::Unended { .. } | Cause::Local(_) => true,
        Cause::Late(..) | Cause::ScriptAsTarget => false,
    }
}

/// Is the host not to be reached now?
pub(super) fn is_away(error: &RemoteError) -> bool {
    is_transient(&error.kind)
}

fn is_transient(kind: &Kind) -> bool {
    match kind {
        Kind::Signal
        | Kind::NoReply(_)
        | Kind::ConnectionLost
        | Kind::NoChannel(_)
        | Kind::OutputHeldOpen
        | Kind::Local(_)
        | Kind::Locked(_)
        | Kind::NoFreshConnection(_) => true,
        Kind::Exit(_)
        | Kind::TimedOut(_)
        | Kind::NoTurn(_)
        | Kind::NotFound(_)
        | Kind::BecomeRefused(_)
        | Kind::TooMuchOutput(_)
        | Kind::Log(_)
        | Kind::NotConnected => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeName;

    #[test]
    fn what_zfs_refuses_is_not_tried_again() {
        let big = NodeName::new("big").unwrap();
        let of = |kind| Cause::Target(RemoteError::before(&big, kind));
        for broken in
            [Kind::Signal, Kind::ConnectionLost, Kind::Exit(137), Kind::Exit(70), Kind::Exit(255), Kind::NoReply(120)]
        {
            assert!(from_outside(&of(broken)));
        }
        for refused in [Kind::Exit(1), Kind::Exit(23), Kind::NotFound(127), Kind::TimedOut(9)] {
            assert!(!from_outside(&of(refused)));
        }
        assert!(from_outside(&Cause::Stalled { host: big.clone(), sending: true, seconds: 120 }));
        assert!(!from_outside(&Cause::Late(big.clone(), big)));
    }
}
