//! Which jails start at boot: `jail_list` and `jail_enable`.
//!
//! The traps (contract 0.14, 2.5): an empty jail_list starts *every* jail of jail.conf, so removing the last name must
//! switch jail_enable off; and switching it on for one jail starts all others that the list already names.

use crate::configuration::rc_conf::InvalidRc;
use crate::configuration::rc_conf::Variable;
use crate::configuration::rc_conf::is_yes;
use crate::configuration::rc_conf::script;
use crate::configuration::rc_conf::value;
use crate::configuration::rc_conf::with;
use crate::configuration::rc_conf::without;
use crate::model::JailName;
use crate::model::RemotePath;

/// Both variables as a host has them before a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailList {
    list: Variable,
    enable: Variable,
    old_list: Option<String>,
    old_enable: Option<String>,
}

impl JailList {
    /// The variables, the file that holds each, and their values there; `None` when the file does not set it.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that could not be restored exactly.
    pub fn new(
        (list_file, list): (&RemotePath, Option<&str>),
        (enable_file, enable): (&RemotePath, Option<&str>),
    ) -> Result<JailList, InvalidRc> {
        value(list)?;
        value(enable)?;
        Ok(JailList {
            list: Variable::new(list_file, "jail_list")?,
            enable: Variable::new(enable_file, "jail_enable")?,
            old_list: list.map(str::to_owned),
            old_enable: enable.map(str::to_owned),
        })
    }

    /// Does every jail of jail.conf start at boot, whether named or not? Then [`remove`](JailList::remove) cannot keep
    /// one from starting: first name all the others with [`Variable::change`].
    #[must_use]
    pub fn starts_all(&self) -> bool {
        self.enabled() && self.is_empty()
    }

    /// Would switching jail_enable on for one jail start others too? [`add`](JailList::add) refuses that with exit 22.
    #[must_use]
    pub fn would_start_others(&self, jail: &JailName) -> bool {
        let others = without(self.old_list.as_deref(), jail.as_str());
        !self.enabled() && others.is_some_and(|list| !list.trim().is_empty())
    }

    /// The script that takes `jail` off the list; when none remains, jail_enable goes to NO first.
    #[must_use]
    pub fn remove(&self, jail: &JailName) -> String {
        script(&self.removal(jail))
    }

    /// The script that takes [`remove`](JailList::remove) back: both variables exactly as before, unless somebody has
    /// changed the list since; then the name is put at its end.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn undo_remove(&self, jail: &JailName) -> Result<String, InvalidRc> {
        let left = without(self.old_list.as_deref(), jail.as_str());
        if left == self.old_list {
            return Ok(script(": jail_list did not name it\n"));
        }
        let list = self.list.words();
        let mut body = format!(
            "list=$(held {list})\nif [ \"$list\" = {} ]; then put {list} {}; else put {list} \"$(with \"$list\" {jail})\"; fi\n",
            value(left.as_deref())?,
            value(self.old_list.as_deref())?,
        );
        if left.is_some_and(|l| l.is_empty()) {
            let enable = self.enable.words();
            let old = value(self.old_enable.as_deref())?;
            body.push_str(&format!("if [ \"$(held {enable})\" = =NO ]; then put {enable} {old}; fi\n"));
        }
        Ok(script(&body))
    }

    /// The script that puts `jail` on the list and sees to jail_enable. `all` are the jails of jail.conf, which go on
    /// the list too when it is empty and all of them start now: naming one would silently switch them off.
    #[must_use]
    pub fn add(&self, jail: &JailName, all: &[JailName]) -> String {
        let (list, enable) = (self.list.words(), self.enable.words());
        let every = every(jail, all);
        script(&format!(
            "list=$(held {list})
case $(held {enable}) in
=[Yy][Ee][Ss] | =[Tt][Rr][Uu][Ee] | =[Oo][Nn] | =1)
	case $list in
	'' | =) put {list} '={every}' ;;
	*) put {list} \"$(with \"$list\" {jail})\" ;;
	esac ;;
*)
	case $(without \"$list\" {jail}) in
	'' | =) put {list} \"$(with \"$list\" {jail})\"; put {enable} =YES ;;
	*) echo \"jail_enable is not YES, and setting it would start $list too\" >&2; exit 22 ;;
	esac ;;
esac
"
        ))
    }

    /// The script that takes [`add`](JailList::add) back: exactly as before, unless somebody has changed the list
    /// since; then only the name goes.
    ///
    /// # Errors
    /// [`InvalidRc::Value`] for values that cannot be written safely.
    pub fn undo_add(&self, jail: &JailName, all: &[JailName]) -> Result<String, InvalidRc> {
        let after = if self.starts_all() { every(jail, all) } else { with(self.old_list.as_deref(), jail.as_str()) };
        let listed = Some(&after) == self.old_list.as_ref();
        if listed && self.enabled() {
            return Ok(script(": jail_list named it before\n"));
        }
        let (list, enable) = (self.list.words(), self.enable.words());
        let (old_list, old_enable) = (value(self.old_list.as_deref())?, value(self.old_enable.as_deref())?);
        let disable = if self.enabled() { String::new() } else { format!("put {enable} {old_enable}; ") };
        // A name that was listed before must not go, whatever else has changed.
        let otherwise = if listed { ":\n".to_owned() } else { self.removal(jail) };
        Ok(script(&format!(
            "if [ \"$(held {list})\" = {} ]; then {disable}put {list} {old_list}; else\n{otherwise}fi\n",
            value(Some(&after))?,
        )))
    }

    fn removal(&self, jail: &JailName) -> String {
        let (list, enable) = (self.list.words(), self.enable.words());
        format!(
            "list=$(held {list})\nleft=$(without \"$list\" {jail})\nif [ \"$left\" = = ] && [ \"$left\" != \"$list\" ]; then put {enable} =NO; fi\nput {list} \"$left\"\n"
        )
    }

    fn enabled(&self) -> bool {
        self.old_enable.as_deref().is_some_and(is_yes)
    }

    fn is_empty(&self) -> bool {
        self.old_list.as_deref().unwrap_or_default().is_empty()
    }
}

/// All jails of jail.conf, and `jail`.
fn every(jail: &JailName, all: &[JailName]) -> String {
    let others = all.iter().filter(|other| *other != jail).chain([jail]);
    others.map(JailName::as_str).collect::<Vec<_>>().join(" ")
}
