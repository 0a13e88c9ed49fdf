//! jls(8) (recordings `jls-*`).

use super::jail8::quoted;
use super::registry;
use super::registry::Jail;
use crate::context::Context;

#[derive(Default)]
struct Options {
    json: bool,
    jail: Option<String>,
    quote: bool,
    pairs: bool,
    verbose: bool,
    header: bool,
    names: bool,
    skip: bool,
    dying: bool,
    parameters: Vec<String>,
}

fn usage() -> i32 {
    eprintln!("usage: jls [--libxo] [-dhNnqv] [-j jail] [param ...]");
    1
}

fn parse(args: &[String]) -> Option<Options> {
    let mut options = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--libxo" {
            options.json = rest.next()?.starts_with("json");
            continue;
        }
        if let Some(style) = arg.strip_prefix("--libxo=").or(arg.strip_prefix("--libxo:")) {
            options.json = style.starts_with("json");
            continue;
        }
        let Some(letters) = arg.strip_prefix('-').filter(|l| !l.is_empty()) else {
            options.parameters.push(arg.clone());
            continue;
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'q' => options.quote = true,
                'n' => options.pairs = true,
                'v' => options.verbose = true,
                'h' => options.header = true,
                'N' => options.names = true,
                's' => options.skip = true,
                'd' => options.dying = true,
                'j' => {
                    let tail = &letters[at + 1..];
                    options.jail = Some(if tail.is_empty() { rest.next()?.clone() } else { tail.into() });
                    break;
                }
                _ => return None,
            }
        }
    }
    Some(options)
}

fn mounts(ctx: &Context, jail: &str) -> bool {
    crate::mounts::list(ctx).is_ok_and(|all| all.iter().any(|mount| mount.jail.as_deref() == Some(jail)))
}

fn dying(ctx: &Context, name: &str) -> Option<Jail> {
    registry::dying(ctx).into_iter().find(|jail| jail.name == name || jail.jid.to_string() == name)
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = parse(args) else {
        return usage();
    };
    let jails = match &options.jail {
        None => {
            let mut jails = registry::list(ctx);
            if options.dying {
                jails.extend(registry::dying(ctx));
                jails.sort_by_key(|jail| jail.jid);
            }
            jails
        }
        Some(name) => match registry::find(ctx, name).or_else(|| options.dying.then(|| dying(ctx, name)).flatten()) {
            Some(jail) => vec![jail],
            // A mount that it made holds its credentials. The number is any: only whether it is there is asked of such.
            None if options.dying && mounts(ctx, name) => {
                println!("1");
                return 0;
            }
            None => {
                eprintln!("jls: jail \"{name}\" not found");
                return 1;
            }
        },
    };
    if options.json {
        return json(ctx, &options, &jails);
    }
    if options.parameters.is_empty() && !options.pairs && !options.quote && !options.header && !options.skip {
        table(&options, &jails);
        return 0;
    }
    if let Some(unknown) = unknown(ctx, &options) {
        eprintln!("jls: unknown parameter: {unknown}");
        return 1;
    }
    if options.header {
        println!("{}", options.parameters.join(" "));
    }
    for jail in &jails {
        let all = values(ctx, jail);
        let wanted: Vec<(String, Value)> = if options.parameters.is_empty() {
            all
        } else {
            options.parameters.iter().filter_map(|p| all.iter().find(|(name, _)| name == p).cloned()).collect()
        };
        let words: Vec<String> = wanted.iter().map(|(name, value)| word(&options, name, value)).collect();
        println!("{}", words.join(" "));
    }
    0
}

fn unknown<'a>(ctx: &Context, options: &'a Options) -> Option<&'a String> {
    let sample = Jail {
        jid: 0,
        name: String::new(),
        pid: 0,
        path: String::new(),
        hostname: String::new(),
        vnet: true,
        persist: true,
        parameters: Default::default(),
        dying_until: None,
        rootless: false,
    };
    let known = values(ctx, &sample);
    options.parameters.iter().find(|p| !known.iter().any(|(name, _)| name == *p))
}

/// A parameter's value.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Flag(bool),
    List,
}

fn word(options: &Options, name: &str, value: &Value) -> String {
    let plain = match value {
        Value::Flag(on) if options.pairs => {
            let (head, tail) = name.rsplit_once('.').map_or((String::new(), name), |(h, t)| (format!("{h}."), t));
            return if *on { name.into() } else { format!("{head}no{tail}") };
        }
        Value::Flag(on) => on.to_string(),
        Value::Text(text) => text.clone(),
        Value::List => String::new(),
    };
    let plain = if options.quote || options.pairs {
        quoted(&plain)
    } else if plain.is_empty() {
        "-".into()
    } else {
        plain
    };
    if options.pairs { format!("{name}={plain}") } else { plain }
}

/// All parameters of a jail, in jls's order (recording `jls-all`).
fn values(ctx: &Context, jail: &Jail) -> Vec<(String, Value)> {
    let set = |name: &str, default: &str| {
        let value = jail.parameters.get(name).filter(|v| !v.is_empty());
        Value::Text(value.cloned().unwrap_or_else(|| default.into()))
    };
    let flag = |name: &str, default: bool| {
        let off = name.rsplit_once('.').map_or(format!("no{name}"), |(h, t)| format!("{h}.no{t}"));
        Value::Flag(match (jail.parameters.get(name), jail.parameters.contains_key(&off)) {
            (Some(value), _) => !matches!(value.as_str(), "0" | "false"),
            (None, true) => false,
            (None, false) => default,
        })
    };
    let text = |value: &str| Value::Text(value.into());
    let mut list = vec![
        ("devfs_ruleset", set("devfs_ruleset", "0")),
        ("dying", Value::Flag(jail.dying_until.is_some())),
        ("enforce_statfs", set("enforce_statfs", "2")),
        ("host", text("new")),
        ("ip4", text("inherit")),
        ("ip6", text("inherit")),
        ("jid", Value::Text(jail.jid.to_string())),
        ("name", text(&jail.name)),
        ("osreldate", set("osreldate", &ctx.host.osreldate.to_string())),
        ("osrelease", set("osrelease", &ctx.host.osrelease)),
        ("parent", text("0")),
        ("path", text(&jail.path)),
        ("persist", Value::Flag(jail.persist)),
        ("securelevel", set("securelevel", "-1")),
        ("sysvmsg", set("sysvmsg", "disable")),
        ("sysvsem", set("sysvsem", "disable")),
        ("sysvshm", set("sysvshm", "disable")),
        ("vnet", text(if jail.vnet { "new" } else { "inherit" })),
        ("zfs", text("new")),
    ];
    for (name, default) in [
        ("allow.chflags", false),
        ("allow.mlock", false),
        ("allow.mount", false),
        ("allow.mount.devfs", false),
        ("allow.mount.fdescfs", false),
        ("allow.mount.nullfs", false),
        ("allow.mount.tmpfs", false),
        ("allow.mount.zfs", false),
        ("allow.quotas", false),
        ("allow.raw_sockets", false),
        ("allow.read_msgbuf", false),
        ("allow.reserved_ports", true),
        ("allow.set_hostname", true),
        ("allow.socket_af", false),
        ("allow.suser", true),
        ("allow.sysvipc", false),
        ("allow.unprivileged_proc_debug", true),
    ] {
        list.push((name, flag(name, default)));
    }
    list.extend([
        ("children.cur", text("0")),
        ("children.max", set("children.max", "0")),
        ("cpuset.id", Value::Text((jail.jid + 2).to_string())),
        ("host.domainname", set("host.domainname", "")),
        ("host.hostid", set("host.hostid", "0")),
        ("host.hostname", text(&jail.hostname)),
        ("host.hostuuid", set("host.hostuuid", "00000000-0000-0000-0000-000000000000")),
        ("ip4.addr", Value::List),
        ("ip4.saddrsel", Value::Flag(true)),
        ("ip6.addr", Value::List),
        ("ip6.saddrsel", Value::Flag(true)),
        ("zfs.mount_snapshot", text("0")),
    ]);
    list.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn table(options: &Options, jails: &[Jail]) {
    if options.verbose {
        println!(
            "   JID  Hostname                      Path\n        Name                          State\n        CPUSetID\n        IP Address(es)"
        );
        for jail in jails {
            println!(
                "{:6}  {:<29.29} {:.74}\n        {:<29.29} ACTIVE\n        {}",
                jail.jid,
                jail.hostname,
                jail.path,
                jail.name,
                jail.jid + 2
            );
        }
        return;
    }
    println!("   JID  IP Address      Hostname                      Path");
    for jail in jails {
        let id = if options.names { format!("{:<6}", jail.name) } else { format!("{:6}", jail.jid) };
        println!("{id}  {:<15.15} {:<29.29} {:.74}", "", jail.hostname, jail.path);
    }
}

fn string(text: &str) -> String {
    serde_json::Value::String(text.into()).to_string()
}

fn json(ctx: &Context, options: &Options, jails: &[Jail]) -> i32 {
    if let Some(unknown) = unknown(ctx, options) {
        eprintln!("jls: unknown parameter: {unknown}");
        return 1;
    }
    let entries: Vec<String> = jails
        .iter()
        .map(|jail| {
            if !options.parameters.is_empty() {
                return format!("{{{}}}", json_parameters(ctx, options, jail));
            }
            let (host, path) = (string(&jail.hostname), string(&jail.path));
            if options.verbose {
                format!(
                    "{{\"jid\":{},\"hostname\":{host},\"path\":{path},\"name\":{},\"state\":\"ACTIVE\",\"cpusetid\":{}, \"ipv4_addrs\": [], \"ipv6_addrs\": []}}",
                    jail.jid,
                    string(&jail.name),
                    jail.jid + 2
                )
            } else {
                format!("{{\"jid\":{},\"ipv4\":\"\",\"hostname\":{host},\"path\":{path}}}", jail.jid)
            }
        })
        .collect();
    println!("{{\"__version\": \"2\", \"jail-information\": {{\"jail\": [{}]}}}}", entries.join(", "));
    0
}

/// Every value is a string here, also the jid (recording `jls-json-params`).
fn json_parameters(ctx: &Context, options: &Options, jail: &Jail) -> String {
    let all = values(ctx, jail);
    let mut out = String::new();
    for parameter in &options.parameters {
        let Some((name, value)) = all.iter().find(|(name, _)| name == parameter) else {
            continue;
        };
        let comma = if out.is_empty() { "" } else { "," };
        out += &match value {
            Value::List => format!("{comma} \"{name}\": []"),
            Value::Text(text) => format!("{comma}\"{name}\":{}", string(text)),
            Value::Flag(on) => format!("{comma}\"{name}\":\"{on}\""),
        };
    }
    out
}
