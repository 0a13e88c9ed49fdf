//! What can be said after an interface's name: options are carried out in order, addresses at the end, as ifconfig(8) does.

use std::net::IpAddr;

use crate::context::Context;
use crate::freebsd::jail::registry;
use crate::freebsd::network::ifconfig::address;
use crate::freebsd::network::ifconfig::address::Change;
use crate::freebsd::network::ifconfig::bridge;
use crate::freebsd::network::ifconfig::clone;
use crate::freebsd::network::ifconfig::fail;
use crate::freebsd::network::kernel;
use crate::freebsd::network::kernel::Link;
use crate::freebsd::network::prefix;
use crate::freebsd::network::prefix::Prefix;
use crate::net::fibs;

struct Line<'a> {
    ctx: &'a Context,
    link: Link,
    v6: Option<bool>,
    own: Option<Prefix>,
    length_given: bool,
    peer: Option<IpAddr>,
    alias: bool,
    remove: bool,
    gone: bool,
}

/// Carries out `args` on the interface `name`; the command's exit status.
pub fn apply(ctx: &Context, name: &str, args: &[String]) -> i32 {
    let link = match kernel::find(name) {
        Ok(Some(link)) => link,
        Ok(None) => return fail(format_args!("interface {name} does not exist")),
        Err(error) => return fail(error),
    };
    let mut line = Line {
        ctx,
        link,
        v6: None,
        own: None,
        length_given: false,
        peer: None,
        alias: false,
        remove: false,
        gone: false,
    };
    let mut rest = args.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if let Err(text) = line.word(word, &mut rest) {
            return fail(text);
        }
        if line.gone {
            return 0;
        }
    }
    match line.finish() {
        Ok(()) => 0,
        Err(text) => fail(text),
    }
}

fn plain(error: std::io::Error) -> String {
    error.to_string()
}

impl<'a> Line<'a> {
    fn word<'w>(&mut self, word: &'w str, rest: &mut impl Iterator<Item = &'w str>) -> Result<(), String> {
        let mut value = || rest.next().ok_or_else(|| format!("'{word}' requires argument"));
        let device = self.link.device.clone();
        let set = |what: &[&str]| {
            let mut full = vec!["link", "set", "dev", device.as_str()];
            full.extend_from_slice(what);
            kernel::ip(&full).map(drop)
        };
        match word {
            "up" => set(&["up"]).map_err(plain)?,
            "down" => set(&["down"]).map_err(plain)?,
            "inet" => self.v6 = Some(false),
            "inet6" => self.v6 = Some(true),
            "alias" | "add" => self.alias = true,
            "-alias" | "delete" | "remove" => self.remove = true,
            "mtu" => {
                let mtu = value()?;
                if mtu.parse::<u32>().is_err() || set(&["mtu", mtu]).is_err() {
                    return Err("ioctl SIOCSIFMTU (set mtu): Invalid argument".into());
                }
            }
            "ether" | "lladdr" | "link" => {
                let mac = value()?;
                set(&["address", mac]).map_err(|_| format!("{mac}: bad value"))?;
            }
            "name" => self.rename(value()?)?,
            "fib" => {
                let number = value()?;
                let fib = number.parse().map_err(|_| format!("fib {number} not an integer"))?;
                // A warning only: the exit status stays 0 (contract 0.6).
                if fibs::set_interface(self.ctx, &self.link.device, fib).is_err() {
                    eprintln!("ifconfig: ioctl (SIOCSIFFIB): Invalid argument");
                }
            }
            "tunnelfib" => {
                let fib: u32 = value()?.parse().map_err(|_| "fib not an integer".to_string())?;
                if fib >= fibs::count(self.ctx) {
                    eprintln!("ifconfig: ioctl (SIOCSTUNFIB): Invalid argument");
                } else {
                    self.note(|notes| notes.tunnelfib = fib)?;
                }
            }
            "description" | "descr" => {
                let text = value()?.to_string();
                self.note(|notes| notes.description = text)?;
            }
            "-description" | "-descr" => self.note(|notes| notes.description.clear())?,
            "group" => {
                let group = value()?.to_string();
                self.note(|notes| {
                    if !notes.groups.contains(&group) {
                        notes.groups.push(group);
                    }
                })?;
            }
            "-group" => {
                let group = value()?.to_string();
                self.note(|notes| notes.groups.retain(|known| *known != group))?;
            }
            "addm" => bridge::add(&self.link, value()?)?,
            "deletem" => bridge::delete(&self.link, value()?)?,
            "destroy" => {
                clone::destroy(self.ctx, &self.link)?;
                self.gone = true;
            }
            "vnet" => {
                let name = value()?;
                self.move_to_jail(name)?;
                self.gone = true;
            }
            "-vnet" => return Err("ioctl (SIOCSIFRVNET): Device not configured".into()),
            "netmask" => {
                let mask = value()?;
                let length = prefix::mask_length(mask).ok_or_else(|| format!("{mask}: bad value"))?;
                self.length(length)?;
            }
            "prefixlen" => {
                let text = value()?;
                let length = text.parse().ok().filter(|n| *n <= 128).ok_or_else(|| format!("{text}: bad value"))?;
                self.length(length)?;
            }
            "broadcast" | "metric" | "media" | "maxaddr" | "timeout" | "scopeid" | "vhid" => drop(value()?),
            "no_dad" | "-ifdisabled" | "ifdisabled" | "auto_linklocal" | "-auto_linklocal" | "-accept_rtadv"
            | "accept_rtadv" | "no_radr" | "arp" | "-arp" | "link0" | "-link0" | "link1" | "-link1" | "promisc"
            | "-promisc" | "-rxcsum" | "-txcsum" | "-tso" | "-lro" | "monitor" | "-monitor" | "anycast"
            | "autoconf" | "perform_nud" => {}
            _ => self.address(word)?,
        }
        Ok(())
    }

    fn length(&mut self, length: u8) -> Result<(), String> {
        self.length_given = true;
        match &mut self.own {
            Some(own) => {
                own.length = length;
                Ok(())
            }
            None => Err("address must be specified before its mask".into()),
        }
    }

    fn address(&mut self, word: &str) -> Result<(), String> {
        let bad = || format!("{word}: bad value");
        let v6 = self.v6.unwrap_or(word.contains(':'));
        if self.own.is_some() {
            let peer = Prefix::parse(word, v6).filter(|_| !v6).ok_or_else(bad)?;
            self.peer = Some(peer.address);
            return Ok(());
        }
        if !word.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
            return Err(bad());
        }
        let mut own = Prefix::parse(word, v6).ok_or_else(bad)?;
        if let Some(at) = word.find('/') {
            self.length_given = at > 0;
        } else if v6 {
            own.length = 64;
        } else if let IpAddr::V4(a) = own.address {
            // The old classes: what a forgotten mask means.
            own.length = match a.octets()[0] {
                0..=127 => 8,
                128..=191 => 16,
                _ => 24,
            };
        }
        self.own = Some(own);
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        let Some(own) = self.own else {
            if self.remove && self.v6 == Some(false) {
                // `ifconfig IF inet delete`: the first address.
                let first = kernel::addresses(Some(&self.link.device))
                    .map_err(plain)?
                    .into_iter()
                    .find(|a| !a.v6)
                    .and_then(|a| Prefix::parse(&format!("{}/{}", a.local, a.prefix), false))
                    .ok_or("ioctl (SIOCDIFADDR): Can't assign requested address")?;
                let change = Change { own: first, peer: None, alias: false, remove: true };
                return address::apply(self.ctx, &self.link, &change);
            }
            return Ok(());
        };
        let change = Change { own, peer: self.peer, alias: self.alias, remove: self.remove };
        address::apply(self.ctx, &self.link, &change)
    }

    fn note(&mut self, edit: impl FnOnce(&mut kernel::Notes)) -> Result<(), String> {
        edit(&mut self.link.notes);
        kernel::set_notes(&self.link.device, &self.link.notes).map_err(plain)
    }

    fn rename(&mut self, new: &str) -> Result<(), String> {
        let refused = |reason: &str| format!("ioctl SIOCSIFNAME (set name): {reason}");
        if new.is_empty() || new.len() > 15 || new.contains(['/', ' ']) {
            return Err(refused("Invalid argument"));
        }
        if kernel::find(new).map_err(plain)?.is_some() {
            return Err(refused("File exists"));
        }
        let fib = fibs::interface(self.ctx, &self.link.device);
        fibs::forget_interface(self.ctx, &self.link.device).map_err(plain)?;
        kernel::ip(&["link", "set", "dev", &self.link.device, "name", new]).map_err(|e| refused(&e.to_string()))?;
        if fib != 0 {
            fibs::set_interface(self.ctx, new, fib).map_err(plain)?;
        }
        self.link.name = new.into();
        self.link.device = new.into();
        // ifconfig prints the new name.
        println!("{new}");
        Ok(())
    }

    fn move_to_jail(&mut self, jail: &str) -> Result<(), String> {
        let jail = registry::find(self.ctx, jail).ok_or_else(|| format!("jail \"{jail}\" not found"))?;
        if !jail.vnet {
            return Err("ioctl (SIOCSIFVNET): Invalid argument".into());
        }
        fibs::forget_interface(self.ctx, &self.link.device).map_err(plain)?;
        kernel::ip(&["link", "set", "dev", &self.link.device, "netns", &jail.pid.to_string()])
            .map(drop)
            .map_err(|e| format!("ioctl (SIOCSIFVNET): {e}"))
    }
}
