//! ifconfig(8), as in FreeBSD 13.2.

mod address;
mod bridge;
mod clone;
mod options;
mod show;
mod vxlan;

use crate::context::Context;
use crate::freebsd::jail::registry;
use crate::freebsd::jail::vnet;
use crate::freebsd::network::kernel;

/// Ends a command with `ifconfig: TEXT` on standard error.
pub(super) fn fail(text: impl std::fmt::Display) -> i32 {
    eprintln!("ifconfig: {text}");
    1
}

fn usage() -> i32 {
    eprintln!(
        "usage: ifconfig [-f type:format] interface address_family\n            [address [dest_address]] [parameters]\n       ifconfig interface create\n       ifconfig -a [-d] [-m] [-u] [-v] [-f type:format] [address_family]\n       ifconfig -l [-d] [-u] [address_family]\n       ifconfig [-d] [-m] [-u] [-v] [-f type:format]"
    );
    1
}

/// The command.
pub fn run(ctx: &Context, args: &[String]) -> i32 {
    let mut style = show::Style::default();
    let (mut all, mut list, mut down, mut up) = (false, false, false, false);
    let mut group = None;
    let mut rest = args;
    while let Some(option) = rest.first().filter(|arg| arg.starts_with('-')) {
        rest = &rest[1..];
        match option.as_str() {
            "-a" => all = true,
            "-l" => list = true,
            "-d" => down = true,
            "-u" => up = true,
            "-m" | "-v" | "-n" | "-L" | "-k" | "-C" => {}
            "-f" | "-g" | "-G" => {
                let Some(value) = rest.first() else {
                    return usage();
                };
                rest = &rest[1..];
                if option == "-f" {
                    style.read(value);
                } else if option == "-g" {
                    group = Some(value.clone());
                }
            }
            _ => {
                let letter = option.trim_start_matches('-').chars().next().unwrap_or('-');
                eprintln!("ifconfig: illegal option -- {letter}");
                return usage();
            }
        }
    }
    let links = match kernel::links() {
        Ok(links) => links,
        Err(error) => return fail(error),
    };
    let wanted = |link: &&kernel::Link| (!down || !link.up) && (!up || link.up);
    if let Some(group) = group.filter(|_| !list) {
        let mut names: Vec<&str> =
            links.iter().filter(|link| show::groups(link).contains(&group)).map(|link| link.name.as_str()).collect();
        // An epair's b end joins its group before the a end does.
        for pair in names.chunk_by_mut(|a, b| a[..a.len() - 1] == b[..b.len() - 1] && group == "epair") {
            pair.reverse();
        }
        for name in names {
            println!("{name}");
        }
        return 0;
    }
    if list {
        let names: Vec<&str> = links
            .iter()
            .filter(wanted)
            .filter(|link| rest.first().is_none_or(|f| f != "ether" || !link.ether.is_empty()))
            .map(|link| link.name.as_str())
            .collect();
        println!("{}", names.join(" "));
        return 0;
    }
    if all || rest.is_empty() {
        return links.iter().filter(wanted).map(|link| show::print(ctx, link, &style)).max().unwrap_or(0);
    }
    let name = &rest[0];
    let rest = &rest[1..];
    if let Some("create" | "plumb" | "create2") = rest.first().map(String::as_str) {
        let mut words = rest[1..].to_vec();
        return match clone::create(ctx, name, &mut words) {
            Ok(made) => {
                if made.announce {
                    println!("{}", made.name);
                }
                if words.is_empty() { 0 } else { options::apply(ctx, &made.name, &words) }
            }
            Err(text) => fail(text),
        };
    }
    // The interface is in the jail, not here.
    if let [word, jail] = rest
        && word == "-vnet"
    {
        return match registry::find(ctx, jail) {
            None => fail(format_args!("jail \"{jail}\" not found")),
            Some(jail) => match vnet::take_back(&jail, name) {
                Ok(()) => 0,
                Err(text) => fail(text),
            },
        };
    }
    match links.iter().find(|link| &link.name == name) {
        None => fail(format_args!("interface {name} does not exist")),
        Some(link) => match rest {
            [] => show::print(ctx, link, &style),
            [family] if matches!(family.as_str(), "inet" | "inet6" | "ether" | "link") => {
                style.only = Some(family.clone());
                show::print(ctx, link, &style)
            }
            _ => options::apply(ctx, name, rest),
        },
    }
}
