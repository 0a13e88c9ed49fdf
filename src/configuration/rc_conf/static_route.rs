//! Routes that come back at boot: `static_routes` and `route_NAME`, `ipv6_static_routes` and `ipv6_route_NAME`.

use crate::configuration::rc_conf::InvalidRc;
use crate::configuration::rc_conf::Variable;
use crate::configuration::rc_conf::script;
use crate::configuration::rc_conf::value;
use crate::configuration::rc_conf::with;
use crate::configuration::rc_conf::without;
use crate::model::Family;
use crate::model::RemotePath;

/// One route of rc.conf(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRoute {
    list: Variable,
    route: Variable,
    name: String,
    arguments: String,
}

impl StaticRoute {
    /// The route `name` in `file`; `arguments` are those of route(8) after `add`, such as
    /// `-host 192.168.123.50 -interface wg0 -fib 0`.
    ///
    /// # Errors
    /// [`InvalidRc`] when the name is no part of a variable's name, or the arguments cannot be written safely.
    pub fn new(file: &RemotePath, family: Family, name: &str, arguments: &str) -> Result<StaticRoute, InvalidRc> {
        let (list, prefix) = match family {
            Family::Inet => ("static_routes", "route_"),
            Family::Inet6 => ("ipv6_static_routes", "ipv6_route_"),
        };
        value(Some(arguments))?;
        Ok(StaticRoute {
            list: Variable::new(file, list)?,
            route: Variable::new(file, &format!("{prefix}{name}"))?,
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }

    /// The script that adds it: the route first, then its name at the end of the list.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn add(&self) -> Result<String, InvalidRc> {
        let list = self.list.words();
        Ok(script(&format!("{}put {list} \"$(with \"$(held {list})\" {})\"\n", self.define()?, self.name)))
    }

    /// The script that adds it in front of all others: where another of them is for the same prefix, the first is made,
    /// and the other cannot be.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn add_first(&self) -> Result<String, InvalidRc> {
        let (list, name) = (self.list.words(), &self.name);
        Ok(script(&format!(
            "{}list=$(held {list})\ncase $list in\n={name} | \"={name} \"*) ;;\n*) rest=$(without \"$list\" {name}); rest=${{rest#=}}; put {list} \"={name}${{rest:+ $rest}}\" ;;\nesac\n",
            self.define()?
        )))
    }

    /// The script that takes [`add`](StaticRoute::add) back; `old_list` is the list from before (`None`: not set). It
    /// returns exactly, unless somebody has changed it since; then only the name goes.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn undo_add(&self, old_list: Option<&str>) -> Result<String, InvalidRc> {
        let after = with(old_list, &self.name);
        let back = self.back(Some(&after), old_list, "without")?;
        Ok(script(&format!("{back}{}", self.forget()?)))
    }

    /// The script that removes it: its name first, then the route. A list that held nothing else goes too, so that a
    /// jail that comes home leaves rc.conf as it was; /etc/defaults/rc.conf has it empty.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn remove(&self) -> Result<String, InvalidRc> {
        let list = self.list.words();
        Ok(script(&format!(
            "left=$(without \"$(held {list})\" {})\nif [ \"$left\" = = ]; then left=; fi\nput {list} \"$left\"\n{}",
            self.name,
            self.forget()?
        )))
    }

    /// The script that takes [`remove`](StaticRoute::remove) back, its place in the list included.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn undo_remove(&self, old_list: Option<&str>) -> Result<String, InvalidRc> {
        let left = without(old_list, &self.name).filter(|list| !list.is_empty());
        let back = self.back(left.as_deref(), old_list, "with")?;
        Ok(script(&format!("{}{back}", self.define()?)))
    }

    fn back(&self, from: Option<&str>, to: Option<&str>, otherwise: &str) -> Result<String, InvalidRc> {
        let list = self.list.words();
        Ok(format!(
            "list=$(held {list})\nif [ \"$list\" = {} ]; then put {list} {}; else put {list} \"$({otherwise} \"$list\" {})\"; fi\n",
            value(from)?,
            value(to)?,
            self.name,
        ))
    }

    fn define(&self) -> Result<String, InvalidRc> {
        Ok(format!("change {} '' {}\n", self.route.words(), value(Some(&self.arguments))?))
    }

    fn forget(&self) -> Result<String, InvalidRc> {
        Ok(format!("change {} {} ''\n", self.route.words(), value(Some(&self.arguments))?))
    }
}
