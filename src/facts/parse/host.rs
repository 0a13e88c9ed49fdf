//! The first round: [`HostFacts`] out of the answers to `host.sh`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::FactsError;
use super::error::printable;
use super::files;
use super::frames::Frame;
use super::frames::Frames;
use super::ifconfig;
use super::jails;
use super::netstat;
use super::pf;
use super::rc;
use super::sysctl;
use super::upkeep;
use super::wireguard;
use super::zfs;
use crate::effect::commands::OWNER_PROPERTY;
use crate::effect::commands::RUN_PROPERTY;
use crate::effect::commands::STATE_PROPERTY;
use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::Identity;
use crate::facts::Interface;
use crate::facts::JailConfiguration;
use crate::facts::Pf;
use crate::facts::Pool;
use crate::facts::Route;
use crate::facts::RunningJail;
use crate::facts::WireGuard;
use crate::facts::WireGuardFile;
use crate::facts::ZfsVersion;
use crate::model::InterfaceName;
use crate::model::Notice;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::model::TableName;

/// Question to what went wrong, for what the other facts can do without.
type Unreadable = BTreeMap<String, String>;

/// Reads a host's answer to [`crate::facts::questions::host_questions`].
///
/// # Errors
/// Everything that is wrong with it, not only the first.
pub fn parse_host(answer: &[u8]) -> Result<HostFacts, Vec<FactsError>> {
    let frames = Frames::parse(answer).map_err(|e| vec![e])?;
    let mut errors = Vec::new();
    let mut unreadable = Unreadable::new();
    let identity = keep(&mut errors, identity(&frames));
    let sysctls = keep(&mut errors, frames.get("sysctl").and_then(Frame::success).map(|f| sysctl::values(&f.text())));
    let interfaces = keep(
        &mut errors,
        frames.get("ifconfig").and_then(Frame::success).and_then(|f| ifconfig::interfaces("ifconfig", &f.text())),
    );
    let routes = keep(&mut errors, routes(&frames));
    let wireguard = keep(&mut errors, wireguard(&frames, &mut unreadable));
    let wireguard_files = wireguard_files(&frames, &mut unreadable);
    let pf = keep(&mut errors, packet_filter(&frames));
    let jails = keep(&mut errors, running_jails(&frames, &mut unreadable));
    let jail_configurations = configured_jails(&frames, &mut unreadable);
    let jail_files = jail_files(&frames, &mut unreadable);
    let rc = keep(&mut errors, rc::rc_conf(&frames));
    let storage = keep(&mut errors, storage(&frames, &mut unreadable));
    let modules = keep(&mut errors, names(&frames, "modules"));
    let commands = keep(&mut errors, names(&frames, "commands"));
    let all = (|| {
        let Storage { datasets, pools, zfs } = storage?;
        Some(HostFacts {
            identity: identity?,
            sysctls: sysctls?,
            modules: modules?,
            interfaces: interfaces?,
            routes: routes?,
            wireguard: wireguard?,
            wireguard_files,
            pf: pf?,
            jails: jails?,
            jail_configurations,
            jail_files,
            boot_off: boot_off(&frames),
            rc: rc?,
            datasets,
            pools,
            zfs,
            commands: commands?,
            moving: moving(&frames),
            room: upkeep::room(&frames),
            unwritable: upkeep::unwritable(&frames),
            boot: upkeep::boot(&frames),
            permanent_arp: upkeep::permanent_arp(&frames),
            noise: frames.noise().map(str::to_owned),
            unreadable,
        })
    })();
    all.filter(|_| errors.is_empty()).ok_or(errors)
}

/// Reads the answer to [`crate::facts::questions::handshakes`] into what the host said before; what cannot be read leaves it
/// as it was.
pub fn parse_handshakes(answer: &[u8], facts: &mut HostFacts) {
    let Ok(frames) = Frames::parse(answer) else { return };
    if let Ok(clock) = number(&frames, "clock") {
        facts.identity.clock = clock;
    }
    for wireguard in &mut facts.wireguard {
        let frame = frames.about("wg-latest-handshakes", wireguard.interface.as_str()).and_then(Frame::success);
        let text = frame.map(Frame::text).unwrap_or_default();
        for (key, seconds) in text.lines().filter_map(|row| row.split_once('\t')) {
            let Ok(seconds) = seconds.trim().parse() else { continue };
            let known = wireguard.peers.iter_mut().filter(|p| p.public_key.to_string() == key);
            known.for_each(|p| p.latest_handshake = seconds);
        }
    }
}

/// The value, or its error put aside.
fn keep<T>(errors: &mut Vec<FactsError>, result: Result<T, FactsError>) -> Option<T> {
    result.map_err(|e| errors.push(e)).ok()
}

fn word(frames: &Frames, label: &str) -> Result<String, FactsError> {
    Ok(frames.get(label)?.success()?.word())
}

fn number<T: std::str::FromStr>(frames: &Frames, label: &str) -> Result<T, FactsError> {
    let word = word(frames, label)?;
    word.parse().map_err(|_| super::error::line(label, 0, &word, "not a number"))
}

fn names(frames: &Frames, label: &str) -> Result<BTreeSet<String>, FactsError> {
    Ok(frames.get(label)?.success()?.text().lines().map(str::to_owned).collect())
}

fn identity(frames: &Frames) -> Result<Identity, FactsError> {
    let sysctls = sysctl::values(&frames.get("sysctl")?.success()?.text());
    let hostuuid = sysctls.get("kern.hostuuid").cloned();
    Ok(Identity {
        hostname: word(frames, "hostname")?,
        hostuuid: hostuuid.ok_or_else(|| FactsError::Missing { question: "sysctl kern.hostuuid".to_owned() })?,
        machine: word(frames, "machine")?,
        kernel_version: number(frames, "kernel")?,
        // Empty when /boot/kernel is absent (freebsd-version(1)), as on a host that was booted over the network.
        installed: frames.get("installed")?.word(),
        running: word(frames, "running")?,
        userland: word(frames, "userland")?,
        clock: number(frames, "clock")?,
        uid: number(frames, "uid")?,
    })
}

/// A lock is a file `/var/db/jailferry/JAIL.lock` with one line. One that goes away meanwhile is none.
fn moving(frames: &Frames) -> BTreeMap<String, String> {
    let of = |subject: &str| Some(subject.rsplit_once('/')?.1.strip_suffix(".lock")?.to_owned());
    let locks = frames.all("lock").filter_map(|f| Some((of(&f.subject)?, f.success().ok()?.text())));
    locks.map(|(jail, text)| (printable(&jail, 64), printable(text.trim(), 300))).collect()
}

fn routes(frames: &Frames) -> Result<BTreeMap<u16, Vec<Route>>, FactsError> {
    let mut routes: BTreeMap<u16, Vec<Route>> = BTreeMap::new();
    frames.get("netstat")?;
    for frame in frames.all("netstat") {
        let fib = frame.subject.split(' ').next().and_then(|f| f.parse().ok());
        let fib = fib.ok_or_else(|| FactsError::Missing { question: frame.question() })?;
        routes.entry(fib).or_default().extend(netstat::routes(&frame.question(), &frame.success()?.text(), fib)?);
    }
    Ok(routes)
}

fn wireguard(frames: &Frames, unreadable: &mut Unreadable) -> Result<Vec<WireGuard>, FactsError> {
    let list = frames.get("wg-interfaces")?;
    if list.no_command() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for name in list.success()?.text().split_whitespace() {
        let field = |field: &str| Ok(frames.about(&format!("wg-{field}"), name)?.success()?.text());
        let Ok(interface) = InterfaceName::new(name) else {
            unreadable.insert(printable(&format!("wg show {name}"), 200), "not a usable interface name".to_owned());
            continue;
        };
        let key = field("public-key")?;
        let Ok(public_key) = PublicKey::new(key.trim()) else {
            unreadable
                .insert(printable(&format!("wg show {name} public-key"), 200), "the interface has no key".to_owned());
            continue;
        };
        let mut peers =
            wireguard::peers(name, &field("allowed-ips")?, &field("latest-handshakes")?, &field("endpoints")?)?;
        wireguard::keepalives(&mut peers, &field("persistent-keepalive").unwrap_or_default());
        let port = field("listen-port")?;
        let listen_port = port
            .trim()
            .parse()
            .map_err(|_| super::error::line(&format!("wg show {name} listen-port"), 0, &port, "not a port"))?;
        found.push(WireGuard { interface, public_key, listen_port, peers });
    }
    Ok(found)
}

fn wireguard_files(frames: &Frames, unreadable: &mut Unreadable) -> Vec<WireGuardFile> {
    let read = |frame: &Frame| {
        let digest = frames.about("wireguard-digest", &frame.subject)?.success()?.word();
        wireguard::file(&frame.subject, &frame.success()?.text(), &digest)
    };
    frames.all("wireguard-file").filter_map(|f| note(unreadable, &f.subject, read(f))).collect()
}

/// The value, or its error among what could not be read.
fn note<T>(unreadable: &mut Unreadable, question: &str, result: Result<T, FactsError>) -> Option<T> {
    result
        .map_err(|e| {
            let text = match e {
                FactsError::Failed { message, .. } => message,
                other => other.to_string(),
            };
            unreadable.insert(printable(question, 200), printable(&text, 300));
        })
        .ok()
}

fn packet_filter(frames: &Frames) -> Result<Pf, FactsError> {
    let enabled = pf::enabled(&frames.get("pf-status")?.text());
    if enabled.is_none() {
        return Ok(Pf::default());
    }
    let text = |label: &str| Ok(frames.get(label)?.success()?.text());
    let (mut tables, mut negated) = (BTreeMap::new(), BTreeMap::new());
    for name in pf::table_names(&text("pf-tables")?) {
        // Only tables with such a name can be named in fleet.yml; pf's own (`__automatic_…`) are of no interest.
        let Ok(table) = TableName::new(name.as_str()) else { continue };
        let entries = pf::entries(&name, &frames.about("pf-table", &name)?.success()?.text())?;
        if !entries.negated.is_empty() {
            negated.insert(table.clone(), entries.negated);
        }
        tables.insert(table, entries.listed);
    }
    let of_jails = frames.all("pf-anchor").filter_map(pf::of_jail).collect();
    Ok(Pf {
        enabled,
        nat: [pf::rules(&text("pf-nat")?), pf::translating(&text("pf-rules")?)].concat(),
        anchors: pf::anchors(&text("pf-rules")?),
        addressed: pf::addressed(&text("pf-rules")?),
        blocks: pf::rules(&text("pf-rules")?).iter().any(|r| r.starts_with("block ")),
        tables,
        negated,
        of_jails,
        file: pf::file(frames),
    })
}

/// Groups of interfaces that are named after what makes them: tun(4), wg(4), gif(4), gre(4), ipsec(4), ovpn(4).
const TUNNELS: [&str; 6] = ["tun", "wg", "gif", "gre", "ipsec", "ovpn"];

fn running_jails(frames: &Frames, unreadable: &mut Unreadable) -> Result<Vec<RunningJail>, FactsError> {
    let mut found = jails::running("jls", &frames.get("jls")?.success()?.text())?;
    for jail in found.iter_mut().filter(|j| j.vnet && !j.dying) {
        let jid = jail.jid.to_string();
        // What a jail's own tools say about it is the jail's word: useful where it is there, never required.
        let addresses = frames.about("jail-ifconfig", &jid).and_then(Frame::success);
        let addresses = addresses.and_then(|f| ifconfig::interfaces(&f.question(), &f.text()));
        let addresses = note(unreadable, &format!("jexec {} ifconfig", jail.name), addresses);
        let mut interfaces = addresses.unwrap_or_default();
        // A tunnel of its own (a jail that is a VPN's end) is made inside it wherever it starts.
        interfaces.retain(|i| !i.groups.iter().any(|g| TUNNELS.contains(&g.as_str())));
        let links: BTreeSet<InterfaceName> = interfaces.iter().map(|i| i.name.clone()).collect();
        // An address of lo0 goes nowhere by itself.
        let outward = |i: &&Interface| !i.groups.iter().any(|g| g == "lo") && !i.addresses.is_empty();
        jail.mtu = interfaces.iter().filter(outward).map(|i| i.mtu).max();
        jail.smallest_mtu = interfaces.iter().filter(outward).map(|i| i.mtu).min();
        let usable = interfaces.into_iter().flat_map(|i| i.addresses).filter(|a| !a.addr().is_loopback());
        jail.addresses = usable.collect();
        for family in ["inet", "inet6"] {
            let routes = frames.about("jail-netstat", &format!("{jid} {family}")).and_then(Frame::success);
            let routes = routes.and_then(|f| netstat::routes(&f.question(), &f.text(), 0));
            let routes = note(unreadable, &format!("jexec {} netstat -f {family}", jail.name), routes);
            let defaults = routes.into_iter().flatten().filter(|r| r.destination.length() == 0);
            // What goes into a tunnel of its own goes nowhere on the link; without ifconfig(8) in it nothing is known of those.
            let on_the_link = |r: &Route| links.is_empty() || links.contains(&r.interface);
            jail.gateways.extend(defaults.filter(on_the_link).filter_map(|r| r.gateway));
        }
    }
    Ok(found)
}

fn configured_jails(frames: &Frames, unreadable: &mut Unreadable) -> Vec<JailConfiguration> {
    let read = |frame: &Frame| jails::configured(&frame.subject, &frame.success()?.text());
    let lists = frames.all("jail-e").filter_map(|f| note(unreadable, &format!("jail -e {}", f.subject), read(f)));
    lists.flatten().collect()
}

fn jail_files(frames: &Frames, unreadable: &mut Unreadable) -> BTreeMap<RemotePath, String> {
    let read = |frame: &Frame| {
        let path = RemotePath::new(frame.subject.as_str()).map_err(|e| super::error::file(&frame.subject, e))?;
        Ok((path, files::with_digest(&frame.subject, &frame.success()?.output)?))
    };
    frames.all("jail-file").filter_map(|f| note(unreadable, &f.subject, read(f))).collect()
}

/// `boot=off` in settings.conf of a jail's folder.
fn boot_off(frames: &Frames) -> BTreeSet<RemotePath> {
    let off = frames.all("bastille-boot").filter(|f| f.status == 0 && f.word() == "off");
    off.filter_map(|f| RemotePath::new(f.subject.rsplit_once('/')?.0).ok()).collect()
}

struct Storage {
    datasets: Vec<Dataset>,
    pools: Vec<Pool>,
    zfs: Option<ZfsVersion>,
}

fn storage(frames: &Frames, unreadable: &mut Unreadable) -> Result<Storage, FactsError> {
    let Some(version) = zfs::version(&frames.get("zfs-version")?.text()) else {
        return Ok(Storage { datasets: vec![], pools: vec![], zfs: None });
    };
    let text = |label: &str| Ok(frames.get(label)?.success()?.text());
    let (mut datasets, odd) = zfs::datasets(&text("zfs-list")?)?;
    let odd = odd
        .into_iter()
        .map(|name| (printable(&format!("zfs list {name}"), 300), "a name that jailferry does not handle".to_owned()));
    unreadable.extend(odd);
    let marks = zfs::marks(&text("zfs-run")?);
    for dataset in &mut datasets {
        let of = |property: &str| marks.get(&(dataset.name.to_string(), property.to_owned())).cloned();
        let owner = of(OWNER_PROPERTY).unwrap_or_default();
        (dataset.run, dataset.notice) =
            (of(RUN_PROPERTY), of(STATE_PROPERTY).and_then(|state| Notice::read(&state, &owner)));
    }
    let mut pools = zfs::pools(&text("zpool-list")?)?;
    for pool in &mut pools {
        let properties = frames.about("zpool-get", &pool.name)?.success()?.text();
        pool.features = zfs::features(&properties);
        pool.readonly = properties.lines().any(|row| row.starts_with("readonly\ton\t"));
    }
    Ok(Storage { datasets, pools, zfs: Some(version) })
}
