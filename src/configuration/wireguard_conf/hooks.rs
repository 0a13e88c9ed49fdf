//! `PostUp` and `PostDown` lines of a wg-quick(8) file: routes that must return when the interface does (contract 3.4).

use crate::configuration::wireguard_conf::frame;
use crate::configuration::wireguard_conf::frame::Edit;
use crate::configuration::wireguard_conf::frame::Target;
use crate::model::JailName;

const PROGRAM: &str = include_str!("hooks.awk");

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
        Ok(HookLine(format!("{name} = {} # jailferry {jail}", command.trim())))
    }

    /// The line as it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
