//! The host's ends of a jail's interfaces, as its configuration makes them.

use crate::configuration::jail_conf::matching;
use crate::configuration::jail_conf::matching::ShellWord;
use crate::facts::JailConfiguration;
use crate::model::InterfaceName;

/// The end of one epair that stays on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its name while the jail runs: `epair7a`, or what `ifconfig epair7a name web0` gives it.
    pub name: InterfaceName,
    /// The epair's unit, where the configuration names it.
    pub unit: Option<u32>,
}

impl End {
    /// Has it the name that the kernel gave it, which follows the unit?
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.unit.is_some_and(|unit| self.name.as_str() == format!("epair{unit}a"))
    }
}

/// One for each interface of `vnet.interface` whose other end is known, in order.
#[must_use]
pub fn ends(configuration: &JailConfiguration) -> Vec<End> {
    let lists = ["exec.prepare", "exec.prestart", "exec.created"];
    let texts: Vec<String> = lists.iter().flat_map(|list| configuration.values(list).unwrap_or_default()).collect();
    let commands: Vec<Vec<ShellWord>> =
        texts.iter().flat_map(|text| matching::commands(&text.chars().collect::<Vec<_>>())).collect();
    let inside = configuration.values("vnet.interface").unwrap_or_default();
    let names = inside.iter().flat_map(|value| value.split([' ', ','])).filter(|name| !name.is_empty());
    names.filter_map(|name| end(name, &commands).or_else(|| twin(name, &texts))).collect()
}

/// Of an epair that ifconfig(8) chooses the unit of.
fn twin(inside: &str, texts: &[String]) -> Option<End> {
    let name = texts.iter().find_map(|text| matching::twin(text, inside))?;
    Some(End { name: InterfaceName::new(name).ok()?, unit: None })
}

fn end(inside: &str, commands: &[Vec<ShellWord>]) -> Option<End> {
    let renamed = |from: &str| {
        commands.iter().filter_map(|c| matching::ifconfig(c)).find_map(|(interface, arguments)| {
            let name = arguments.iter().zip(arguments.iter().skip(1)).find(|(word, _)| word.text == "name")?.1;
            (interface == from).then(|| name.text.clone())
        })
    };
    let unit = |name: &str| match *matching::units(name) {
        [unit] if name == format!("epair{unit}b") => Some(unit),
        _ => None,
    };
    let all = || commands.iter().flatten().flat_map(|word| matching::units(&word.text));
    let named = || all().find(|unit| renamed(&format!("epair{unit}b")).as_deref() == Some(inside));
    if let Some(unit) = unit(inside).or_else(named) {
        let bare = format!("epair{unit}a");
        let name = renamed(&bare).unwrap_or(bare);
        return Some(End { name: InterfaceName::new(name).ok()?, unit: Some(unit) });
    }
    // jib(8) of share/examples/jails makes e0a_NAME and e0b_NAME out of any epair.
    let stem = inside.strip_prefix("e0b_")?;
    let by_jib = commands.iter().any(|command| {
        let words: Vec<&str> = command.iter().map(|w| w.text.as_str()).collect();
        matches!(words.as_slice(), [tool, "addm", name, ..] if tool.rsplit('/').next() == Some("jib") && *name == stem)
    });
    let name = by_jib.then(|| InterfaceName::new(format!("e0a_{stem}")).ok())??;
    Some(End { name, unit: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RemotePath;

    fn of(inside: &str, prestart: &str) -> Vec<(String, Option<u32>)> {
        let parameters = [("vnet.interface", inside), ("exec.prestart", prestart)];
        let configuration = JailConfiguration {
            name: "web".into(),
            file: RemotePath::new("/etc/jail.conf").unwrap(),
            parameters: parameters.map(|(n, v)| (n.to_owned(), Some(v.to_owned()))).to_vec(),
        };
        ends(&configuration).into_iter().map(|e| (e.name.to_string(), e.unit)).collect()
    }

    #[test]
    fn the_other_end_is_found_by_its_unit_or_by_the_names_given() {
        assert_eq!(of("epair7b", "\"ifconfig epair7 create\""), [("epair7a".into(), Some(7))]);
        assert_eq!(of("epair7b", "\"ifconfig epair7a up name web0\""), [("web0".into(), Some(7))]);
        // As Bastille writes it.
        let named = "\"ifconfig epair0 create\",\"ifconfig bridge0 addm epair0a\",\"ifconfig epair0a up name e0a_web\",\
            \"ifconfig epair0b up name e0b_web\",\"ifconfig e0a_web description \\\"vnet0 host interface\\\"\"";
        assert_eq!(of("e0b_web", named), [("e0a_web".into(), Some(0))]);
        assert_eq!(of("e0b_bastille3", "\"jib addm bastille3 em0\""), [("e0a_bastille3".into(), None)]);
        let any = "\"epair0=$(ifconfig epair create) && ifconfig ${epair0} up name e0a_web && ifconfig ${epair0%a}b up name e0b_web\",\
            \"ifconfig bridge0 addm e0a_web\"";
        assert_eq!(of("e0b_web", any), [("e0a_web".into(), None)]);
        assert_eq!(of("epair1b,epair2b", "true").len(), 2);
        assert_eq!(of("vtnet1", "true"), []);
        assert_eq!(of("e0b_web", "true"), []);
    }
}
