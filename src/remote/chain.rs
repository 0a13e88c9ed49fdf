//! Runs several scripts on one host as one command, and tells the end of each as soon as it is heard.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::time::Duration;
use std::time::Instant;

use crate::effect::chain::Chain;
use crate::effect::command::Command;
use crate::remote::failure::Kind;
use crate::remote::failure::RemoteError;
use crate::remote::failure::classify;
use crate::remote::hosts::Hosts;
use crate::remote::log::CommandEntry;
use crate::remote::run;
use crate::remote::run::Came;

/// A chain that did not come to its end. The parts before `part` succeeded.
#[derive(Debug)]
pub struct Broken {
    /// The first part, counted from 0, of which no success was heard.
    pub part: usize,
    /// What became of it.
    pub error: RemoteError,
    /// Did the host itself say that it failed? Then nothing behind it has begun.
    pub told: bool,
}

impl Hosts {
    /// Runs `parts`, scripts of one host that wait for the same turn, one after the other. `ended` hears of each that
    /// succeeded, with what it said.
    ///
    /// # Errors
    /// [`Broken`] at the first part that did not succeed.
    pub async fn chain(&self, parts: &[Command], mut ended: impl FnMut(usize, &[u8]) + Send) -> Result<(), Broken> {
        let broken = |part, error, told| Broken { part, error, told };
        let impossible = || Kind::Local(std::io::Error::other("these commands cannot go together"));
        let chain = Chain::of(parts.to_vec(), &mark());
        let Some((chain, whole)) = chain.and_then(|chain| Some((chain.clone(), chain.command()?))) else {
            return match parts.first() {
                Some(first) => Err(broken(0, RemoteError::of(first, impossible(), b""), false)),
                None => Ok(()),
            };
        };
        let (mut marks, mut good, mut last) = (chain.marks(), 0, Instant::now());
        let mut unwritten = None;
        let mut hear = |bytes: &[u8]| {
            marks.hear(bytes);
            // The last one has succeeded when all is written down.
            while good + 1 < parts.len() && marks.status(good) == Some(0) && unwritten.is_none() {
                let written =
                    parts.get(good).map(|part| self.write_part(part, 0, marks.said(good), b"", last.elapsed()));
                if let Some(Err(error)) = written {
                    unwritten = Some(error);
                    return;
                }
                ended(good, marks.said(good));
                good += 1;
                last = Instant::now();
            }
        };
        let came = self.carry_out(&whole, &mut hear).await;
        let Came { result, kept, .. } = came.map_err(|error| broken(good, error, false))?;
        if let Some(error) = unwritten {
            return Err(broken(good, error, false));
        }
        let told = marks.status(good);
        if let Some((0, part)) = told.zip(parts.get(good)) {
            self.write_part(part, 0, marks.said(good), b"", last.elapsed())
                .map_err(|error| broken(good, error, false))?;
            ended(good, marks.said(good));
            return Ok(());
        }
        let Some(part) = parts.get(good) else { return Ok(()) };
        let mut errors = chain.marks();
        errors.hear(&kept.stderr);
        let stderr = match told {
            Some(_) => errors.said(errors.count().saturating_sub(1)),
            None => errors.rest(),
        };
        let kind = match (told, result) {
            (Some(status), _) => {
                self.write_part(part, status, marks.said(good), stderr, last.elapsed())
                    .map_err(|error| broken(good, error, false))?;
                let become_root = self.host(&part.host).map_err(|error| broken(good, error, false))?.target.become_root;
                classify(part, become_root, status, stderr, last.elapsed())
            }
            (None, Err(kind)) => kind,
            (None, Ok(status)) => Kind::Exit(status),
        };
        Err(broken(good, RemoteError::of(part, kind, stderr), told.is_some()))
    }
}

impl Hosts {
    /// Writes down what the host ran for a part, besides the whole that it was sent.
    fn write_part(
        &self,
        part: &Command,
        status: i32,
        stdout: &[u8],
        stderr: &[u8],
        duration: Duration,
    ) -> Result<(), RemoteError> {
        let (line, stdin) = (part.on_the_host(), part.stdin());
        let entry = CommandEntry {
            host: &part.host,
            line: &line,
            stdin: stdin.as_deref(),
            status: Some(status),
            duration,
            stdout: run::last(stdout, run::LOGGED),
            stderr: run::last(stderr, run::LOGGED),
            problem: None,
        };
        self.log().command(&entry).map_err(|error| RemoteError::of(part, Kind::Log(error), stderr))
    }
}

/// A word that nothing prints: no part can know it before it runs.
fn mark() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("jailferry-{:016x}{:016x}", random(), random())
}
