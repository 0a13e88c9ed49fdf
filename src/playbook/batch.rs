//! What a playbook says of all its moves together: how many at a time, when, what else runs, who is told.

use jiff::SignedDuration;
use serde::Deserialize;
use serde::Serialize;

use crate::model::NodeName;
use crate::plan::Phase;
use crate::playbook::options::DurationText;
use crate::playbook::window::Window;

/// Settings of a batch of moves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Batch {
    /// How many moves are under way at the same time. Their copies run side by side; there is never more than one
    /// cut-over at a time. Without it, one move after the other.
    #[serde(default)]
    #[schemars(with = "Option<Parallel>")]
    pub parallel: Parallel,
    /// After this many moves that failed no other begins; what has not reached its cut-over is taken back. Without it, a
    /// failed move holds only those back that come `after` it.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub stop_after: Option<u32>,
    /// When a cut-over may begin, such as `Mon-Fri 22:00-05:00`; copies may run at any time. Without it, at once.
    #[serde(default)]
    #[schemars(with = "Option<Vec<WindowText>>")]
    pub windows: Vec<Window>,
    /// The time zone of the windows, such as Europe/Berlin. Without it, this machine's.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// What else runs, before or after a phase of every move.
    #[serde(default)]
    #[schemars(with = "Option<Vec<HookText>>")]
    pub hooks: Vec<Hook>,
    /// Who is told how moves ended.
    #[serde(default)]
    #[schemars(with = "Option<Vec<NotifyText>>")]
    pub notify: Vec<Notify>,
}

/// How many moves at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
pub struct Parallel {
    /// In all. Without it, 1.
    #[serde(default = "one")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 64))]
    pub moves: u32,
    /// That one node sends or receives. Without it, 2.
    #[serde(default = "two")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 64))]
    pub per_node: u32,
    /// Between the same two nodes. Without it, 1.
    #[serde(default = "one")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 64))]
    pub per_link: u32,
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

impl Default for Parallel {
    fn default() -> Parallel {
        Parallel { moves: one(), per_node: two(), per_link: one() }
    }
}

/// Before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// Before its first step.
    Before,
    /// After its last step.
    After,
}

impl Edge {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Edge::Before => "before",
            Edge::After => "after",
        }
    }
}

/// Something of the playbook's author that runs beside a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Of which phase.
    pub phase: Phase,
    /// Before or after it.
    pub edge: Edge,
    /// What, and where.
    pub what: Called,
    /// How long it may take.
    pub timeout: SignedDuration,
    /// Does its failure stop the move? Once the jail runs at the target, a failure is only told.
    pub stops: bool,
}

/// What a hook runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Called {
    /// A program on this machine, with its arguments; a text in YAML has become `/bin/sh -c TEXT`.
    Command(Vec<String>),
    /// A script for /bin/sh on a host.
    Script {
        /// The host.
        on: HookHost,
        /// The text.
        text: String,
    },
}

/// On which host a script runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookHost {
    /// Where the jail comes from.
    Source,
    /// Where it goes.
    Target,
    /// The hub.
    Hub,
    /// A node by its name.
    Node(NodeName),
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Of what; of everything when empty.
    pub on: Vec<Occasion>,
    /// How.
    pub way: NotifyWay,
}

/// What can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Occasion {
    /// A jail has moved.
    Moved,
    /// A jail was not moved, or somebody has to look.
    Failed,
    /// The playbook is over.
    Finished,
}

/// How somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyWay {
    /// A program on this machine, with the JSON on its standard input.
    Command(Vec<String>),
    /// An HTTP POST of the JSON, by curl(1).
    Post(String),
}

/// How a window is written, for the schema.
#[derive(schemars::JsonSchema)]
#[schemars(inline, transparent, description = "Days and hours: Mon-Fri 22:00-05:00, Sat,Sun 00:00-24:00, 01:00-04:00")]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct WindowText(
    #[schemars(regex(pattern = r"^([A-Za-z,-]+ +)?[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$"))] String,
);

/// A hook: when, and either `command` or `on` with `script`.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct HookText {
    /// Before or after which phase of a move.
    when: WhenText,
    /// What runs on this machine: a list of program and arguments, or a text for /bin/sh.
    command: Option<CommandText>,
    /// The host that the script runs on: source, target, hub, or a node.
    on: Option<String>,
    /// A script for /bin/sh, with the privileges of every other command there.
    script: Option<String>,
    /// How long it may take, up to 10 min. Without it, 1 min. Before and after the cut-over clients wait for it.
    timeout: Option<DurationText>,
    /// What its failure does: stop (the move is taken back, as long as the jail does not run at the target) or ignore.
    /// Without it, stop.
    failure: Option<FailureText>,
}

/// The moments of a hook.
#[derive(schemars::JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "read by schemars only")]
enum WhenText {
    #[serde(rename = "before copy")]
    BeforeCopy,
    #[serde(rename = "after copy")]
    AfterCopy,
    #[serde(rename = "before stage")]
    BeforeStage,
    #[serde(rename = "after stage")]
    AfterStage,
    #[serde(rename = "before arm")]
    BeforeArm,
    #[serde(rename = "after arm")]
    AfterArm,
    #[serde(rename = "before rehearse")]
    BeforeRehearse,
    #[serde(rename = "after rehearse")]
    AfterRehearse,
    #[serde(rename = "before cut-over")]
    BeforeCutOver,
    #[serde(rename = "after cut-over")]
    AfterCutOver,
    #[serde(rename = "before prove")]
    BeforeProve,
    #[serde(rename = "after prove")]
    AfterProve,
    #[serde(rename = "before persist")]
    BeforePersist,
    #[serde(rename = "after persist")]
    AfterPersist,
}

/// What a failure does.
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(dead_code, reason = "read by schemars only")]
enum FailureText {
    Stop,
    Ignore,
}

/// Who is told: either `command` or `post`.
#[derive(schemars::JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[expect(dead_code, reason = "read by schemars only")]
pub(crate) struct NotifyText {
    /// Of what. Without it, of everything.
    on: Option<Vec<Occasion>>,
    /// A program on this machine that reads the JSON on its standard input: a list of program and arguments, or a text
    /// for /bin/sh.
    command: Option<CommandText>,
    /// A URL that the JSON is posted to, by curl(1).
    #[schemars(regex(pattern = "^https?://"))]
    post: Option<String>,
}

/// A command as a text or as a list.
#[derive(schemars::JsonSchema)]
#[schemars(inline, untagged)]
#[expect(dead_code, reason = "read by schemars only")]
enum CommandText {
    /// A text for /bin/sh.
    Text(String),
    /// A program and its arguments.
    Words(#[schemars(length(min = 1))] Vec<String>),
}
