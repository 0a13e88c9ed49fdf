//! The command line: one file a verb. Everything that touches the terminal, the environment and local files is here.

pub mod exit;
pub mod gather;
mod go_on;
pub mod input;
pub mod link;
pub mod output;
pub mod prepare;
pub mod words;

mod apply;
mod batch;
mod check;
mod cipher;
mod doctor;
mod drain;
mod execute;
mod facts;
mod finalize;
mod how;
mod known;
mod leftovers;
mod marks;
mod migrate;
mod network_turn;
mod notify;
mod plan;
mod playbook;
mod reached;
mod rebalance;
mod recover;
mod replan;
mod report;
mod rollback;
mod schedule;
mod shells;
mod show;
mod takeover;
mod waiting;

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

pub use exit::Exit;

use crate::cli::how::How;
use crate::cli::how::Leaving;
use crate::cli::how::Together;
use crate::model::JailName;
use crate::model::NodeName;
use crate::playbook::Drain;

/// Moves FreeBSD jails between nodes, address and all.
#[derive(Debug, Parser)]
#[command(name = "jailferry", version, about, propagate_version = true, after_long_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: Global,
}

const EXAMPLES: &str = "Examples:
  jailferry plan jail web to node big        what would happen, every command of it
  jailferry plan web big --out web.plan      keep it; jailferry apply web.plan does it later
  jailferry migrate jail web to node big     the same, and do it after a question
  jailferry migrate web big --yes            the filler words may be left out; no question
  jailferry check                            is fleet.yml right? asks no host
  jailferry doctor                           what would refuse or endanger any move, with its fix
  jailferry facts big                        what jailferry knows of a node
  jailferry runs                             what was done, with outcomes
  jailferry recover                          after any interruption: forward or back
  jailferry rollback web-0123abcd            move an accepted run back
  jailferry drain node spare                 move every jail away from a node
  jailferry rebalance balance.yml            level loads, by as few moves as do it
  jailferry leftovers                        what is ours on any node, and why

Exit codes:
  0   moved, or the question was answered
  2   bad input (command line, fleet.yml, playbook); no host was asked
  3   refused before any change; the jail runs where it ran
  4   rolled back; the jail runs where it ran
  5   a person has to look; the output says what is so and what remains
  70  jailferry itself or this machine failed";

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The fleet: hub, nodes, jails [default: ./fleet.yml, then the user's and the system's configuration folder]
    #[arg(long, global = true, value_name = "FILE", env = "JAILFERRY_FLEET", hide_env_values = true)]
    pub fleet: Option<PathBuf>,
    /// Machine-readable output: JSON, one event a line during a run
    #[arg(long, global = true)]
    pub json: bool,
    /// ssh_config(5) file to use instead of ~/.ssh/config
    #[arg(long, global = true, value_name = "FILE", env = "JAILFERRY_SSH_CONFIG", hide_env_values = true)]
    pub ssh_config: Option<PathBuf>,
}

/// The node that the words name; it has been said when they name none.
fn node_of(words: &[String]) -> Option<NodeName> {
    words::node(words).map_err(|error| output::complain(&error.to_string())).ok()
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Move a jail to another node
    #[command(after_long_help = "Examples:
  jailferry migrate jail web to node big
  jailferry migrate web big --dry-run")]
    Migrate {
        /// jail NAME to node NAME; `jail`, `to` and `node` may be left out
        #[arg(required = true, value_name = "WORDS", num_args = 1..=6)]
        words: Vec<String>,
        /// Only say what would be done; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: Leaving,
    },
    /// Show the plan of a move: every command with its undo
    #[command(after_long_help = "Examples:
  jailferry plan jail web to node big
  jailferry plan web big --out web.plan          to be applied later, as it is
  jailferry plan web big --as-script | less      per host, as a shell script to review")]
    Plan {
        /// jail NAME to node NAME; `jail`, `to` and `node` may be left out
        #[arg(required = true, value_name = "WORDS", num_args = 1..=6)]
        words: Vec<String>,
        /// Write the plan to a new file, with what it was made from, for `jailferry apply`
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print every command with its inverse as a shell script, host by host, for review
        #[arg(long, conflicts_with = "json")]
        as_script: bool,
        #[command(flatten)]
        how: Leaving,
    },
    /// Carry out a saved plan, if nothing that it rests on has changed
    #[command(
        after_long_help = "The hosts are asked again. When something that the plan rests on is not as it was, every such
field is named with what it was and what it is, and nothing is changed (exit 3). A plan is applied once,
by the user and on the machine that made it.

Examples:
  jailferry plan web big --out web.plan
  jailferry apply web.plan --dry-run             is it still true?
  jailferry apply web.plan"
    )]
    Apply {
        /// The file that `jailferry plan --out` wrote
        file: PathBuf,
        /// Only say whether the plan still holds; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
    },
    /// Do what a playbook says
    Run {
        /// The playbook
        playbook: PathBuf,
        /// Only say what would be done; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
    },
    /// Run playbooks when their `schedule:` says so, in the foreground, for a service manager
    #[command(
        after_long_help = "One run at a time. Every decision is a line on standard output: what is done, or why nothing is.
SIGTERM asks the run under way to turn round, and ends the scheduler after it; a second one stops the run where it is.

Examples:
  jailferry schedule nightly.yml --metrics-file /var/lib/node_exporter/jailferry.prom
  jailferry schedule nightly.yml weekly.yml --listen 127.0.0.1:9877
  jailferry schedule --status
  jailferry schedule --print systemd nightly.yml"
    )]
    Schedule(schedule::Arguments),
    /// Move all running jails away from a node
    #[command(
        after_long_help = "Every jail is planned first: the outlook says where each goes, and which cannot move and why. The node is
remembered as drained by this machine, so that no other drain moves jails there. A drain that was interrupted or
could not move everything goes on when it is called again; jailferry undrain brings the jails home.

Exit 0: none of its jails runs there any more (those of --stay left out); 3: some could not be moved.

Examples:
  jailferry drain node spare --dry-run
  jailferry drain spare --to big --deadline 2h --yes"
    )]
    Drain {
        /// node NAME; `node` may be left out
        #[arg(required = true, value_name = "WORDS", num_args = 1..=2)]
        words: Vec<String>,
        /// Where its jails may go, several times or with commas [default: every other node that is no hub]
        #[arg(long, value_name = "NODE", value_delimiter = ',')]
        to: Vec<NodeName>,
        /// A jail that stays, several times or with commas
        #[arg(long, value_name = "JAIL", value_delimiter = ',')]
        stay: Vec<JailName>,
        /// No cut-over begins later than this from now, such as 2h
        #[arg(long, value_name = "TIME", value_parser = words::length)]
        deadline: Option<jiff::SignedDuration>,
        #[command(flatten)]
        together: Together,
        /// Only say which jails would go where, and which cannot
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: Leaving,
    },
    /// Bring home the jails that `drain` has moved away from a node
    #[command(after_long_help = "Examples:
  jailferry undrain node spare
  jailferry undrain spare --stay                 they stay where they are; spare takes jails again")]
    Undrain {
        /// node NAME; `node` may be left out
        #[arg(required = true, value_name = "WORDS", num_args = 1..=2)]
        words: Vec<String>,
        /// Move nothing; the node only counts as drained no longer
        #[arg(long)]
        stay: bool,
        #[command(flatten)]
        together: Together,
        /// Show the plan of every move; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: Leaving,
    },
    /// Distribute jails over nodes by their loads, as the `rebalance:` of a playbook says
    #[command(
        after_long_help = "Loads are looked at several times; a node is relieved when it was above its band every time, down to the
middle of it. Every move and every jail that should move and does not has its reason. Each move is tried on
the hosts before it is shown; what they refuse is not moved, and said.

Exit 0: moved, or there was nothing to do; 3: a rule wants something moved that cannot be.

Examples:
  jailferry rebalance balance.yml --dry-run
  jailferry rebalance balance.yml --what-if big=down
  jailferry rebalance balance.yml --yes"
    )]
    Rebalance {
        /// The playbook
        playbook: PathBuf,
        /// What would be done if a node were gone, as NODE=down; several times for several; changes nothing
        #[arg(long, value_name = "NODE=down")]
        what_if: Vec<String>,
        /// Only say what would be done; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
    },
    /// Check fleet and playbook files without asking any host
    Check {
        /// Files to check [default: the fleet]
        files: Vec<PathBuf>,
    },
    /// Ask all nodes for everything that would refuse or endanger a move, and say how to put it right
    #[command(
        after_long_help = "Plans every move of every jail to every other node, and looks at what the hosts would forget at
their next boot. Each fault is told once: its host, the moves it affects, the lines to type.
Changes nothing. Ends with 3 when something would have a move refused, otherwise with 0.

Examples:
  jailferry doctor
  jailferry doctor big --json"
    )]
    Doctor {
        /// Only these nodes, and moves from and to them [default: all]
        nodes: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Show what the nodes say
    Facts {
        /// Only this node
        node: Option<String>,
    },
    /// Put right what an interrupted run left: forward or back, as its journal says
    Recover {
        /// The run's id [default: the only one that was interrupted]
        run: Option<String>,
        /// Go on with a run that was interrupted while it copied or waited for its cut-over, with what has arrived, instead of
        /// taking it back
        #[arg(long = "continue")]
        go_on: bool,
        /// Only say what would be done; asks the hosts only where this machine has no journal of the run
        #[arg(long)]
        dry_run: bool,
    },
    /// Move the jail of an accepted run back to where it came from, with everything written since
    #[command(
        after_long_help = "The copy that the run parked there gets what was written since; the checks, the plan and the
way back of a move apply. Without that copy (after finalize) there is only a full move: jailferry migrate.

Examples:
  jailferry rollback web-0123abcd --dry-run
  jailferry rollback web-0123abcd"
    )]
    Rollback {
        /// The run's id
        run: String,
        /// Only say what would be done; changes nothing on any host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
    /// Let go of what a successful run kept: the source's copy and the held snapshots; there is no way back then
    Finalize {
        /// The run's id
        run: String,
        /// Only say what would be done; asks no host
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before starting
        #[arg(long, short)]
        yes: bool,
        /// Let go of snapshots of yours on the source's copy, too, that the run has not sent and that are nowhere else
        #[arg(long)]
        discard_snapshots: bool,
    },
    /// List everything of jailferry's on any host: since when, of which run, why, and what takes it away
    Leftovers,
    /// List the runs that were started from this machine
    Runs,
    /// Show a run: its steps, its commands, its outcome
    Show {
        /// The run's id, or `last`
        run: String,
    },
    /// Write what a run did into one page, or as JSON with --json
    #[command(after_long_help = "Examples:
  jailferry report last --html run.html --open
  jailferry report web-0123abcd --json")]
    Report {
        /// The run's id, or `last`
        run: String,
        /// The file to write: a page that needs nothing from the network
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Show the page in the browser
        #[arg(long, requires = "html")]
        open: bool,
    },
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, as man(7) describes
    #[command(hide = true)]
    Man,
}

impl Verb {
    /// Is it there to change something? Then its exit code tells what came of that, whatever was read of its output.
    fn acts(&self) -> bool {
        match self {
            Verb::Migrate { dry_run, .. }
            | Verb::Apply { dry_run, .. }
            | Verb::Run { dry_run, .. }
            | Verb::Drain { dry_run, .. }
            | Verb::Undrain { dry_run, .. }
            | Verb::Rebalance { dry_run, .. }
            | Verb::Recover { dry_run, .. }
            | Verb::Rollback { dry_run, .. }
            | Verb::Finalize { dry_run, .. } => !dry_run,
            Verb::Schedule(arguments) => arguments.runs(),
            Verb::Plan { .. }
            | Verb::Check { .. }
            | Verb::Doctor { .. }
            | Verb::Facts { .. }
            | Verb::Leftovers
            | Verb::Runs
            | Verb::Show { .. }
            | Verb::Report { .. }
            | Verb::Completions { .. }
            | Verb::Man => false,
        }
    }
}

/// Parses the command line and runs it.
pub async fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with success, everything else is the caller's mistake.
            let wrong = error.use_stderr();
            let _ = error.print();
            return if wrong { Exit::BadInput } else { Exit::Done };
        }
    };
    let acts = cli.verb.acts();
    let exit = carry_out(cli).await;
    let Some(error) = output::failure() else { return exit };
    output::complain(&format!("standard output could not be written: {error}"));
    // What was done is done; of a question nothing else is left.
    if exit == Exit::Done && !acts { Exit::Internal } else { exit }
}

async fn carry_out(cli: Cli) -> Exit {
    let global = cli.global;
    match cli.verb {
        Verb::Migrate { words, dry_run, yes, how } => {
            migrate::migrate(&global, &words, &how.options(), migrate::Consent { dry_run, yes }).await
        }
        Verb::Plan { words, out, as_script, how } => {
            let shown = plan::Shown { out: out.as_deref(), as_script };
            plan::plan(&global, &words, &how.options(), shown).await
        }
        Verb::Apply { file, dry_run, yes } => apply::apply(&global, &file, migrate::Consent { dry_run, yes }).await,
        Verb::Run { playbook, dry_run, yes } => playbook::run(&global, &playbook, dry_run, yes).await,
        Verb::Schedule(arguments) => schedule::schedule(&global, &arguments).await,
        Verb::Report { run, html, open } => report::report(&global, &run, html.as_deref(), open),
        Verb::Drain { words, to, stay, deadline, together, dry_run, yes, how } => {
            let Some(node) = node_of(&words) else { return Exit::BadInput };
            let drain = Drain { node, to, stay, deadline };
            let (title, batch, options) = (format!("drain of {}", drain.node), together.batch(), how.options());
            let wish = drain::Wish { title, drain: &drain, batch: &batch, options: &options };
            drain::drain(&global, &wish, migrate::Consent { dry_run, yes }).await
        }
        Verb::Undrain { words, stay, together, dry_run, yes, how } => {
            let Some(node) = node_of(&words) else { return Exit::BadInput };
            let consent = migrate::Consent { dry_run, yes };
            drain::undrain(&global, &node, stay, &together.batch(), &how.options(), consent).await
        }
        Verb::Rebalance { playbook, what_if, dry_run, yes } => {
            rebalance::rebalance(&global, &playbook, &what_if, migrate::Consent { dry_run, yes }).await
        }
        Verb::Check { files } => check::check(&global, &files),
        Verb::Doctor { nodes, how } => doctor::doctor(&global, &nodes, &how.options()).await,
        Verb::Facts { node } => facts::facts(&global, node.as_deref()).await,
        Verb::Recover { run, go_on: true, dry_run } => go_on::go_on(&global, run.as_deref(), dry_run).await,
        Verb::Recover { run, go_on: false, dry_run } => recover::recover(&global, run.as_deref(), dry_run).await,
        Verb::Rollback { run, dry_run, yes, how } => {
            rollback::rollback(&global, &run, &how.options(), migrate::Consent { dry_run, yes }).await
        }
        Verb::Finalize { run, dry_run, yes, discard_snapshots } => {
            finalize::finalize(&global, &run, finalize::Wish { dry_run, yes, discard: discard_snapshots }).await
        }
        Verb::Leftovers => leftovers::leftovers(&global).await,
        Verb::Runs => show::runs(&global),
        Verb::Show { run } => show::show(&global, &run),
        Verb::Completions { shell } => shells::completions(shell),
        Verb::Man => shells::man(),
    }
}

/// The command as clap knows it, for completions, the manual page and the reference.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
