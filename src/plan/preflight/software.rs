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
    if a.machine != b.machine {
        findings.error(
            "machine",
            target,
            format!("{target} is {}, {source} is {}: the jail's programs cannot run there", b.machine, a.machine),
            "choose a target of the same architecture",
        );
    }
    if b.installed != b.running {
        // What is loaded already goes on working; modules of another kernel cannot be loaded.
        let loaded = ["if_bridge", "if_epair"].iter().all(|module| s.target.modules.contains(*module));
        let what = format!(
            "{target} runs kernel {} but {} is installed: modules on disk do not match",
            b.running, b.installed
        );
        let fix = format!("reboot {target} at a good moment (shutdown -r now)");
        if loaded {
            findings.warning(
                "reboot-pending",
                target,
                format!("{what}, though those that a jail needs are loaded"),
                fix,
            );
        } else {
            findings.error("reboot-pending", target, format!("{what}, and a jail's interfaces need some"), fix);
        }
    }
    if let Some(userland) = &s.jail.userland
        && let (Some(jail), Some(kernel)) = (release(userland), release(&b.running))
        && jail > kernel
    {
        findings.error(
            "userland-newer",
            target,
            format!("the jail's userland is {userland}, newer than {target}'s kernel {}", b.running),
            format!("upgrade {target} first (freebsd-update(8)), then reboot it"),
        );
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

/// `13.2-RELEASE-p4` → (13, 2).
fn release(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.trim().parse().ok()?, minor.parse().ok()?))
}

/// Commands and modules that steps need.
pub(super) fn tools(s: &Subject<'_>, findings: &mut Findings) {
    let needs: [(&NodeName, &HostFacts, &[&str]); 3] = [
        (&s.situation.hub, s.hub, &["wg", "lockf", "timeout", "daemon", "sha256"]),
        (&s.situation.source.node, s.source, &["timeout", "daemon", "sha256"]),
        (&s.situation.target.node, s.target, &["timeout", "fetch", "daemon", "sha256"]),
    ];
    for (node, facts, commands) in needs {
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
    for module in ["if_bridge", "if_epair"] {
        if !may_load && !s.target.modules.contains(module) {
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
