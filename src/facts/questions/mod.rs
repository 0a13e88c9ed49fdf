//! The read-only questions to ask a host, as shell scripts for [`crate::effect::command::Form::Script`].
//!
//! One script a host and round. Every answer comes back in a frame with lengths, exit status and errors, so that a
//! missing command, an absent module or hostile output is an answer like any other; [`crate::facts::parse`] reads the
//! frames. The scripts use the base system of FreeBSD 13.2 to 15 and POSIX sh only, write nothing, and never ask for
//! a key: WireGuard's configuration files pass a filter on the host (contract 0.7, 3.4).

use std::net::IpAddr;

use crate::effect::commands::canary;
use crate::effect::commands::users;
use crate::effect::shell;
use crate::facts::JailConfiguration;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::RemotePath;

const ASK: &str = include_str!("ask.sh");
pub(super) const WIREGUARD: &str = include_str!("wireguard.sh");
pub(super) const RC: &str = include_str!("rc.sh");
const PF: &str = include_str!("pf.sh");
const UPKEEP: &str = include_str!("upkeep.sh");
const HOST: &str = include_str!("host.sh");
const FILE: &str = include_str!("file.sh");
const DATASETS: &str = include_str!("datasets.sh");
const JAIL: &str = include_str!("jail.sh");
const LEFTOVERS: &str = include_str!("leftovers.sh");
const LOADS: &str = include_str!("loads.sh");
const GIVEN: &str = include_str!("given.sh");

/// How many rulesets of devfs(8) that include each other are read.
const DEEPEST: u8 = 5;

/// The properties that a transfer depends on wherever their value comes from (zfsprops(7), contract 5).
pub const NATIVE_PROPERTIES: &str = "type,used,referenced,logicalreferenced,available,written,recordsize,volsize,\
    compression,checksum,copies,encryption,encryptionroot,keystatus,keylocation,quota,refquota,reservation,refreservation,\
    mountpoint,canmount,mounted,readonly,exec,setuid,jailed,origin,receive_resume_token";

/// The properties that a jail feels when what is above its datasets has another value (zfsprops(7)).
pub const GIVEN_PROPERTIES: &str = "readonly,exec,setuid";

/// The first round: everything that [`crate::facts::HostFacts`] holds. `wireguard`: the file that fleet.yml names.
#[must_use]
pub fn host_questions(wireguard: Option<&RemotePath>) -> String {
    let named = named_file(wireguard);
    format!("{ASK}{named}{WIREGUARD}{RC}{PF}{HOST}{UPKEEP}{END}")
}

/// A file besides those of the folders where WireGuard's usually are.
fn named_file(wireguard: Option<&RemotePath>) -> String {
    let usual = |file: &&RemotePath| {
        let (folder, name) = file.as_str().rsplit_once('/').unwrap_or_default();
        ["/etc/wireguard", "/usr/local/etc/wireguard"].contains(&folder)
            && name.ends_with(".conf")
            && !name.starts_with('.')
    };
    let file = wireguard.filter(|file| !usual(file)).map_or("", RemotePath::as_str);
    format!("wireguard_config={}\n", shell::word(file))
}

/// Makes a node send something to an address in a tunnel, until it is answered. A node that the hub has forgotten, since it
/// was booted, takes its old keys for good until nothing has come back for 15 seconds; then it shakes hands anew.
#[must_use]
pub fn knock(address: IpAddr, fib: u16) -> String {
    let family = if address.is_ipv4() { "" } else { " -6" };
    let table = if fib == 0 { String::new() } else { format!("setfib {fib} ") };
    format!(
        "{ASK}knock() {{ n=0; until {table}ping{family} -n -q -c 1 -t 1 {address}; do n=$((n + 1)); [ $n -lt 25 ] || return 1; done; }}\nask knock '' knock\n{END}"
    )
}

/// What the hub has heard of its peers by now.
#[must_use]
pub fn handshakes() -> String {
    format!("{ASK}{HANDSHAKES}{END}")
}

/// Everything of ours on a host: what [`crate::facts::leftovers::Traces`] holds. `wireguard`: the file that fleet.yml
/// names.
#[must_use]
pub fn leftover_questions(wireguard: Option<&RemotePath>) -> String {
    let named = named_file(wireguard);
    format!("{ASK}{named}{RC}{LEFTOVERS}{END}")
}

/// What the running jails use now: what [`crate::facts::Loads`] holds.
#[must_use]
pub fn load_questions() -> String {
    format!("{ASK}{LOADS}{END}")
}

/// What to ask the source about the jail that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailQuestions {
    /// The file that configures it.
    pub configuration_file: RemotePath,
    /// `mount.fstab` of its configuration.
    pub fstab: Option<RemotePath>,
    /// `path` of its configuration.
    pub root: RemotePath,
    /// The dataset mounted there.
    pub dataset: DatasetName,
    /// The jail, to ask from inside.
    pub jail: JailName,
    /// What it asks outside.
    pub landmarks: Vec<Landmark>,
    /// The devfs ruleset that it uses.
    pub ruleset: Option<u32>,
    /// What its commands name ([`crate::plan::programs`]).
    pub programs: Vec<String>,
}

/// The second round at the source: everything that [`crate::facts::JailFacts`] holds.
#[must_use]
pub fn jail_questions(questions: &JailQuestions) -> String {
    let mut script = format!("{ASK}{FILE}{DATASETS}{GIVEN}native_properties={NATIVE_PROPERTIES}\n");
    script += &call("ask_file", questions.configuration_file.as_str());
    script += &of_the_host(&questions.jail, questions.ruleset, &questions.programs);
    if let Some(fstab) = &questions.fstab {
        script += &call("ask_file", fstab.as_str());
    }
    for landmark in &questions.landmarks {
        let asked = canary::asking(landmark, &format!("jexec -l {} ", questions.jail), None);
        let caller = canary::CALLER;
        script += &format!("outside() {{ said=$({asked}) || return 1; printf '%s\\n' \"$said\" | {caller}; }}\n");
        script += &format!("ask outside {} outside\n", shell::word(&landmark.to_string()));
    }
    let folder = questions.configuration_file.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    let root = questions.root.as_str().trim_end_matches('/');
    script += &format!("root={}\nfolder={}\n{JAIL}", shell::word(root), shell::word(folder));
    script += &call("ask_origins", questions.dataset.as_str());
    script += &call("ask_datasets", questions.dataset.as_str());
    script += &format!("ask allowed {0} zfs allow {0}\n", questions.dataset);
    script += &users::users(&questions.jail);
    script += &format!("ask users {0} users \"$root\" $(zfs list -H -o name -r {0})\n", questions.dataset);
    script + END
}

/// What a jail of that name and ruleset has of a host, or would have.
fn of_the_host(jail: &JailName, ruleset: Option<u32>, programs: &[String]) -> String {
    let devices = ruleset.map(|ruleset| format!("ask devices {ruleset} devices {ruleset} {DEEPEST}\n"));
    let words: String = programs.iter().map(|name| format!(" {}", shell::word(name))).collect();
    format!(
        "{}ask limits {jail} limits {jail}\nask named '' named{words}\nask names '' names\n",
        devices.unwrap_or_default()
    )
}

/// What to ask the target about the jail's place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetQuestions {
    /// The jail.
    pub jail: JailName,
    /// Paths whose existence matters: the jail's root, its parent, sources of nullfs mounts.
    pub paths: Vec<RemotePath>,
    /// Files whose text matters where they exist: the jail's configuration, its fstab.
    pub files: Vec<RemotePath>,
    /// The devfs ruleset that the jail uses.
    pub ruleset: Option<u32>,
    /// What its commands name, and the source has.
    pub programs: Vec<String>,
    /// Parameters of the jail's configuration; pseudo-parameters of jail(8) are left out by [`kernel_parameters`].
    pub parameters: Vec<String>,
    /// The datasets that the jail will have.
    pub dataset: DatasetName,
    /// GUIDs of snapshots that the jail's datasets are clones of.
    pub origins: Vec<Guid>,
}

/// The second round at the target: everything that [`crate::facts::TargetFacts`] holds.
#[must_use]
pub fn target_questions(questions: &TargetQuestions) -> String {
    let mut script = format!("{ASK}{FILE}{DATASETS}{GIVEN}native_properties={NATIVE_PROPERTIES}\n");
    script += &of_the_host(&questions.jail, questions.ruleset, &questions.programs);
    for path in &questions.paths {
        let path = shell::word(path.as_str());
        script += &format!("ask path {path} kind {path}\n");
    }
    for file in &questions.files {
        script += &call("ask_file", file.as_str());
    }
    if let Some(ruleset) = questions.ruleset {
        script += &format!("ask ruleset {ruleset} devfs rule -s {ruleset} show\n");
    }
    for parameter in &questions.parameters {
        for name in spellings(parameter) {
            let node = shell::word(&format!("security.jail.param.{name}"));
            script += &format!("ask parameter {} sysctl -N {node}\n", shell::word(parameter));
        }
        if OF_JAIL_8.contains(&parameter.as_str()) {
            script += &format!("ask parameter {parameter} grep -qF {parameter} /usr/sbin/jail\n");
        }
    }
    let pool = shell::word(questions.dataset.pool());
    for guid in &questions.origins {
        script += &format!("ask twin {guid} with_guid {pool} {guid}\n");
    }
    if let Some(parent) = questions.dataset.parent() {
        script += &format!("ask given {parent} zfs get -Hp -o property,value {GIVEN_PROPERTIES} {parent}\n");
        script += &format!("ask known {parent} zfs get -Hp -o property all {parent}\n");
    }
    script += &call("ask_datasets", questions.dataset.as_str());
    script + END
}

const HANDSHAKES: &str = "ask clock '' date +%s
for interface in $(wg show interfaces 2>/dev/null); do
	ask wg-latest-handshakes \"$interface\" wg show \"$interface\" latest-handshakes
done
";
const END: &str = "ask end '' true\n";

fn call(function: &str, argument: &str) -> String {
    format!("{function} {}\n", shell::word(argument))
}

/// The names under which the kernel may know a parameter: `allow.noraw_sockets` is `allow.raw_sockets` set to false.
fn spellings(parameter: &str) -> Vec<String> {
    let (parent, last) = parameter.rsplit_once('.').map_or(("", parameter), |(p, l)| (p, l));
    let mut names = vec![parameter.to_owned()];
    if let Some(positive) = last.strip_prefix("no").filter(|p| !p.is_empty()) {
        names.push(if parent.is_empty() { positive.to_owned() } else { format!("{parent}.{positive}") });
    }
    names
}

/// Parameters that jail(8) itself interprets, but not that of every release: its program has their names (15.0 has
/// `zfs.dataset`, 14.0 not: usr.sbin/jail/config.c).
pub const OF_JAIL_8: [&str; 1] = ["zfs.dataset"];

/// The parameters of a configuration that the target must know, without those that jail(8) of every release interprets
/// itself (PF_INTERNAL in usr.sbin/jail/config.c of 13.2 to 15.0, contract 2.7), each once.
#[must_use]
pub fn kernel_parameters(configuration: &JailConfiguration) -> Vec<String> {
    const PSEUDO: [&str; 11] = [
        "command",
        "depend",
        "interface",
        "ip_hostname",
        "mount",
        "nomount",
        "stop.timeout",
        "vnet.interface",
        "allow.dying",
        "allow.nodying",
        "noip_hostname",
    ];
    let mut names: Vec<String> = configuration
        .parameters
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| !PSEUDO.contains(&name.as_str()) && !name.starts_with("exec.") && !name.starts_with("mount."))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The devfs ruleset that a jail's /dev gets; 0 is none, so nothing needs to be defined for it (jail(8)).
#[must_use]
pub fn ruleset(configuration: &JailConfiguration) -> Option<u32> {
    configuration.value("devfs_ruleset")?.parse().ok().filter(|ruleset| *ruleset != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(parameters: &[(&str, &str)]) -> JailConfiguration {
        JailConfiguration {
            name: "web".into(),
            file: RemotePath::new("/etc/jail.conf.d/web.conf").unwrap(),
            parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect(),
        }
    }

    #[test]
    fn ruleset_0_is_none() {
        let of = |value: &str| ruleset(&configuration(&[("devfs_ruleset", value)]));
        assert_eq!((of("5"), of("0"), of("x")), (Some(5), None, None));
        assert_eq!(ruleset(&configuration(&[])), None);
    }

    /// PF_INTERNAL in usr.sbin/jail/config.c; of what is not so in every release, jail(8) of the target is asked.
    #[test]
    fn what_jail_8_interprets_itself_is_not_the_kernels() {
        let own = ["allow.dying", "command", "depend", "exec.release", "interface", "ip_hostname", "mount"];
        let more = ["mount.fdescfs", "mount.fstab", "stop.timeout", "vnet.interface"];
        let asked = ["vnet", "zfs.dataset", "allow.mount", "mount"];
        let all: Vec<(&str, &str)> = own.into_iter().chain(more).chain(asked).map(|name| (name, "x")).collect();
        let names = kernel_parameters(&configuration(&all));
        assert_eq!(names, ["allow.mount", "vnet", "zfs.dataset"]);
        let questions = TargetQuestions {
            paths: vec![],
            files: vec![],
            jail: JailName::new("web").unwrap(),
            ruleset: None,
            programs: vec![],
            parameters: names,
            dataset: DatasetName::new("zroot/jails/web").unwrap(),
            origins: vec![],
        };
        let script = target_questions(&questions);
        assert!(script.contains("ask parameter zfs.dataset grep -qF zfs.dataset /usr/sbin/jail\n"), "{script}");
        assert!(!script.contains("grep -qF vnet"), "{script}");
    }
}
