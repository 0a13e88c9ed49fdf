//! `PostUp` and `PostDown` lines of a wg-quick(8) file: routes that must return when the interface does (contract 3.4).

use crate::configuration::wireguard_conf::frame;
use crate::configuration::wireguard_conf::frame::Edit;
use crate::configuration::wireguard_conf::frame::Target;
use crate::model::Family;
use crate::model::JailName;

const PROGRAM: &str = include_str!("hooks.awk");

const ROUTE: &str = "PostUp = route -q -n add ";
const NEVER_FAILS: &str = " || :";
const OURS: &str = " # jailferry ";

/// When wg-quick(8) runs the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// After the interface came up.
    PostUp,
    /// After it went down.
    PostDown,
}

/// A command that would not be one line of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a PostUp line: it needs one line without '#' or backslash")]
pub struct InvalidHook(String);

/// A line of ours: `PostUp = route -q -n add … # jailferry web`. wg-quick(8) cuts the comment off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookLine(String);

impl HookLine {
    /// A line for `jail`.
    ///
    /// # Errors
    /// [`InvalidHook`] when `command` holds a newline, a control character, '#' or a backslash.
    pub fn new(hook: Hook, command: &str, jail: &JailName) -> Result<HookLine, InvalidHook> {
        if command.trim().is_empty() || command.contains(['#', '\\']) || command.contains(char::is_control) {
            return Err(InvalidHook(command.chars().take(80).collect()));
        }
        let name = match hook {
            Hook::PostUp => "PostUp",
            Hook::PostDown => "PostDown",
        };
        Ok(HookLine(format!("{name} = {}{OURS}{jail}", command.trim())))
    }

    /// The line that makes a route when the interface is up; `arguments` are those of route(8) behind the family.
    /// wg-quick(8) takes the interface away again when a hook fails, so this one never does: a route that is there already,
    /// by whatever made it, is as good.
    #[must_use]
    pub fn route(family: Family, arguments: &str, jail: &JailName) -> HookLine {
        HookLine(format!("{ROUTE}-{family} {arguments}{NEVER_FAILS}{OURS}{jail}"))
    }

    /// The line as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Do two lines do the same: are they equal, or lines of ours for the same route, in whatever form and for whichever
/// jail? What `deed` in hooks.awk is for.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one == other || route_of(one).is_some_and(|route| route_of(other) == Some(route))
}

/// The arguments of the route that a line of ours makes.
fn route_of(line: &str) -> Option<&str> {
    let (command, jail) = line.strip_prefix(ROUTE)?.rsplit_once(OURS)?;
    let command = command.strip_suffix(NEVER_FAILS).unwrap_or(command);
    let bare = command.strip_prefix("-inet6 ").or_else(|| command.strip_prefix("-inet "));
    (!jail.contains(' ')).then_some(bare.unwrap_or(command))
}

/// The script that removes and adds lines of the `[Interface]` section; a line that is there already stays where it is.
/// Prints the new SHA-256.
#[must_use]
pub fn edit_hooks(target: &Target, remove: &[HookLine], add: &[HookLine]) -> String {
    frame::script(target, &edit(remove, add))
}

/// The script that takes [`edit_hooks`] with the same lines back.
#[must_use]
pub fn restore_hooks(target: &Target, removed: &[HookLine], added: &[HookLine]) -> String {
    frame::restore_script(target, &edit(removed, added), &edit(added, removed))
}

fn edit(remove: &[HookLine], add: &[HookLine]) -> Edit<'static> {
    let joined = |lines: &[HookLine]| lines.iter().map(HookLine::as_str).collect::<Vec<_>>().join("\n");
    let environment = vec![("REMOVE", joined(remove)), ("ADD", joined(add))];
    Edit { environment, program: PROGRAM, keys: &["postup", "postdown"] }
}
