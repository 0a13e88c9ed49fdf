//! Programs and files of the host that a jail's configuration runs there (`exec.prestart` and its like): they do not travel.

use crate::configuration::jail_conf::matching;
use crate::facts::JailConfiguration;

/// A jail whose command fails there does not start (jail(8)).
const AT_START: [&str; 4] = ["exec.prepare", "exec.prestart", "exec.created", "exec.poststart"];

/// Run on the host as well.
const AT_STOP: [&str; 3] = ["exec.prestop", "exec.poststop", "exec.release"];

/// A program, or a file that a command names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name or path.
    pub name: String,
    /// The parameter that has it.
    pub parameter: &'static str,
    /// The command.
    pub command: String,
    /// Does the jail certainly not start without it? What a shell makes of other commands is not known.
    pub needed: bool,
}

/// All that the commands name, each once.
#[must_use]
pub fn of(configuration: &JailConfiguration) -> Vec<Program> {
    let mut found: Vec<Program> = Vec::new();
    for parameter in AT_START.into_iter().chain(AT_STOP) {
        for command in configuration.values(parameter).unwrap_or_default() {
            let at_start = AT_START.contains(&parameter);
            for (name, needed) in names(&command) {
                let needed = needed && at_start;
                match found.iter_mut().find(|program| program.name == name) {
                    Some(known) if known.needed || !needed => {}
                    Some(known) => *known = Program { name, parameter, command: command.clone(), needed },
                    None => found.push(Program { name, parameter, command: command.clone(), needed }),
                }
            }
        }
    }
    found
}

/// The first word of a command without a shell, and the paths that it names, but for what it writes to.
fn names(command: &str) -> Vec<(String, bool)> {
    let usual =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-".contains(&b));
    let plain = !command.contains(|c: char| "|&;<>(){}$`\\\"'*?[]#~=%!".contains(c));
    let first =
        command.split_whitespace().next().filter(|word| plain && usual(word)).map(|word| (word.to_owned(), true));
    let chars: Vec<char> = command.chars().collect();
    let paths = matching::commands(&chars).into_iter().flat_map(|words| {
        let mut into_a_file = false;
        let mut paths = Vec::new();
        for word in words {
            if word.text.starts_with('/') && !word.text.starts_with("/dev/") && usual(&word.text) && !into_a_file {
                paths.push((word.text.clone(), false));
            }
            into_a_file = word.text.ends_with('>');
        }
        paths
    });
    first.into_iter().chain(paths).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RemotePath;

    fn of_commands(list: &[(&str, &str)]) -> Vec<(String, bool)> {
        let parameters = list.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
        let file = RemotePath::new("/etc/jail.conf.d/web.conf").unwrap();
        of(&JailConfiguration { name: "web".into(), file, parameters })
            .into_iter()
            .map(|p| (p.name, p.needed))
            .collect()
    }

    #[test]
    fn the_first_word_of_a_plain_command_is_needed() {
        let found = of_commands(&[
            ("exec.prestart", "\"ifconfig epair7 create\",\"/usr/local/sbin/jib addm web em0\""),
            ("exec.prestart", "\"ifconfig epair7 create\",\"/usr/local/sbin/jib addm web em0\""),
            ("exec.poststop", "\"/root/down.sh web\""),
            ("exec.start", "\"/bin/sh /etc/rc\""),
        ]);
        let expected = [("ifconfig", true), ("/usr/local/sbin/jib", true), ("/root/down.sh", false)];
        assert_eq!(found, expected.map(|(name, needed)| (name.to_owned(), needed)));
    }

    #[test]
    fn what_a_shell_may_pass_over_is_only_named() {
        let found = of_commands(&[
            ("exec.created", "\"[ ! -x /root/up.sh ] || /root/up.sh > /var/log/up.log 2>/dev/null\""),
            ("exec.poststart", "\"/root/up.sh\""),
            ("exec.prestart", "\"A=b sh -c 'cat /etc/motd.x'\""),
        ]);
        let expected = [("/etc/motd.x", false), ("/root/up.sh", true)];
        assert_eq!(found, expected.map(|(name, needed)| (name.to_owned(), needed)));
    }
}
