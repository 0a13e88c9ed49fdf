//! How an effect is carried out: which commands, and how their ends belong together.

use std::num::NonZeroU64;

use crate::effect::command::Command;
use crate::effect::command::Guard;
use crate::effect::contents::Listing;
use crate::effect::direct::Direct;
use crate::effect::resume::Resume;
use crate::model::NodeName;
use crate::model::RunId;

/// How an effect is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing to run.
    Nothing,
    /// These commands, one after the other.
    Run(Vec<Command>),
    /// One command's output is the other's input.
    Pipe {
        /// Sends.
        from: Command,
        /// Receives.
        to: Command,
        /// Bytes expected.
        estimate: Option<u64>,
        /// Bytes a second at most.
        rate: Option<NonZeroU64>,
        /// Where they are not known: asks the source for them, beside the stream.
        size: Option<Command>,
        /// How it goes on when the stream breaks.
        resume: Option<Box<Resume>>,
    },
    /// The source sends into the target by itself; only its count of bytes comes by here.
    Direct {
        /// What runs, on the source.
        send: Command,
        /// What sends within it, for errors.
        from: Command,
        /// What receives, run by the key on the target, for errors.
        to: Command,
        /// Bytes expected.
        estimate: Option<u64>,
        /// Where they are not known: asks the source for them, beside the stream.
        size: Option<Command>,
        /// How it goes on when the stream breaks.
        resume: Option<Box<Resume>>,
    },
    /// A key is made and its public half, which `make` prints, admitted.
    AdmitKey {
        /// Makes the key.
        make: Command,
        /// Admits it, with [`SshPublicKey::placeholder`](crate::effect::direct::SshPublicKey::placeholder) in the place of the key.
        admit: Command,
        /// What it is for.
        direct: Box<Direct>,
        /// What the key may run.
        receives: Vec<Command>,
    },
    /// The plan itself goes where [`THIS_PLAN`](crate::effect::commands::lease::THIS_PLAN) stands.
    StorePlan {
        /// With the placeholder.
        store: Command,
        /// The hub.
        host: NodeName,
        /// The run.
        run: RunId,
    },
    /// Over a fresh connection.
    Fresh(Command),
    /// When `tried` fails, the answer of `why` says more.
    Explained {
        /// What has to succeed.
        tried: Command,
        /// A question to another host, which changes nothing.
        why: Option<Command>,
    },
    /// Both must print the same lines.
    Compare {
        /// First.
        left: Command,
        /// Second.
        right: Command,
    },
    /// May take hours, and keeps nobody's turn meanwhile; a run that is asked to turn round does not wait for it.
    Long(Command),
    /// Two listings must be the same.
    Contents(Box<Comparison>),
    /// Several of these in order.
    Sequence(Vec<Work>),
    /// What is not to be done twice: only unless the question prints [`DONE`].
    Unless {
        /// The question, which changes nothing.
        done: Command,
        /// What else is done.
        work: Box<Work>,
    },
}

/// What the question of [`Work::Unless`] prints.
pub const DONE: &str = "done";

/// What two listings are compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// First.
    pub source: Listing,
    /// Second.
    pub target: Listing,
    /// Prints the digests of the first.
    pub left: Command,
    /// The same of the second.
    pub right: Command,
    /// Prints the lines of a part of the first, with a placeholder for which one.
    pub left_part: Command,
    /// The same of the second.
    pub right_part: Command,
}

impl Work {
    /// Lets every script of it wait for the jail's turn on its host, and do nothing unless the guard holds. What data
    /// goes through does not wait: the host's other steps run beside it.
    #[must_use]
    pub fn guarded(self, guard: &Guard) -> Work {
        match self {
            Work::Nothing => Work::Nothing,
            Work::Run(commands) => Work::Run(commands.into_iter().map(|c| c.exclusive(guard)).collect()),
            Work::Pipe { from, to, estimate, rate, size, resume } => Work::Pipe {
                from: from.guarded(guard),
                to: to.guarded(guard),
                estimate,
                rate,
                size,
                resume: resume.map(|r| Box::new(r.guarded(guard))),
            },
            // A program with arguments, and a key.
            Work::Direct { send, from, to, estimate, size, resume } => {
                Work::Direct { send, from, to, estimate, size, resume: resume.map(|r| Box::new(r.guarded(guard))) }
            }
            Work::StorePlan { store, host, run } => Work::StorePlan { store: store.exclusive(guard), host, run },
            Work::Explained { tried, why } => Work::Explained { tried: tried.exclusive(guard), why },
            // It only reads, beside what its hosts do next.
            Work::Compare { left, right } => Work::Compare { left: left.guarded(guard), right: right.guarded(guard) },
            Work::Sequence(parts) => Work::Sequence(parts.into_iter().map(|p| p.guarded(guard)).collect()),
            Work::Unless { done, work } => {
                Work::Unless { done: done.exclusive(guard), work: Box::new(work.guarded(guard)) }
            }
            Work::Long(command) => Work::Long(command.guarded(guard)),
            // Programs with arguments and keys; they change nothing that another owner could care for.
            Work::AdmitKey { .. } | Work::Fresh(_) | Work::Contents(_) => self,
        }
    }

    /// All commands, in the order in which they may run. Exactly as they run, but for the placeholder of a key that
    /// does not exist yet.
    #[must_use]
    pub fn commands(&self) -> Vec<&Command> {
        match self {
            Work::Nothing => Vec::new(),
            Work::Run(commands) => commands.iter().collect(),
            Work::Pipe { from, to, .. } => vec![from, to],
            Work::Direct { send, .. } => vec![send],
            Work::AdmitKey { make, admit, .. } => vec![make, admit],
            Work::StorePlan { store, .. } => vec![store],
            Work::Fresh(command) => vec![command],
            Work::Explained { tried, why } => std::iter::once(tried).chain(why).collect(),
            Work::Compare { left, right } => vec![left, right],
            Work::Long(command) => vec![command],
            Work::Contents(both) => vec![&both.left, &both.right, &both.left_part, &both.right_part],
            Work::Sequence(parts) => parts.iter().flat_map(Work::commands).collect(),
            Work::Unless { done, work } => std::iter::once(done).chain(work.commands()).collect(),
        }
    }

    /// What is asked beside its streams, and decides nothing.
    #[must_use]
    pub fn sizes(&self) -> Vec<&Command> {
        self.streams().into_iter().filter_map(|(size, _)| size).collect()
    }

    /// How its streams go on when they break.
    #[must_use]
    pub fn resumes(&self) -> Vec<&Resume> {
        self.streams().into_iter().filter_map(|(_, resume)| resume).collect()
    }

    fn streams(&self) -> Vec<(Option<&Command>, Option<&Resume>)> {
        match self {
            Work::Pipe { size, resume, .. } | Work::Direct { size, resume, .. } => {
                vec![(size.as_ref(), resume.as_deref())]
            }
            Work::Sequence(parts) => parts.iter().flat_map(Work::streams).collect(),
            Work::Unless { work, .. } => work.streams(),
            Work::Nothing
            | Work::Run(_)
            | Work::AdmitKey { .. }
            | Work::StorePlan { .. }
            | Work::Fresh(_)
            | Work::Explained { .. }
            | Work::Compare { .. }
            | Work::Long(_)
            | Work::Contents(_) => Vec::new(),
        }
    }
}
