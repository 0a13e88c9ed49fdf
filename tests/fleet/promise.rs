//! The plan is the truth: making one changes nothing, and what it prints is what runs.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::NODES;

/// A shell that is opened before it is needed.
const WAITS: &str = r#"IFS= read -r line && eval "$line""#;

#[test]
fn plans_and_dry_runs_change_nothing_and_only_read() {
    let Some(fleet) = Fleet::lab("plans_and_dry_runs_change_nothing_and_only_read") else { return };
    let playbook = fleet.state.path().join("move-web.yml");
    fs::write(&playbook, format!("fleet: {}\nmoves:\n  - jail: web\n    to: big\n", fleet.file.display()))
        .expect("written");
    let playbook = playbook.display().to_string();
    let before = fleet.states();
    let logged = NODES.map(|node| fleet.in_lab().commands(node).len());

    let plan = fleet.jailferry(&["plan", "jail", "web", "to", "node", "big"]).exits(0);
    let dry = fleet.jailferry(&["migrate", "jail", "web", "to", "node", "big", "--dry-run"]).exits(0);
    assert!(dry.stdout.contains(&plan.stdout), "a dry run shows the plan\n{}\n{}", plan.all, dry.all);
    fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0);
    fleet.jailferry(&["migrate", "web", "big", "--dry-run", "--yes", "--json"]).exits(0);
    fleet.jailferry(&["run", &playbook, "--dry-run", "--yes"]).exits(0);
    fleet.jailferry(&["facts"]).exits(0);
    // Nobody is here to say yes.
    fleet.jailferry(&["migrate", "web", "big"]).exits(3).says("--yes");

    let mut asked = 0;
    for (node, before) in NODES.into_iter().zip(logged) {
        for command in fleet.in_lab().commands(node).iter().skip(before) {
            let argv: Vec<&str> =
                command["argv"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            assert!(reads(&argv), "{node} was not only read: {}", argv.join(" "));
            asked += 1;
        }
    }
    assert!(asked > 100, "the hosts' logs hold only {asked} commands");
    before.same(&fleet.states(), "after plans and dry runs");
    assert!(fleet.journals().is_empty(), "a dry run is no run");
}

/// Does this FreeBSD command only read? Everything that is not known to, does not.
fn reads(argv: &[&str]) -> bool {
    let (Some((name, args)), all) =
        (argv.split_first(), |args: &[&str], f: fn(&str) -> bool| args.iter().all(|a| f(a)))
    else {
        return false;
    };
    match *name {
        "date" => matches!(args, ["+%s"]),
        "uname" | "freebsd-version" | "kldstat" | "netstat" | "stat" | "fstat" | "sockstat" | "jls" | "id" => true,
        "ps" => args == ["-ax", "-o", "pid=", "-o", "jid="],
        "sha256" => args.first() == Some(&"-q"),
        "hostname" | "mount" => all(args, |a| a == "-p" || a == "-s"),
        // What they print can go into a file only by the shell's redirection, which is no command: the states are compared.
        "cat" | "grep" | "egrep" | "fgrep" | "head" | "tail" | "tr" | "cut" | "wc" | "ls" | "expr" => true,
        "sort" => all(args, |a| !a.starts_with("-o")),
        "awk" => all(args, |a| !["print >", "printf >", "system(", "close("].iter().any(|deed| a.contains(deed))),
        "sed" => args.first() == Some(&"-n"),
        "sysctl" | "sysrc" => all(args, |a| !a.contains('=') && a != "-x" && a != "-d"),
        "ifconfig" => matches!(args, ["-a"] | ["-l"] | ["-f", _, "-a"]),
        "jail" => args.contains(&"-e") && !args.contains(&"-c") && !args.contains(&"-r"),
        "pfctl" => {
            matches!(args, ["-t", _, "-T", "show"])
                || all(args, |a| !["-f", "-F", "-k", "-K", "-e", "-d", "-T", "-nf"].iter().any(|o| a.starts_with(o)))
        }
        "devfs" => matches!(args, ["rule", "-s", _, "show"]),
        "service" => matches!(args.last(), Some(&("status" | "onestatus" | "enabled"))) || args == ["-e"],
        "wg" => args.first() == Some(&"show"),
        "route" => args.contains(&"get"),
        "arp" | "ndp" => matches!(args, ["-an"] | ["-a"] | ["--libxo", "json", "-an"]),
        "df" => all(args, |a| !a.starts_with("--")),
        // A packet to the hub, by which a tunnel that nobody uses tells whether it works.
        "ping" => args.contains(&"-c"),
        "zfs" => match args {
            ["list" | "get" | "version" | "holds", ..] | ["allow", _] => true,
            ["send", options @ ..] => options.iter().any(|o| o.starts_with('-') && o.contains('n')),
            _ => false,
        },
        "zpool" => matches!(args.first(), Some(&("list" | "get" | "status"))),
        // A question to a page outside.
        "nc" => !args.contains(&"-l"),
        // Those that run another: the shell's own commands are in the log as well.
        // A script of the base system; what it runs is in the log as well.
        "sh" => matches!(args, ["/bin/freebsd-version", ..]) || *args == ["-c", WAITS],
        "sudo" => matches!(args, ["-n", "--", rest @ ..] if reads(rest)),
        "jexec" | "setfib" => match args {
            ["-l", _, rest @ ..] | [_, rest @ ..] => reads(rest),
            [] => false,
        },
        "timeout" => match args {
            ["--foreground", "-k", _, _, "/bin/sh", "-s"] => true,
            ["--foreground", "-k", _, _, rest @ ..] => reads(rest),
            ["--foreground", _, rest @ ..] => reads(rest),
            ["-k", _, _, "/bin/sh", "-s"] => true,
            ["-k", _, _, rest @ ..] => reads(rest),
            [_, rest @ ..] => reads(rest),
            [] => false,
        },
        _ => false,
    }
}

#[test]
fn what_a_plan_prints_is_what_runs() {
    let Some(fleet) = Fleet::lab("what_a_plan_prints_is_what_runs") else { return };
    let lab = fleet.in_lab();
    let lengths = || NODES.map(|node| lab.received(node).len());
    let logged = || NODES.map(|node| lab.commands(node).len());
    let start = lengths();
    let plan = fleet.jailferry(&["plan", "web", "big", "--json"]).exits(0).json();
    let (planned, before) = (lengths(), logged());
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);

    let journal = fleet.journal();
    assert_eq!(journal[0]["what"]["header"]["run"], plan["run"], "the run has the plan's id");
    let skipped: Vec<&Value> =
        journal.iter().map(|l| &l["what"]["step"]).filter(|s| s["phase"] == "skipped").map(|s| &s["number"]).collect();
    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for step in plan["steps"].as_array().expect("a list") {
        if skipped.contains(&&step["number"]) {
            continue;
        }
        for command in step["commands"].as_array().expect("a list") {
            let host = command["host"].as_str().expect("a host");
            expected.entry(host).or_default().push(command["command"].as_str().expect("a command").to_owned());
        }
    }
    for (index, node) in NODES.into_iter().enumerate() {
        let received = lab.received(node);
        // A run asks the same questions as a plan, then does what the plan says, and nothing else.
        let asked = commands(&received[start[index]..planned[index]]);
        let mut done = commands(&received[planned[index]..]);
        // The signs of life come whenever it is time for one; the plan prints them as well.
        let beats: Vec<&str> =
            plan["beats"].as_array().expect("a list").iter().filter_map(|b| b["command"].as_str()).collect();
        assert_eq!(beats.len(), NODES.len(), "{}", told.all);
        done.retain(|c| !beats.contains(&c.as_str()));
        let mut again: Vec<String> = done.drain(..asked.len().min(done.len())).collect();
        let mut once = asked;
        once.sort();
        again.sort();
        assert_eq!(again, once, "{node} was asked something else than for the plan\n{}", told.all);
        let promised = expected.remove(node).unwrap_or_default();
        assert!(!promised.is_empty(), "nothing was planned for {node}");
        // A host does one thing after the other; streams, fresh connections and the comparison go beside that.
        for wanted in [Lane::Host, Lane::Streams, Lane::Fresh, Lane::Compared] {
            let lane = |all: &[String]| all.iter().filter(|c| wanted == lane_of(c)).cloned().collect::<Vec<_>>();
            let (mut did, mut said) = (lane(&done), lane(&promised));
            // The last ones of several datasets go together; those of one keep their order. Shells that wait become some of
            // them, so what ran is what counts, which the host's log has without quotes.
            if wanted == Lane::Streams {
                did = lab.commands(node).iter().skip(before[index]).filter_map(stream).collect();
                said.iter_mut().for_each(|line| *line = line.replace('\'', ""));
                did.sort_by(|a, b| dataset(a).cmp(dataset(b)));
                said.sort_by(|a, b| dataset(a).cmp(dataset(b)));
            }
            for (at, (did, said)) in did.iter().zip(&said).enumerate() {
                assert_eq!(did, said, "{node}: command {at} is not the planned one\n{}", told.all);
            }
            assert_eq!(did.len(), said.len(), "{node}: only one of plan and run has its last commands\n{}", told.all);
        }
    }
}

/// The command behind lockf(1), for those that wait for the jail's turn on the host, and for others.
fn unturned(line: &str) -> &str {
    if line.starts_with("lockf -k -s -t ") { unturned(line.splitn(7, ' ').nth(6).unwrap_or_default()) } else { line }
}

/// What keeps the plan's order on a host: streams, fresh connections, what both hosts are asked at the same time, and
/// everything else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Host,
    Streams,
    Fresh,
    Compared,
}

/// A stream that ran, if this command of a host was one.
fn stream(command: &Value) -> Option<String> {
    let words: Vec<&str> = command["argv"].as_array()?.iter().filter_map(Value::as_str).collect();
    let moves_data = match words.as_slice() {
        ["zfs", "send", options @ ..] => options.iter().all(|o| !(o.starts_with('-') && o.contains('n'))),
        ["zfs", "receive", ..] => true,
        _ => false,
    };
    moves_data.then(|| words.join(" "))
}

/// Is it nothing but scripts one after the other, each in a shell of its own, with a mark behind each?
fn is_chain(body: &str) -> bool {
    let mut rest = body;
    let mut parts = 0;
    while let Some((line, behind)) = rest.strip_prefix("rc=0\n").and_then(|rest| rest.split_once('\n')) {
        let shell = line.strip_suffix("' || rc=$?").and_then(|line| line.split_once(" /bin/sh -s <<'"));
        let Some((begin, end)) = shell.filter(|(begin, _)| unturned(begin).starts_with("timeout ")) else {
            return false;
        };
        assert!(!begin.contains([';', '|', '&']), "more than a shell: {line}");
        let (_, marks) = behind.split_once(&format!("\n{end}\n")).expect("its script has an end");
        let (mark, _) = marks.strip_prefix("printf '\\n").and_then(|rest| rest.split_once(' ')).expect("a mark");
        assert!(mark.starts_with("jailferry-") && mark.len() == 42, "a mark that could be printed: {mark}");
        let told =
            format!("printf '\\n{mark} %s\\n' $rc\nprintf '\\n{mark} %s\\n' $rc >&2\n[ $rc -eq 0 ] || exit $rc\n");
        rest = marks.strip_prefix(&told).unwrap_or_else(|| panic!("more than marks: {marks}"));
        parts += 1;
    }
    assert!(parts == 0 || rest.is_empty(), "more than its parts: {rest}");
    parts > 0
}

/// What a stream is of, or into.
fn dataset(stream: &str) -> &str {
    let last = stream.rsplit(' ').next().unwrap_or_default();
    last.split('@').next().unwrap_or_default()
}

fn lane_of(command: &str) -> Lane {
    match command {
        "true" => Lane::Fresh,
        c if c.contains("zfs get -Hp -o name,value guid ") => Lane::Compared,
        c if !c.contains('\n') && (c.starts_with("zfs send ") || c.starts_with("zfs receive ")) => Lane::Streams,
        _ => Lane::Host,
    }
}

/// The commands as the plan prints them: scripts without what every script is wrapped in, others without timeout(1) and the way to become root.
fn commands(received: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    for entry in received {
        if let Some(script) = entry["script"].as_str() {
            let body =
                script.split_once("main() {\n").and_then(|(_, rest)| rest.strip_suffix("\n}\nmain </dev/null\nexit\n"));
            let body = body.unwrap_or_else(|| panic!("a script in an odd wrapping: {script}"));
            // Its parts are scripts that follow by themselves.
            if is_chain(body) {
                continue;
            }
            // The plan cannot hold itself.
            let lines = body.lines().map(|l| if l.starts_with("{\"format\":") { "(this plan, as JSON)" } else { l });
            let whole = lines.collect::<Vec<_>>().join("\n");
            all.push(if body.ends_with('\n') { format!("{whole}\n") } else { whole });
            continue;
        }
        let line = entry["command"].as_str().expect("a command or a script");
        // It becomes what it is told, and that is a script.
        if line == WAITS || line == format!("exec /bin/sh -c '{WAITS}'") {
            continue;
        }
        let bare = line.strip_prefix("exec ").map(|l| l.strip_prefix("sudo -n -- ").unwrap_or(l)).map(unturned);
        let timed = |l: &'static str| bare.and_then(|b| b.strip_prefix(l)?.split_once(' '));
        let words = timed("timeout --foreground -k 10 ").or_else(|| timed("timeout -k 10 "));
        let (_, command) = words.unwrap_or_else(|| panic!("a command in an odd wrapping: {line}"));
        // Its script follows.
        if command != "/bin/sh -s" {
            all.push(command.to_owned());
        }
    }
    all
}
