//! The canary jail and what it tries: contract 2.3, 2.4, 2.6 (the jail), 1.7, 1.8 (FIBs, routes), 6.5 (probes).

use std::net::IpAddr;

use crate::effect::Work;
use crate::effect::canary::Canary;
use crate::effect::canary::Goal;
use crate::effect::canary::Seen;
use crate::effect::canary::Trial;
use crate::effect::command::Command;
use crate::effect::commands::JAIL;
use crate::effect::commands::SHORT;
use crate::effect::commands::network;
use crate::effect::commands::probe::ping;
use crate::effect::shell;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::Landmark;
use crate::model::NodeName;

/// Takes the canary away, whatever there is of it, and nothing that is not marked as this run's. The interface comes
/// back before the jail goes (contract 2.6: interfaces inside dying network stacks are better not destroyed). `jail -R`,
/// since no configuration file knows it. A socket may keep the jail dying for a minute (contract 2.4); it has no name
/// and no interface then, so that is waited for, but no failure.
fn forget(canary: &Canary) -> String {
    let Canary { jail, run, unit, .. } = canary;
    format!(
        "if [ \"$(jls -j {jail} host.hostname 2>/dev/null)\" = {run} ]; then\n  ifconfig epair{unit}b -vnet {jail} >/dev/null 2>&1 || :\n  jail -R {jail} >/dev/null 2>&1 || :\n  if jls -j {jail} jid >/dev/null 2>&1; then echo 'jail {jail} is still there after jail -R' >&2; exit 21; fi\n  n=0\n  while jls -d -j {jail} jid >/dev/null 2>&1 && [ $n -lt 700 ]; do n=$((n + 1)); sleep 0.1; done\nfi\nif ifconfig epair{unit}a 2>/dev/null | grep -q '^[[:space:]]*description: jailferry {run}$'; then ifconfig epair{unit}a destroy; fi\n"
    )
}

pub(super) fn remove(canary: &Canary) -> Work {
    let script = forget(canary);
    Work::Run(vec![Command::script(&canary.host, JAIL, script.trim_end().to_owned())])
}

/// Made anew when it is there already: nobody depends on it. `path=/`, so that the host's own tools can be run inside;
/// bridge and FIB first, addresses last (contract 6.4), the FIB read back since ifconfig only warns (contract 0.6). An
/// earlier canary had the same addresses: for up to 40 s the host would go on asking for its hardware address (RFC 4861,
/// REACHABLE_TIME, DELAY_FIRST_PROBE_TIME), which is longer than anything is tried.
pub(super) fn make(canary: &Canary) -> Work {
    let Canary { host, jail, run, unit, bridge, fib, mtu, ends } = canary;
    let mut script = forget(canary);
    script.push_str(&format!(
        "if jls -j {jail} jid >/dev/null 2>&1; then echo \"jail {jail} is there, of run $(jls -j {jail} host.hostname): another run tries its way on {host}; if it was interrupted: jailferry recover\" >&2; exit 23; fi\nif ifconfig epair{unit}a >/dev/null 2>&1; then echo 'epair{unit}a has come into being since the plan was made' >&2; exit 23; fi\nifconfig epair{unit} create >/dev/null\nifconfig epair{unit}a description 'jailferry {run}'\n"
    ));
    if *fib != 0 {
        script.push_str(&format!(
            "ifconfig epair{unit}a fib {fib}\nifconfig epair{unit}a | grep -q '^[[:space:]]*fib: {fib}$' || {{ echo 'epair{unit}a does not go into FIB {fib}' >&2; exit 21; }}\n"
        ));
    }
    script.push_str(&format!(
        "ifconfig {bridge} addm epair{unit}a\nifconfig epair{unit}a up\njail -c name={jail} path=/ host.hostname={run} persist vnet vnet.interface=epair{unit}b >/dev/null\njexec -l {jail} ifconfig epair{unit}b mtu {mtu}\n"
    ));
    for end in ends {
        let (address, gateway, length) = (end.address, end.gateway, end.length);
        let family = Family::of(address);
        let zone = match gateway {
            IpAddr::V6(a) if a.is_unicast_link_local() => format!("%epair{unit}b"),
            _ => String::new(),
        };
        let flags = match family {
            Family::Inet => String::new(),
            Family::Inet6 => format!("jexec -l {jail} ifconfig epair{unit}b inet6 -ifdisabled no_dad\n"),
        };
        script.push_str(&format!(
            "{flags}jexec -l {jail} ifconfig epair{unit}b {family} {address}/{length} up\njexec -l {jail} route -q -n add -{family} default {gateway}{zone}\n"
        ));
    }
    for end in ends {
        script.push_str(&format!("{} >/dev/null 2>&1 || :\n", network::forget(end.address)));
    }
    script.push_str(&format!("jls -j {jail} jid >/dev/null || {{ echo 'jail {jail} is not there' >&2; exit 21; }}"));
    Work::Run(vec![Command::script(host, JAIL, script)])
}

/// Asks a landmark, after what gets the command to where it shall run: `jexec -l web`, `setfib 1`, nothing. HTTP/1.0
/// with nc(1), which reads until the server closes: so it is the server that keeps the connection's last state, and no
/// socket outlives the jail. Ends with failure when nobody answers, and prints the answer.
#[must_use]
pub fn asking(landmark: &Landmark, at: &str, source: Option<IpAddr>) -> String {
    let address = landmark.address();
    match landmark.page() {
        None => format!("{at}{}", ping(address, None, source)),
        Some((port, path)) => {
            let host = match address {
                IpAddr::V4(a) => a.to_string(),
                IpAddr::V6(a) => format!("[{a}]"),
            };
            let from = source.map(|s| format!(" -s {s}")).unwrap_or_default();
            format!(
                "printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' {} {} | timeout --foreground 10 {at}nc -w 5{from} {address} {port} | tr -d '\\r' | head -c 20000 | grep ''",
                shell::word(path),
                shell::word(&host),
            )
        }
    }
}

/// The caller's address in such an answer: a line that is nothing but an address, or `ip=ADDRESS`.
pub const CALLER: &str = "awk 'body { line = $0; sub(/^ip=/, \"\", line); if (line ~ /^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+$/ || line ~ /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]+$/) { print line; exit } } /^$/ { body = 1 }'";

/// What gets a command to where the trial runs.
fn at(trial: &Trial) -> String {
    match (&trial.jail, trial.road.fib) {
        (Some(jail), _) => format!("jexec -l {jail} "),
        (None, 0) => String::new(),
        (None, fib) => format!("setfib {fib} "),
    }
}

/// Of a jail with several addresses the kernel chooses one, unless it is about being seen by this one.
fn source(trial: &Trial) -> Option<IpAddr> {
    let by_its_own = matches!(trial.goal, Goal::Outside { seen: Some(Seen::Own), .. });
    (trial.jail.is_none() || by_its_own).then_some(trial.address)
}

/// Whose packets these are.
fn who(trial: &Trial) -> String {
    match &trial.jail {
        Some(jail) => format!("jail {jail} ({})", trial.address),
        None => format!("{} in FIB {} ({})", trial.road.host, trial.road.fib, trial.address),
    }
}

/// What is said when it fails, and what is done to say more: which packets pass, who is seen.
fn attempt(trial: &Trial) -> (String, String, String) {
    let (who, road) = (who(trial), &trial.road);
    let bisect = |ping: &dyn Fn(&str) -> String, headers: u32| {
        format!(
            "if {small} >/dev/null 2>&1; then\n  low=500 high={mtu}\n  while [ $((high - low)) -gt 4 ]; do\n    size=$(((low + high) / 2)) payload=$(((low + high) / 2 - {headers}))\n    if {sized} >/dev/null 2>&1; then low=$size; else high=$size; fi\n  done\n  echo \"small packets pass, those of up to about $low bytes too: the MTU somewhere on the way is less than the jail's {mtu}\" >&2\nfi\n",
            small = ping(""),
            sized = ping("-D -s $payload "),
            mtu = road.mtu,
        )
    };
    let headers = if trial.address.is_ipv4() { 28 } else { 48 };
    let plain = |to: IpAddr| {
        let at = at(trial);
        let from = source(trial).map(|s| format!("-S {s} ")).unwrap_or_default();
        let family = if to.is_ipv4() { "ping -n -q " } else { "ping -6 -n -q -u " };
        move |options: &str| format!("{at}{family}{from}{options}-c 1 -t 1 {to}")
    };
    match &trial.goal {
        Goal::Hub { hub } => (
            format!("{}{}", at(trial), ping(*hub, Some(road.mtu), source(trial))),
            format!("{hub} on the hub does not answer {who} with packets of {} bytes", road.mtu),
            bisect(&plain(*hub), headers),
        ),
        Goal::FromHub { source } => {
            let from = source.map(|s| format!("-S {s} ")).unwrap_or_default();
            let (to, family) =
                (trial.address, if trial.address.is_ipv4() { "ping -n -q " } else { "ping -6 -n -q -u " });
            let again = move |options: &str| format!("{family}{from}{options}-c 1 -t 1 {to}");
            (
                ping(trial.address, Some(road.mtu), *source),
                format!("{who} does not answer the hub with packets of {} bytes", road.mtu),
                bisect(&again, headers),
            )
        }
        Goal::Outside { landmark, seen } => {
            let wanted = match seen {
                None => String::new(),
                Some(Seen::Own) => trial.address.to_string(),
                Some(Seen::Address(address)) => address.to_string(),
            };
            let asked = asking(landmark, &at(trial), source(trial));
            let command = if wanted.is_empty() {
                asked
            } else {
                format!("seen=$({asked} | {CALLER}) && [ \"$seen\" = {wanted} ]")
            };
            let more = if wanted.is_empty() {
                String::new()
            } else {
                format!(
                    "seen=$({} | {CALLER}) || :\nif [ -n \"$seen\" ]; then echo \"{landmark} sees $seen as the caller, not {wanted}: NAT on {} is not what the jail has now, or the packets leave by another way\" >&2; fi\n",
                    asking(landmark, &at(trial), source(trial)),
                    road.hub
                )
            };
            (command, format!("{landmark} does not answer {who} as it should"), more)
        }
    }
}

/// Tries until it succeeds or the time is over, then tells what was tried and looks for the reason here and there.
pub(super) fn try_it(trial: &Trial, on: &NodeName) -> Work {
    let (command, failure, more) = attempt(trial);
    let (mut here, there) = match trial.goal {
        Goal::FromHub { .. } => (ask_hub(trial), ask_host(trial)),
        Goal::Hub { .. } | Goal::Outside { .. } => (ask_host(trial), ask_hub(trial)),
    };
    let alone = trial.other_end() == on;
    if alone {
        here.push_str(&there);
    }
    for suspicion in &trial.road.suspicions {
        here.push_str(&format!("echo {}\n", shell::word(suspicion)));
    }
    let script = format!(
        "end=$(($(date +%s) + {}))\nwhile :; do\n  if out=$({{ {command}; }} 2>&1); then exit 0; fi\n  [ \"$(date +%s)\" -lt $end ] || break\n  sleep 0.2\ndone\n[ -z \"$out\" ] || printf '%s\\n' \"$out\" | tail -n 1 >&2\necho {} >&2\n{more}{{\n{here}}} >&2\nexit 21",
        trial.seconds,
        shell::word(&failure)
    );
    let tried = Command::script(on, SHORT.saturating_add(trial.seconds), script);
    let why = (!alone).then(|| Command::script(trial.other_end(), SHORT, there.trim_end().to_owned()));
    Work::Explained { tried, why }
}

/// The interface by which a FIB sends an address (`route get`, contract 1.3; the exit status differs between releases).
fn way_out(address: IpAddr, fib: u16) -> String {
    format!(
        "$(route -n get -{} {address} -fib {fib} 2>/dev/null | awk '$1 == \"interface:\" {{ print $2 }}')",
        Family::of(address)
    )
}

fn forwarding(family: Family) -> &'static str {
    match family {
        Family::Inet => "net.inet.ip.forwarding",
        Family::Inet6 => "net.inet6.ip6.forwarding",
    }
}

fn too_small(interface: &InterfaceName, mtu: u32, host: &NodeName) -> String {
    format!(
        "mtu=$(ifconfig {interface} | sed -n 's/^[^[:space:]].* mtu \\([0-9][0-9]*\\).*/\\1/p')\n[ \"${{mtu:-0}}\" -ge {mtu} ] || echo \"{host}: the MTU of {interface} is ${{mtu:-unknown}}, less than the jail's {mtu}\"\n"
    )
}

/// Prints what is wrong on the host of the jail; nothing when nothing is seen.
fn ask_host(trial: &Trial) -> String {
    let road = &trial.road;
    let (host, bridge, fib) = (&road.host, &road.bridge, road.fib);
    let family = trial.family();
    let mut script = String::new();
    if let Some(end) = &road.end {
        script.push_str(&format!(
            "fib=$(ifconfig {end} | sed -n 's/^[[:space:]]*fib: \\([0-9]*\\)$/\\1/p')\n[ \"${{fib:-0}}\" = {fib} ] || echo \"{host}: {end} is in FIB ${{fib:-0}}, not in FIB {fib}\"\nifconfig {bridge} | awk '$1 == \"member:\" {{ print $2 }}' | grep -qxF {end} || echo '{host}: {end} is not a member of {bridge}'\n"
        ));
    }
    let name = forwarding(family);
    script.push_str(&format!(
        "[ \"$(sysctl -n {name})\" = 1 ] || echo '{host}: {name} is not 1: packets are not forwarded'\n"
    ));
    let destination = match &trial.goal {
        Goal::Outside { landmark, .. } => Some(landmark.address()),
        Goal::Hub { hub } => Some(*hub),
        Goal::FromHub { source } => *source,
    };
    if let (Some(tunnel), Some(to)) = (&road.tunnel, destination) {
        script.push_str(&format!(
            "out={}\n[ \"$out\" = {tunnel} ] || echo \"{host}: FIB {fib} sends {to} out of ${{out:-nothing}}, not of {tunnel}: route -n get -{family} {to} -fib {fib}\"\n",
            way_out(to, fib)
        ));
    }
    if let Some(tunnel) = &road.tunnel {
        script.push_str(&too_small(tunnel, road.mtu, host));
    }
    if trial.jail.is_some() {
        let address = trial.address;
        script.push_str(&format!(
            "back={}\n[ \"$back\" = {bridge} ] || echo \"{host}: FIB 0 sends {address} out of ${{back:-nothing}}, not of {bridge}\"\n",
            way_out(address, 0)
        ));
    }
    script.push_str(&format!("if pfctl -s Running >/dev/null 2>&1; then echo '{host}: pf runs and may drop the packets: pfctl -sr, pfctl -ss'; fi\n"));
    script
}

/// Prints what is wrong on the hub; nothing when nothing is seen.
fn ask_hub(trial: &Trial) -> String {
    let road = &trial.road;
    let (hub, tunnel, address) = (&road.hub, &road.hub_tunnel, trial.address);
    let family = trial.family();
    let name = forwarding(family);
    let mut script =
        format!("[ \"$(sysctl -n {name})\" = 1 ] || echo '{hub}: {name} is not 1: packets are not forwarded'\n");
    if road.tunnel.is_some() {
        script.push_str(&format!(
            "out={}\n[ \"$out\" = {tunnel} ] || echo \"{hub}: {address} is sent out of ${{out:-nothing}}, not of {tunnel}: netstat -rn\"\n",
            way_out(address, 0)
        ));
        script.push_str(&too_small(tunnel, road.mtu, hub));
    }
    if let Goal::Outside { landmark, .. } = &trial.goal {
        let to = landmark.address();
        let reach = match landmark.page() {
            Some((port, _)) => format!("nc -z -w 3 {to} {port}"),
            None => ping(to, None, None),
        };
        // A translated state is shown as `PUBLIC (ADDRESS) -> …`, one that leaves as it came as `ADDRESS -> …`.
        let out = match family {
            Family::Inet => format!("{address}:[0-9]* ->"),
            Family::Inet6 => format!("{address}\\[[0-9]*\\] ->"),
        };
        let untranslated = match family {
            Family::Inet => format!(
                "echo '{hub}: pf leaves {address} untranslated or drops it: look for a nat rule that covers it (pfctl -sn) and for a block rule (pfctl -sr)'"
            ),
            Family::Inet6 => ":".to_owned(),
        };
        script.push_str(&format!(
            "if ! {reach} >/dev/null 2>&1; then echo '{hub}: {to} does not answer the hub itself either: look at its own way out and at {landmark}'; fi\nif pfctl -s Running >/dev/null 2>&1; then\n  states=$(pfctl -ss 2>/dev/null | grep -F '{address}' | grep -F '{to}') || :\n  if [ -z \"$states\" ]; then\n    echo '{hub}: pf has no state of {address} and {to}: a rule drops its packets (pfctl -sr), or they do not arrive (AllowedIPs on {host})'\n  elif printf '%s\\n' \"$states\" | grep -q '{out}'; then\n    {untranslated}\n  elif ! printf '%s\\n' \"$states\" | grep -qF '({address}'; then\n    echo '{hub}: packets of {address} come in but do not get out: a rule of pf drops them (pfctl -sr)'\n  fi\nelse\n  echo '{hub}: pf is not running, so nothing is translated'\nfi\n",
            host = road.host,
        ));
    } else if road.tunnel.is_some() {
        script.push_str(&format!(
            "if pfctl -s Running >/dev/null 2>&1; then echo '{hub}: pf runs; what its rules say of {address}: pfctl -sr'; fi\n"
        ));
    }
    script
}
