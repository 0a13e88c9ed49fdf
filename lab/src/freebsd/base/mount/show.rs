//! `mount` and `mount -p` without operands.

use crate::context::Context;
use crate::mounts;
use crate::mounts::Mount;

/// Prints the table.
pub fn show(ctx: &Context, fstab_style: bool, fstype: Option<&str>) -> i32 {
    let mut all = vec![
        Mount {
            source: "/dev/gpt/rootfs".into(),
            dir: "/".into(),
            fstype: "ufs".into(),
            opts: vec!["rw".into()],
            jail: None,
        },
        Mount {
            source: "devfs".into(),
            dir: "/dev".into(),
            fstype: "devfs".into(),
            opts: vec!["rw".into()],
            jail: None,
        },
    ];
    match mounts::list(ctx) {
        Ok(more) => all.extend(more),
        Err(error) => {
            eprintln!("mount: {error}");
            return 1;
        }
    }
    for mount in
        all.iter().filter(|mount| fstype.is_none_or(|types| types.split(',').any(|wanted| wanted == mount.fstype)))
    {
        if fstab_style { println!("{}", fstab_line(mount)) } else { println!("{}", line(mount)) }
    }
    0
}

fn line(mount: &Mount) -> String {
    let mut words = vec![mount.fstype.clone()];
    let more = mount.opts.iter().filter(|opt| *opt != "rw").map(|opt| match opt.as_str() {
        "ro" => "read-only".to_string(),
        "nfsv4acls" => "nfsv4acls".to_string(),
        other => other.to_string(),
    });
    words.extend(more);
    if mount.fstype == "zfs" || mount.fstype == "ufs" {
        words.insert(1, "local".into());
    }
    format!("{} on {} ({})", mount.source, mount.dir, words.join(", "))
}

/// sbin/mount/mount.c putfsent(): columns padded with tabs to 16, 24, 8 and 8.
fn fstab_line(mount: &Mount) -> String {
    let opts = mount.opts.join(",");
    // The kernel's flags end in a space when there is more than rw or ro (see the recording).
    let opts = if mount.opts.len() > 1 { format!("{opts} ") } else { opts };
    let escape = |text: &str| text.replace(' ', "\\040");
    let pass = if mount.dir == "/" { "1 1" } else { "0 0" };
    format!(
        "{}{}{}{}{pass}",
        tabbed(&escape(&mount.source), 24),
        tabbed(&escape(&mount.dir), 24),
        tabbed(&mount.fstype, 8),
        tabbed(&opts, 16)
    )
}

/// Fills up with tabs to `width`; at least one space.
fn tabbed(text: &str, width: usize) -> String {
    let mut out = text.to_string();
    let mut column = text.len();
    if column >= width {
        out.push(' ');
    }
    while column < width {
        out.push('\t');
        column = (column / 8 + 1) * 8;
    }
    out
}
