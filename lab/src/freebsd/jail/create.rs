//! Starting a jail, in jail(8)'s order (contract 2.3), and what it undoes when that fails.

use std::collections::BTreeMap;
use std::path::Path;

use super::conf::Definition;
use super::hooks;
use super::init;
use super::mounts;
use super::parameters;
use super::registry;
use super::registry::Jail;
use super::remove;
use crate::context::Context;
use crate::freebsd::network::ifconfig;
use crate::journal;

/// How to go about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// `-q`: say less.
    pub quiet: bool,
    /// `-i`: print the jid.
    pub print_jid: bool,
}

fn complain(definition: &Definition, text: impl std::fmt::Display) {
    eprintln!("jail: {}: {text}", definition.name);
}

/// Starts a jail; the exit status.
pub fn run(ctx: &Context, definition: &Definition, how: How) -> i32 {
    if registry::find(ctx, &definition.name).is_some() {
        eprintln!("jail: \"{}\" already exists", definition.name);
        return 1;
    }
    if let Some((unknown, _)) = definition.parameters.iter().find(|(name, _)| !parameters::is_known(name)) {
        complain(definition, format_args!("unknown parameter: {unknown}"));
        return 1;
    }
    let path = definition.value("path").unwrap_or("/").to_string();
    if !Path::new(&path).is_dir() {
        complain(definition, format_args!("path {path}: No such file or directory"));
        return 1;
    }
    let mut mounted = Vec::new();
    match steps(ctx, definition, &path, how, &mut mounted) {
        Ok(()) => 0,
        Err(()) => {
            // exec.* are not undone: an epair made by exec.prestart stays (contract 0.11).
            if let Some(jail) = registry::find(ctx, &definition.name) {
                remove::end(ctx, &jail);
                // -i says the jid and nothing else.
                if !how.quiet && !how.print_jid {
                    println!("{}: removed", definition.name);
                }
            }
            remove::unmount(ctx, definition, &mounted);
            1
        }
    }
}

fn steps(ctx: &Context, definition: &Definition, path: &str, how: How, mounted: &mut Vec<String>) -> Result<(), ()> {
    hooks::run(definition, "exec.prepare", None)?;
    for (entry, parameter) in wanted_mounts(definition, path).map_err(|text| complain(definition, text))? {
        mounts::put(ctx, &entry).map_err(|text| {
            eprintln!("{text}");
            complain(
                definition,
                format_args!("/sbin/mount -t {} -o {} {} {}: failed", entry.kind, entry.options, entry.from, entry.on),
            );
            let _ = parameter;
        })?;
        mounted.push(entry.on);
    }
    hooks::run(definition, "exec.prestart", None)?;
    let jail = born(ctx, definition, path).map_err(|e| complain(definition, e))?;
    if how.print_jid {
        println!("{}", jail.jid);
    } else if !how.quiet {
        println!("{}: created", definition.name);
    }
    hooks::run(definition, "exec.created", None)?;
    for interface in definition.all("vnet.interface").iter().flat_map(|v| v.split([' ', ','])).filter(|v| !v.is_empty())
    {
        let args = [interface, "vnet", &jail.jid.to_string()].map(String::from);
        if ifconfig::run(ctx, &args) != 0 {
            complain(definition, format_args!("/sbin/ifconfig {}: failed", args.join(" ")));
            return Err(());
        }
    }
    hooks::run(definition, "exec.start", Some(jail.pid))?;
    hooks::run(definition, "command", Some(jail.pid))?;
    hooks::run(definition, "exec.poststart", None)?;
    // Without `persist` a jail lives as long as its processes.
    if !jail.persist && remove::processes(jail.pid).is_empty() {
        remove::end(ctx, &jail);
    }
    Ok(())
}

/// `mount`, `mount.fstab`, `mount.devfs` … in this order, with the parameter that asks for it.
pub fn wanted_mounts(definition: &Definition, path: &str) -> Result<Vec<(mounts::Entry, &'static str)>, String> {
    let mut list = Vec::new();
    for line in definition.all("mount") {
        list.extend(mounts::parse(line).into_iter().map(|e| (e, "mount")));
    }
    if let Some(file) = definition.value("mount.fstab") {
        let text = std::fs::read_to_string(file).map_err(|_| format!("{file}: No such file or directory"))?;
        list.extend(mounts::parse(&text).into_iter().map(|e| (e, "mount.fstab")));
    }
    for (parameter, dir, kind) in
        [("mount.devfs", "dev", "devfs"), ("mount.fdescfs", "dev/fd", "fdescfs"), ("mount.procfs", "proc", "procfs")]
    {
        if definition.on(parameter) {
            let on = format!("{}/{dir}", path.trim_end_matches('/'));
            list.push((mounts::Entry { from: kind.into(), on, kind: kind.into(), options: "rw".into() }, parameter));
        }
    }
    Ok(list)
}

fn born(ctx: &Context, definition: &Definition, path: &str) -> std::io::Result<Jail> {
    let hostname = definition.value("host.hostname").unwrap_or_default().to_string();
    let vnet = definition.on("vnet") && definition.value("vnet") != Some("inherit");
    let order = init::Order { name: definition.name.clone(), path: path.into(), hostname: hostname.clone(), vnet };
    let jid = registry::next_jid(ctx)?;
    journal::life(&ctx.state, Some(&definition.name), true);
    let pid = init::start(&order).inspect_err(|_| journal::life(&ctx.state, Some(&definition.name), false))?;
    let kernel: BTreeMap<String, String> = definition
        .parameters
        .iter()
        .filter(|(name, _)| parameters::goes_to_kernel(name))
        .map(|(name, values)| (name.clone(), values.join(",")))
        .collect();
    let jail = Jail {
        jid,
        name: definition.name.clone(),
        pid,
        path: path.into(),
        hostname,
        vnet,
        persist: definition.on("persist"),
        parameters: kernel,
        dying_until: None,
        rootless: false,
    };
    registry::save(ctx, &jail)?;
    Ok(jail)
}
