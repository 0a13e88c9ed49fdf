//! `jailferry schedule`: runs playbooks when their `schedule:` says so. What is decided is decided in
//! [`crate::schedule`]; here are the clock, the files and the processes.

mod child;
mod clock;
mod http;
mod job;
mod keeper;
mod log;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::output;
use crate::schedule::decide::TOLERANCE;
use crate::schedule::print;
use crate::schedule::standing::Standing;

use child::World;
use clock::Clock;
use job::Job;
use keeper::Keeper;
use log::Log;
use serve::Scheduler;
use serve::Task;

/// For whom a schedule is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum For {
    /// A line of crontab(5).
    Crontab,
    /// A script for periodic(8).
    Periodic,
    /// A service and its timer.
    Systemd,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The playbooks; each has a `schedule:`
    #[arg(value_name = "PLAYBOOK", required_unless_present = "status")]
    playbooks: Vec<PathBuf>,
    /// Say how the schedules of this machine stand, and end: exit code 5 when a person has to look
    #[arg(long, conflicts_with_all = ["print", "once", "metrics_file", "listen"])]
    status: bool,
    /// Print the schedule for another program that starts things, and end
    #[arg(long, value_name = "FOR", value_enum, conflicts_with_all = ["once", "metrics_file", "listen"])]
    print: Option<For>,
    /// Run what is due now, say why nothing is, and end: for cron(8) and timers
    #[arg(long)]
    once: bool,
    /// With --once: say nothing when nothing is due
    #[arg(long, requires = "once")]
    quiet: bool,
    /// Keep metrics for Prometheus in this file, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Answer /metrics and /healthz there, on an address of this machine only
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A clock for tests: START*RATE
    #[arg(long, hide = true)]
    clock: Option<String>,
}

impl Arguments {
    /// Does it run playbooks, and not only say something?
    pub(super) fn runs(&self) -> bool {
        !self.status && self.print.is_none()
    }
}

pub(super) async fn schedule(global: &Global, arguments: &Arguments) -> Exit {
    let clock = match arguments.clock.as_deref().map(Clock::pretended) {
        None => Clock::real(),
        Some(Some(clock)) => clock,
        Some(None) => return bad("--clock: START*RATE, such as now*60"),
    };
    if arguments.status {
        return status(global, arguments, &clock);
    }
    let mut jobs: Vec<Job> = Vec::new();
    for path in &arguments.playbooks {
        match Job::read(global, path) {
            Ok(job) if jobs.iter().any(|j| j.path == job.path) => return bad(&format!("{} twice", path.display())),
            Ok(job) => jobs.push(job),
            Err(exit) => return exit,
        }
    }
    // Two files of one name in different folders.
    for index in 0..jobs.len() {
        let twins = jobs.iter().filter(|j| jobs.get(index).is_some_and(|one| one.name == j.name)).count();
        if let Some(job) = jobs.get_mut(index).filter(|_| twins > 1) {
            job.name = job.key.clone();
        }
    }
    match arguments.print {
        Some(form) => printed(global, &jobs, form),
        None => serve(global, arguments, jobs, clock).await,
    }
}

fn bad(message: &str) -> Exit {
    output::complain(message);
    Exit::BadInput
}

fn internal(message: &str) -> Exit {
    output::complain(message);
    Exit::Internal
}

async fn serve(global: &Global, arguments: &Arguments, jobs: Vec<Job>, clock: Clock) -> Exit {
    let folder = match keeper::folder() {
        Ok(folder) => folder,
        Err(message) => return internal(&message),
    };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return internal(&format!("where this program lies is not known: {error}")),
    };
    let log = Log { json: global.json };
    let mut taken = Vec::new();
    for job in jobs {
        let keeper = match Keeper::take(&folder, &job.key) {
            Ok(Some(keeper)) => keeper,
            Ok(None) => {
                let text = format!("another `jailferry schedule` of this machine looks after {}", job.path.display());
                if arguments.once {
                    log.say(clock.now(), &job.name, &format!("left to it: {text}"));
                    continue;
                }
                output::complain(&text);
                return Exit::Refused;
            }
            Err(message) => return internal(&message),
        };
        taken.push((job, keeper));
    }
    let stop = match listen_for_stop() {
        Ok(stop) => stop,
        Err(error) => return internal(&format!("signals cannot be handled: {error}")),
    };
    let board = http::Board::default();
    if let Some(address) = arguments.listen {
        match http::listen(address, board.clone()).await {
            Ok(bound) => log.say(clock.now(), "scheduler", &format!("http://{bound}/metrics and /healthz")),
            Err(message) => return bad(&message),
        }
    }
    // Only what really begins is remembered.
    let mut tasks = Vec::new();
    for (job, keeper) in taken {
        match begin(job, keeper, &clock, arguments.once) {
            Ok(task) => tasks.push(task),
            Err(message) => return internal(&message),
        }
    }
    if !arguments.once {
        let names: Vec<&str> = tasks.iter().map(|t| t.job.name.as_str()).collect();
        let text = format!("process {} looks after {}", std::process::id(), names.join(", "));
        log.say(clock.now(), "scheduler", &text);
    }
    let world = World { program, global: global.clone(), clock, log, stop };
    let scheduler = Scheduler { tasks, world, board, once: arguments.once, quiet: arguments.quiet };
    scheduler.serve(arguments.metrics_file.as_deref()).await
}

/// What is remembered of a playbook. At the first look nothing was missed; a timer that has just fired counts, too.
fn begin(job: Job, keeper: Keeper, clock: &Clock, once: bool) -> Result<Task, String> {
    let now = clock.now();
    let playbook = job.path.display().to_string();
    let mut standing = match keeper.standing()? {
        Some(standing) => standing,
        None => Standing::new(&job.name, &playbook, if once { now - TOLERANCE } else { now }),
    };
    standing.name.clone_from(&job.name);
    standing.playbook = playbook;
    standing.scheduler = Some(std::process::id());
    standing.seen = now;
    keeper.keep(&standing)?;
    Ok(Task { job: Arc::new(job), keeper, standing, admitted: None, told: None })
}

/// SIGTERM and Ctrl-C, counted. A closed terminal stops nothing, as with a single run.
fn listen_for_stop() -> std::io::Result<watch::Receiver<u32>> {
    let (sender, receiver) = watch::channel(0);
    let sender = Arc::new(sender);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut stream, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                sender.send_modify(|count| *count += 1);
            }
        });
    }
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move { while hangup.recv().await.is_some() {} });
    Ok(receiver)
}

fn printed(global: &Global, jobs: &[Job], form: For) -> Exit {
    let program = match std::env::current_exe() {
        Ok(program) => program.display().to_string(),
        Err(error) => return internal(&format!("where this program lies is not known: {error}")),
    };
    let ssh_config = match global.ssh_config.as_ref().map(std::path::absolute).transpose() {
        Ok(path) => path.map(|p| p.display().to_string()),
        Err(error) => return internal(&format!("--ssh-config: {error}")),
    };
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|user| !user.trim().is_empty());
    for job in jobs {
        let (playbook, fleet) = (job.path.display().to_string(), job.fleet_file.display().to_string());
        let one = print::Job {
            name: &job.name,
            playbook: &playbook,
            program: &program,
            fleet: &fleet,
            ssh_config: ssh_config.as_deref(),
            user: user.as_deref(),
            schedule: job.schedule(),
        };
        match form {
            For::Crontab => output::say(&print::crontab(one)),
            For::Systemd => output::say(&print::systemd(one)),
            For::Periodic => match print::periodic(one) {
                Ok(text) => output::say(&text),
                Err(message) => return bad(&format!("{playbook}: {message}")),
            },
        }
    }
    Exit::Done
}

/// Those that are named, else all that this machine knows.
fn status(global: &Global, arguments: &Arguments, clock: &Clock) -> Exit {
    let now = clock.now();
    let (all, absent) = match standings(arguments) {
        Ok(found) => found,
        Err(message) => return internal(&message),
    };
    if let Some(path) = absent.iter().find(|path| !path.exists()) {
        return bad(&format!("there is no playbook {}", path.display()));
    }
    let mut problems: Vec<String> = all.iter().flat_map(|s| s.problems(now)).collect();
    let never = |path: &PathBuf| format!("no scheduler has looked after {} on this machine", path.display());
    problems.extend(absent.iter().map(never));
    if global.json {
        if output::json(&serde_json::json!({ "schedules": all, "problems": problems })).is_err() {
            return Exit::Internal;
        }
    } else {
        for standing in &all {
            output::say(&standing.text(now));
        }
        if all.is_empty() && absent.is_empty() {
            output::say("No schedule has been looked after on this machine.");
        }
        for problem in &problems {
            output::complain(problem);
        }
    }
    if problems.is_empty() { Exit::Done } else { Exit::NeedsHuman }
}

/// What is remembered of those that are named, and which of them nothing is remembered of; of all where none is named.
fn standings(arguments: &Arguments) -> Result<(Vec<Standing>, Vec<PathBuf>), String> {
    let folder = keeper::folder()?;
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        other => Some(other.map_err(|e| format!("{}: {e}", folder.display()))?),
    };
    let mut all = Vec::new();
    for entry in entries.into_iter().flatten() {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            all.extend(keeper::read(&path)?);
        }
    }
    let mut wanted = Vec::new();
    for path in &arguments.playbooks {
        wanted.push(job::one_spelling(path).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let of = |standing: &Standing, path: &PathBuf| standing.playbook == path.display().to_string();
    let absent = wanted.iter().filter(|path| !all.iter().any(|s| of(s, path))).cloned().collect();
    all.retain(|s| wanted.is_empty() || wanted.iter().any(|path| of(s, path)));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((all, absent))
}
