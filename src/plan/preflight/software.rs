//! Kernels, userlands, modules and commands.

use crate::facts::HostFacts;
use crate::model::NodeName;
use crate::plan::finding::Findings;
use crate::plan::finding::Fix;
use crate::plan::preflight::Subject;

/// A jail's userland must not be newer than the kernel it runs on (contract 7).
pub(super) fn versions(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    let (a, b) = (&s.source.identity, &s.target.identity);
    // 64-bit kernels run programs of 32 bits too (COMPAT_FREEBSD32), as long as the CPU does.
    let runs_too = matches!((a.machine.as_str(), b.machine.as_str()), ("i386", "amd64") | ("arm", "arm64"));
    let what = format!("{target} is {}, {source} is {}", b.machine, a.machine);
    if runs_too {
        findings.warning(
            "machine",
            target,
            format!("{what}: whether the jail's programs run there depends on its kernel and CPU"),
            "try one of them there first",
        );
    } else if a.machine != b.machine {
        findings.error(
            "machine",
            target,
            format!("{what}: the jail's programs cannot run there"),
            "choose a target of the same architecture",
        );
    }
    pending(s, findings);
    if has_the_base_of_its_host(s) {
        other_base(s, findings);
    } else if let Some(userland) = &s.jail.userland {
        userland_of(s, userland, findings);
    }
    if s.target.sysctls.get("kern.features.vimage").is_none_or(|v| v.trim() != "1") {
        findings.error(
            "no-vimage",
            target,
            format!("the kernel of {target} has no VIMAGE, so no jail can have its own network stack"),
            "use a GENERIC kernel (12.0 or newer)",
        );
    }
}

/// The first releases of OpenZFS in which an encrypted dataset can be mounted right behind a raw receive without any risk:
/// before them, mounting it may read a block of dnodes that is being written (openzfs/zfs#11679, mended by #16104). A run
/// of tests/openzfs on 2.1.11 met it.
const MOUNTS_SAFELY: (u32, u32, u32) = (2, 2, 5);

/// What OpenZFS itself may do to a target that receives encrypted datasets.
pub(super) fn encryption(s: &Subject<'_>, findings: &mut Findings) {
    let target = &s.situation.target.node;
    let encrypted = s.jail.datasets.iter().filter_map(|d| s.source.dataset(&d.name)).any(|d| d.encrypted);
    let Some(zfs) = s.target.zfs.as_ref().filter(|_| encrypted) else { return };
    if zfs.kernel_release().is_some_and(|release| release < MOUNTS_SAFELY) {
        findings.warning(
            "encryption-panic",
            target,
            format!(
                "{} of {target} may, rarely, panic when an encrypted dataset is mounted that has just been received: then the jail is down until `jailferry recover`",
                zfs.kernel.trim()
            ),
            "OpenZFS 2.2.5 has mended that (FreeBSD 14.2 and later)",
        );
    }
}

/// Modules on disk that belong to another kernel than the one that runs. Patches do not change what a kernel offers to
/// modules (`__FreeBSD_version` stays), releases do (sys/module.h, MODULE_KERNEL_MAXVER).
fn pending(s: &Subject<'_>, findings: &mut Findings) {
    let (target, kernel) = (&s.situation.target.node, &s.target.identity);
    // Empty where the kernel's file is not to be found (freebsd-version(1)).
    if kernel.installed == kernel.running || kernel.installed.is_empty() {
        return;
    }
    let epairs = s.situation.source.interfaces.iter().any(|i| i.as_str().starts_with("epair"));
    let loaded = s.target.modules.contains("if_bridge") && (!epairs || s.target.modules.contains("if_epair"));
    let same = release(&kernel.installed).is_some_and(|r| Some(r) == release(&kernel.running));
    let what = format!("{target} runs kernel {} but {} is installed", kernel.running, kernel.installed);
    let fix = format!("reboot {target} at a good moment (shutdown -r now)");
    if loaded || same {
        let what = format!("{what}: what runs there now is not what will run after its next boot");
        findings.warning("reboot-pending", target, what, fix);
    } else {
        let what = format!("{what}: modules on disk do not match, and a jail's interfaces need some");
        findings.error("reboot-pending", target, what, fix);
    }
}

/// Are its programs those of the host it runs on (mount_nullfs(8))? Wherever it goes it has those of that host.
fn has_the_base_of_its_host(s: &Subject<'_>) -> bool {
    let bin = format!("{}/bin", s.situation.path.as_str().trim_end_matches('/'));
    s.jail.mounts.iter().any(|mount| mount.kind == "nullfs" && mount.source == "/bin" && mount.path == bin)
}

/// What such a jail has of its own was made for another release.
fn other_base(s: &Subject<'_>, findings: &mut Findings) {
    let (source, target) = (&s.situation.source.node, &s.situation.target.node);
    let (here, there) = (&s.source.identity.userland, &s.target.identity.userland);
    if release(here) != release(there) {
        findings.warning(
            "base-of-host",
            target,
            format!(
                "the jail's base system is its host's (/bin is mounted in it): {there} on {target}, {here} on {source}"
            ),
            "see that what is installed in it runs with both",
        );
    }
}

/// A userland that runs at the source already, on a kernel no newer than the target's, runs there too.
fn userland_of(s: &Subject<'_>, userland: &str, findings: &mut Findings) {
    let (target, kernel) = (&s.situation.target.node, &s.target.identity.running);
    let (Some(jail), Some(there)) = (release(userland), release(kernel)) else { return };
    if jail <= there {
        return;
    }
    let what = format!("the jail's userland is {userland}, newer than {target}'s kernel {kernel}");
    let fix = format!("upgrade {target} first (freebsd-update(8)), then reboot it");
    let works_here = release(&s.source.identity.running).is_some_and(|here| here <= there);
    if jail.0 == there.0 && works_here {
        findings.warning("userland-newer", target, format!("{what}, as it is at the source"), fix);
    } else {
        findings.error("userland-newer", target, what, fix);
    }
}

/// `13.2-RELEASE-p4` → (13, 2).
fn release(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.trim().parse().ok()?, minor.parse().ok()?))
}

/// Commands and modules that steps need.
pub(super) fn tools(s: &Subject<'_>, findings: &mut Findings) {
    let of_hub: &[&str] = &["wg", "lockf", "timeout", "daemon", "sha256"];
    let needs: [(&NodeName, &HostFacts, &[&str]); 2] = [
        (&s.situation.source.node, s.source, &["timeout", "daemon", "sha256"]),
        (&s.situation.target.node, s.target, &["timeout", "fetch", "daemon", "sha256"]),
    ];
    let hubs = s.hubs().into_iter().map(|(node, facts)| (node, facts, of_hub));
    for (node, facts, commands) in hubs.chain(needs) {
        for command in commands {
            if !facts.commands.contains(*command) {
                findings.error(
                    "no-command",
                    node,
                    format!("{node} has no {command}"),
                    "the base system of FreeBSD 13.2 or newer has it below /sbin, /bin, /usr/sbin and /usr/bin; put it back there",
                );
            }
        }
    }
    // ifconfig(8) loads what it needs (ifmaybeload), unless the securelevel forbids it.
    let may_load = s.target.sysctl("kern.securelevel").is_none_or(|level| level <= 0);
    let epairs = s.situation.source.interfaces.iter().any(|i| i.as_str().starts_with("epair"));
    for (module, needed) in [("if_bridge", true), ("if_epair", epairs)] {
        if needed && !may_load && !s.target.modules.contains(module) {
            findings.error(
                "no-module",
                &s.situation.target.node,
                format!(
                    "module {module} is not loaded on {}, and its securelevel forbids loading it",
                    s.situation.target.node
                ),
                Fix::new("load it at boot, before the securelevel is raised: then reboot")
                    .run(format!("sysrc kld_list+={module}")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::effect::simulate::World;
    use crate::facts::ZfsVersion;
    use crate::plan::assemble;
    use crate::plan::fixture::Shape;
    use crate::plan::fixture::jail;
    use crate::plan::fixture::node;
    use crate::plan::fixture::tester;
    use crate::playbook::Options;

    /// Is a move from spare to big told that big may panic, with that OpenZFS there?
    fn warned(world: &World, encrypted: bool, kernel: &str) -> bool {
        let (mut evidence, situation, findings) = world.evidence(&Shape::testbed().fleet(), &jail("web"), &node("big"));
        let source = evidence.hosts.get_mut(&node("spare")).unwrap();
        source.datasets.iter_mut().for_each(|dataset| dataset.encrypted = encrypted);
        let zfs = ZfsVersion { userland: String::new(), kernel: kernel.to_owned() };
        evidence.hosts.get_mut(&node("big")).unwrap().zfs = Some(zfs);
        let settings = Options::default().settle();
        let made = assemble::plan(&evidence, &situation.unwrap(), &settings, &tester(), "", findings);
        let findings = made.map_or_else(|findings| findings, |plan| plan.findings);
        findings.iter().any(|f| f.code == "encryption-panic")
    }

    #[test]
    fn a_target_that_may_panic_with_encrypted_datasets_is_named() {
        let world = Shape::testbed().world();
        for (kernel, risky) in [
            ("zfs-kmod-2.1.9-FreeBSD_g92e0d9d18", true),
            ("zfs-kmod-2.2.4-FreeBSD_g256659204", true),
            ("zfs-kmod-2.2.6-FreeBSD_g33174af15", false),
            ("zfs-kmod-2.4.0-rc4-FreeBSD_g099f69ff5", false),
            ("something else", false),
        ] {
            assert_eq!(warned(&world, true, kernel), risky, "{kernel}");
            assert!(!warned(&world, false, kernel), "{kernel}");
        }
    }
}
