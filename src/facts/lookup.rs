//! Questions that the facts can answer about themselves.

use crate::configuration::jail_conf::include;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::rc_conf::is_yes;
use crate::facts::Dataset;
use crate::facts::HostFacts;
use crate::facts::Interface;
use crate::facts::JailConfiguration;
use crate::facts::RcConf;
use crate::facts::Route;
use crate::facts::RunningJail;
use crate::facts::WireGuard;
use crate::facts::WireGuardFile;
use crate::model::DatasetName;
use crate::model::Family;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::RemotePath;

impl HostFacts {
    /// The WireGuard interface of that name.
    #[must_use]
    pub fn wireguard(&self, interface: &InterfaceName) -> Option<&WireGuard> {
        self.wireguard.iter().find(|w| w.interface == *interface)
    }

    /// The interface of that name.
    #[must_use]
    pub fn interface(&self, name: &InterfaceName) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.name == *name)
    }

    /// The dataset of that name.
    #[must_use]
    pub fn dataset(&self, name: &DatasetName) -> Option<&Dataset> {
        self.datasets.iter().find(|d| d.name == *name)
    }

    /// The live (not dying) jail of that name.
    #[must_use]
    pub fn jail(&self, name: &JailName) -> Option<&RunningJail> {
        self.jails.iter().find(|j| j.name == name.as_str() && !j.dying)
    }

    /// Routes of one family in one FIB.
    pub fn routes(&self, fib: u16, family: Family) -> impl Iterator<Item = &Route> {
        self.routes.get(&fib).into_iter().flatten().filter(move |r| r.destination.family() == family)
    }

    /// A sysctl's value as a number.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<i64> {
        self.sysctls.get(name)?.trim().parse().ok()
    }

    /// The configuration that rc(8) would use for that jail: `/etc/jail.NAME.conf`, else `/etc/jail.conf.d/NAME.conf`,
    /// else whatever else defines it, `/etc/jail.conf` first (contract 2.2). A file that only includes the one with the
    /// jail's block (`.include`, 14.0 and later) comes behind that one.
    #[must_use]
    pub fn jail_configuration(&self, name: &JailName) -> Option<&JailConfiguration> {
        let own = [format!("/etc/jail.{name}.conf"), format!("/etc/jail.conf.d/{name}.conf")];
        let rank =
            |file: &str| own.iter().position(|o| o == file).unwrap_or(if file == "/etc/jail.conf" { 2 } else { 3 });
        let includes = |file: &RemotePath| {
            self.jail_files.get(file).is_some_and(|text| !include::patterns(text).is_empty() && !defines(text, name))
        };
        let of_jail = self.jail_configurations.iter().filter(|c| c.name == name.as_str());
        of_jail.min_by_key(|c| (includes(&c.file), rank(c.file.as_str())))
    }

    /// The mounted filesystem whose mountpoint is exactly that path.
    #[must_use]
    pub fn dataset_at(&self, path: &str) -> Option<&Dataset> {
        let path = path.trim_end_matches('/');
        self.datasets.iter().find(|d| d.on_the_host().is_some_and(|point| point.trim_end_matches('/') == path))
    }
}

/// Has the text a block of that jail?
fn defines(text: &str, jail: &JailName) -> bool {
    Document::parse(text).is_ok_and(|document| document.own_block(jail).is_some())
}

impl Dataset {
    /// Where the host has mounted it. What a jail has mounted itself lies at a path inside the jail.
    #[must_use]
    pub fn on_the_host(&self) -> Option<&str> {
        (self.mounted && !self.jailed && self.mountpoint.starts_with('/')).then_some(self.mountpoint.as_str())
    }

    /// Is it mount(8)'s to mount, not that of zfs(8) (zfsprops(7), mountpoint)?
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        self.mountpoint == "legacy"
    }
}

impl WireGuardFile {
    /// The FIB in which wg-quick(8) makes a route of each of the AllowedIPs, unless `Table = off` keeps it from that.
    /// Where it makes them by itself is FIB 0, the one that rc(8) runs in.
    #[must_use]
    pub fn routed_fib(&self) -> Option<u16> {
        match self.table.as_deref() {
            _ if !self.wg_quick => None,
            Some("off") => None,
            None | Some("auto") => Some(0),
            Some(number) => number.parse().ok(),
        }
    }
}

impl RcConf {
    /// Is the variable set to what `checkyesno` of rc.subr(8) takes for yes?
    #[must_use]
    pub fn says_yes(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|value| is_yes(value))
    }
}

impl JailConfiguration {
    /// The values of a parameter, with the quotes of `jail -e` taken off: empty for a boolean without value, `None`
    /// when the parameter is not set.
    ///
    /// jail(8) joins a list with commas and quotes only items that hold blanks or quotes, so an item that holds a
    /// comma but neither of them comes back as two (contract 2.1).
    #[must_use]
    pub fn values(&self, parameter: &str) -> Option<Vec<String>> {
        let (_, value) = self.parameters.iter().rev().find(|(name, _)| name == parameter)?;
        Some(value.as_deref().map(split_list).unwrap_or_default())
    }

    /// The only value of a parameter; `None` when it is not set, is a boolean without value, or is a list.
    #[must_use]
    pub fn value(&self, parameter: &str) -> Option<String> {
        match <[String; 1]>::try_from(self.values(parameter)?) {
            Ok([value]) => Some(value),
            Err(_) => None,
        }
    }
}

/// Splits `"a b",c,'d"e'` at the commas outside quotes and takes the quotes and their backslashes off, the inverse of
/// `quoted_print` in usr.sbin/jail/jail.c.
fn split_list(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, quote) {
            ('\\', _) => item.extend(characters.next()),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (',', None) => items.push(std::mem::take(&mut item)),
            (c, _) => item.push(c),
        }
    }
    items.push(item);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(file: &str, parameters: &[(&str, Option<&str>)]) -> JailConfiguration {
        JailConfiguration {
            name: "web".into(),
            file: RemotePath::new(file).unwrap(),
            parameters: parameters.iter().map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned))).collect(),
        }
    }

    /// `jail -e` of a file tells the jails of those that it includes as well.
    #[test]
    fn a_jail_is_configured_where_its_block_is() {
        let shape = crate::plan::fixture::Shape::testbed();
        let world = shape.world();
        let name = JailName::new("web").unwrap();
        let mut spare = world.hosts[&crate::plan::fixture::node("spare")].first_round();
        let (shared, own) = ("/etc/jail.conf", "/etc/jail.conf.d/10-web.conf");
        spare.jail_configurations = [own, shared].map(|file| configuration(file, &[])).to_vec();
        let file = |spare: &HostFacts| spare.jail_configuration(&name).unwrap().file.to_string();
        assert_eq!(file(&spare), shared, "as long as nothing tells otherwise");
        let mut write = |file: &str, text: &str| {
            spare.jail_files.insert(RemotePath::new(file).unwrap(), text.to_owned());
        };
        write(own, "web { path = /j; }\n");
        write(shared, "exec.clean;\n.include \"/etc/jail.conf.d/*.conf\";\n");
        assert_eq!(file(&spare), own);
        spare.jail_files.insert(
            RemotePath::new(shared).unwrap(),
            ".include \"/etc/jail.conf.d/*.conf\";\nweb { path = /j; }\n".to_owned(),
        );
        assert_eq!(file(&spare), shared);
    }

    #[test]
    fn lists_of_jail_e_come_apart_as_jail_8_put_them_together() {
        let web = configuration(
            "/etc/jail.conf.d/web.conf",
            &[
                ("vnet", None),
                ("path", Some("/usr/jails/web")),
                ("exec.prestart", Some(r#""ifconfig epair7 create","ifconfig bridge0 addm epair7a""#)),
                ("exec.stop", Some(r#"'echo "a,b" it'"#)),
                ("exec.start", Some(r#""say \"it\\'s\" \\o/",/bin/true"#)),
            ],
        );
        assert_eq!(web.values("vnet"), Some(vec![]));
        assert_eq!(web.values("persist"), None);
        assert_eq!(web.value("path").as_deref(), Some("/usr/jails/web"));
        assert_eq!(web.values("exec.prestart").unwrap(), ["ifconfig epair7 create", "ifconfig bridge0 addm epair7a"]);
        assert_eq!(web.value("exec.prestart"), None);
        assert_eq!(web.values("exec.stop").unwrap(), [r#"echo "a,b" it"#]);
        assert_eq!(web.values("exec.start").unwrap(), [r#"say "it\'s" \o/"#, "/bin/true"]);
    }
}
