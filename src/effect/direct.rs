//! Sending datasets straight from node to node, with a key that lives for one run and may do nothing but receive.
//!
//! The private key is made on the source and never leaves it. The target's sshd lets it in only from the source's
//! tunnel address, and only into a script of root's that knows the receives of this plan by number
//! (sshd(8), AUTHORIZED_KEYS FILE FORMAT: `restrict`, `from=`, `command=`). The target's host key comes over the
//! connection that is trusted already, so nothing is trusted on first use. Afterwards all of it is removed.

use std::net::IpAddr;

use serde::Deserialize;
use serde::Serialize;

use crate::effect::cipher::AES_CIPHER;
use crate::effect::command::Become;
use crate::effect::command::Command;
use crate::effect::command::Lock;
use crate::effect::command::PREAMBLE;
use crate::effect::shell;
use crate::model::NodeName;
use crate::model::RemotePath;
use crate::model::RunId;

/// Seconds for the small commands.
const SHORT: u32 = 120;

/// A login name as pw(8) makes them, safe in every shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

/// An ed25519 public key of OpenSSH: `ssh-ed25519` and its base64, without comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshPublicKey(String);

/// What a host said is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Not a login name.
    #[error("{0:?} is not a login name")]
    User(String),
    /// Not an ed25519 key.
    #[error("{0:?} is not an ed25519 public key; use `transfer: relay`")]
    Key(String),
}

impl UserName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Unusable::User`] when it is none.
    pub fn new(text: &str) -> Result<UserName, Unusable> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if first && rest && text.len() <= 32 { Ok(UserName(text.into())) } else { Err(Unusable::User(cut(text))) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SshPublicKey {
    /// Reads a `.pub` file or a line of it; a comment is dropped.
    ///
    /// # Errors
    /// [`Unusable::Key`] when it is not one ed25519 key.
    pub fn new(text: &str) -> Result<SshPublicKey, Unusable> {
        let mut words = text.split_ascii_whitespace();
        let blob = match (words.next(), words.next()) {
            (Some("ssh-ed25519"), Some(blob)) => blob,
            _ => return Err(Unusable::Key(cut(text))),
        };
        // 51 bytes: the type's name and 32 bytes, each with its length (RFC 8709 section 4).
        let valid = blob.len() == 68 && blob.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        if valid && blob.starts_with("AAAAC3NzaC1lZDI1NTE5AAAAI") {
            Ok(SshPublicKey(format!("ssh-ed25519 {blob}")))
        } else {
            Err(Unusable::Key(cut(text)))
        }
    }

    /// What a plan prints in the place of a key that does not exist yet.
    #[must_use]
    pub fn placeholder() -> SshPublicKey {
        SshPublicKey("ssh-ed25519 KEY-MADE-IN-THIS-RUN".into())
    }
}

impl TryFrom<String> for UserName {
    type Error = Unusable;
    fn try_from(text: String) -> Result<UserName, Unusable> {
        UserName::new(&text)
    }
}

impl TryFrom<String> for SshPublicKey {
    type Error = Unusable;
    fn try_from(text: String) -> Result<SshPublicKey, Unusable> {
        SshPublicKey::new(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0
    }
}

impl From<SshPublicKey> for String {
    fn from(key: SshPublicKey) -> String {
        key.0
    }
}

/// A direct connection of one run: who sends to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// The run; everything left on the hosts carries it.
    pub run: RunId,
    /// The sending host.
    pub source: NodeName,
    /// Its address in the tunnel, the only one the key works from.
    pub source_address: IpAddr,
    /// The receiving host.
    pub target: NodeName,
    /// Its address in the tunnel.
    pub target_address: IpAddr,
    /// Its sshd's port.
    pub port: u16,
    /// Who logs in there: the answer to [`Direct::ask_user`].
    pub user: UserName,
    /// How that user becomes root.
    pub become_root: Become,
    /// Our folder, the same on both hosts: [`Direct::usual_folder`].
    pub folder: RemotePath,
    /// The user's file of keys; `None` = `~/.ssh/authorized_keys`.
    pub authorized_keys: Option<RemotePath>,
    /// Is AES the quickest cipher for both? See [`crate::effect::cipher`].
    #[serde(default)]
    pub aes: bool,
}

impl Direct {
    /// Our folder for a run: below /var/run, so that a reboot of the source forgets the key (rc.d/cleanvar).
    ///
    /// # Errors
    /// Never for a valid run id; the type of paths says so.
    pub fn usual_folder(run: &RunId) -> Result<RemotePath, crate::model::InvalidName> {
        RemotePath::new(format!("/var/run/jailferry-{run}.direct"))
    }

    /// Asks who logs in on `host`: behind sudo and doas by what they leave in the environment, behind mdo by the
    /// session's login name, which sshd sets (getlogin(2)).
    #[must_use]
    pub fn ask_user(host: &NodeName) -> Command {
        Command::script(host, SHORT, "echo \"${SUDO_USER:-${DOAS_USER:-$(logname 2>/dev/null || id -un)}}\"")
    }

    /// Asks `host` for its host key.
    #[must_use]
    pub fn ask_host_key(host: &NodeName) -> Command {
        Command::argv(host, SHORT, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
    }

    /// Asks `host` for what its sshd does by its configuration: one `keyword value` a line (sshd(8), -T).
    #[must_use]
    pub fn ask_sshd(host: &NodeName) -> Command {
        Command::argv(host, SHORT, ["/usr/sbin/sshd", "-T"])
    }

    /// On the source: makes the key and writes down the target's host key. Prints the public key.
    #[must_use]
    pub fn make_key(&self, host_key: &SshPublicKey) -> Command {
        let (folder, run, host_key) = (&self.folder, &self.run, &host_key.0);
        let body = format!(
            "mkdir -p -m 0700 {folder}\n\
             printf '%s\\n' 'jailferry-target {host_key}' >{folder}/known_hosts\n\
             [ -f {folder}/key.pub ] || ssh-keygen -q -t ed25519 -N '' -C jailferry-{run} -f {folder}/key\n\
             cat {folder}/key.pub"
        );
        Command::script(&self.source, SHORT, body)
    }

    /// On the target: writes the script of `receives` and lets the key run it, and nothing else. One such edit at a time:
    /// the file is read, changed and replaced, and other runs' keys are in it.
    ///
    /// The entry goes to the top and sed(1) keeps a missing newline at the end, so that taking it out again gives the
    /// file back byte by byte.
    #[must_use]
    pub fn admit(&self, key: &SshPublicKey, receives: &[Command]) -> Command {
        let (folder, run, user) = (&self.folder, &self.run, &self.user.0);
        let receive = self.receive_script(receives);
        // In authorized_keys a quote within quotes is written \".
        let entry = format!(
            "restrict,from=\"{}\",command=\"{}\" {} jailferry-{run}",
            self.source_address,
            self.forced_command().replace('"', "\\\""),
            key.0
        );
        let (find, entry) = (self.find_keys_file(), shell::word(&entry));
        let body = format!(
            "mkdir -p -m 0700 {folder}\n\
             cat >{folder}/receive <<'JAILFERRY_RECEIVE'\n{receive}JAILFERRY_RECEIVE\n\
             chmod 0500 {folder}/receive\n\
             {find}\n\
             [ -d \"$(dirname \"$file\")\" ] || {{ echo \"{user} has no $(dirname \"$file\") on this host: use transfer: relay\" >&2; exit 23; }}\n\
             new=$file.jailferry.$$\n\
             trap 'rm -f \"$new\"' EXIT\n\
             if [ ! -f \"$file\" ]; then\n\
             \x20 : >{folder}/no-file-before\n\
             \x20 : >\"$file\"\n\
             \x20 chown {user} \"$file\"\n\
             fi\n\
             cp -p \"$file\" \"$new\"\n\
             {{ printf '%s\\n' {entry}; sed '/ jailferry-{run}$/d' \"$file\"; }} >\"$new\"\n\
             mv -f \"$new\" \"$file\""
        );
        Command::script(&self.target, SHORT, body).under(Lock::edits())
    }

    /// On the source: gets in to the target with the key, through the tunnel, and receives nothing.
    #[must_use]
    pub fn try_key(&self) -> Command {
        let body = format!(
            "{} 0 </dev/null || {{\n\
             \x20 echo '{} does not get in to {} with the key of this run: see what ssh says above, or use transfer: relay' >&2\n\
             \x20 exit 21\n\
             }}",
            self.ssh(),
            self.source,
            self.target
        );
        Command::script(&self.source, SHORT, body)
    }

    /// On the source: sends what `from` prints into the receive of that number, counted from 1. Nothing comes by here
    /// but the count of bytes, which dd(1) prints once a second, and the two exit statuses.
    #[must_use]
    pub fn send(&self, from: &[String], number: usize, timeout: u32) -> Command {
        let (folder, ssh, from) = (&self.folder, self.ssh(), shell::line(from));
        let body = format!(
            "rm -f {folder}/sent.{number}\n\
             received=0\n\
             {{ status=0; {from} || status=$?; echo $status >{folder}/sent.{number}; }} |\n\
             \x20 dd bs=131072 status=progress |\n\
             \x20 {ssh} {number} >&2 ||\n\
             \x20 received=$?\n\
             sent=$(cat {folder}/sent.{number})\n\
             echo \"sent $sent received $received\""
        );
        Command::script(&self.source, timeout, body)
    }

    /// On the source: the key is gone. May be repeated.
    #[must_use]
    pub fn forget_key(&self) -> Command {
        Command::script(&self.source, SHORT, format!("rm -rf {}", self.folder))
    }

    /// On the target: the key is let in no more, its script is gone. May be repeated.
    #[must_use]
    pub fn dismiss(&self) -> Command {
        let (folder, run, find) = (&self.folder, &self.run, self.find_keys_file());
        let body = format!(
            "{find}\n\
             if [ -f \"$file\" ] && grep -q ' jailferry-{run}$' \"$file\"; then\n\
             \x20 new=$file.jailferry.$$\n\
             \x20 trap 'rm -f \"$new\"' EXIT\n\
             \x20 cp -p \"$file\" \"$new\"\n\
             \x20 sed '/ jailferry-{run}$/d' \"$file\" >\"$new\"\n\
             \x20 if [ -s \"$new\" ] || [ ! -f {folder}/no-file-before ]; then mv -f \"$new\" \"$file\"; else rm -f \"$file\"; fi\n\
             fi\n\
             rm -rf {folder}"
        );
        Command::script(&self.target, SHORT, body).under(Lock::edits())
    }

    /// ssh(1) on the source, up to and without the number: this key, this host, nothing of the user's own.
    fn ssh(&self) -> String {
        let (folder, user) = (&self.folder, &self.user.0);
        let options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            "HostKeyAlias=jailferry-target",
            "HostKeyAlgorithms=ssh-ed25519",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "Compression=no",
        ]
        .map(|option| format!(" -o {option}"))
        .concat();
        // Before the others (ssh_config(5)): a target that does not know it takes one of those.
        let cipher = if self.aes { format!(" -o Ciphers=^{AES_CIPHER}") } else { String::new() };
        format!(
            "ssh -T -F /dev/null -b {} -i {folder}/key -o UserKnownHostsFile={folder}/known_hosts{options}{cipher} -l {user} -p {} -- {}",
            self.source_address, self.port, self.target_address
        )
    }

    /// What the login shell at the target runs, whatever the key's holder asks for; sh and csh read it the same.
    fn forced_command(&self) -> String {
        let prefix = match self.become_root {
            Become::None => "",
            Become::Sudo => "sudo -n -- ",
            Become::Doas => "doas -n -- ",
            Become::Mdo => "mdo -u root -- ",
        };
        format!("exec {prefix}/bin/sh {}/receive \"$SSH_ORIGINAL_COMMAND\"", self.folder)
    }

    /// The script behind the forced command: a number, or nothing. 0 only proves that the key is let in.
    fn receive_script(&self, receives: &[Command]) -> String {
        let mut script = format!(
            "# jailferry run {}: all that the one-run key may do\n{PREAMBLE}case ${{1-}} in\n0) exit 0 ;;\n",
            self.run
        );
        for (index, receive) in receives.iter().enumerate() {
            script.push_str(&format!("{}) {} ;;\n", index + 1, receive.remote_line(Become::None)));
        }
        script.push_str("*) echo 'this key may only receive what its run has planned' >&2; exit 22 ;;\nesac\n");
        script
    }

    /// Shell lines that set `file` to the user's file of keys, following a symbolic link.
    fn find_keys_file(&self) -> String {
        let user = &self.user.0;
        match &self.authorized_keys {
            Some(file) => format!("file={file}"),
            None => format!(
                "home=~{user}\n\
                 file=$home/.ssh/authorized_keys\n\
                 [ ! -h \"$file\" ] || file=$(realpath \"$file\")"
            ),
        }
    }
}

/// A text short enough for an error.
fn cut(text: &str) -> String {
    text.trim().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1yYXQyKQm7c2lXb9cUuGWKkUQ8mJq5H2n0bqk1xN2e root@spare";

    fn direct(become_root: Become) -> Direct {
        let run = RunId::new("web-0123abcd").unwrap();
        let big = NodeName::new("big").unwrap();
        Direct {
            folder: Direct::usual_folder(&run).unwrap(),
            run,
            source: NodeName::new("spare").unwrap(),
            source_address: "10.77.0.3".parse().unwrap(),
            target_address: "10.77.0.2".parse().unwrap(),
            port: 22,
            user: UserName::new("admin").unwrap(),
            become_root,
            authorized_keys: None,
            target: big,
            aes: false,
        }
    }

    fn receives() -> Vec<Command> {
        let big = NodeName::new("big").unwrap();
        ["zroot/jails/web", "zroot/jails/web/data"]
            .map(|dataset| Command::argv(&big, 3600, ["zfs", "receive", "-s", "-u", dataset]))
            .into()
    }

    #[test]
    fn the_key_may_only_receive() {
        let admit = direct(Become::Sudo).admit(&SshPublicKey::new(KEY).unwrap(), &receives());
        let edits = Some(Lock::edits());
        assert_eq!((&admit.lock, &direct(Become::Sudo).dismiss().lock), (&edits, &edits), "one run's at a time");
        let admit = admit.text();
        assert!(admit.contains("'restrict,from=\"10.77.0.3\",command=\"exec sudo -n -- /bin/sh /var/run/jailferry-web-0123abcd.direct/receive \\\"$SSH_ORIGINAL_COMMAND\\\"\" ssh-ed25519 AAAA"), "{admit}");
        assert!(
            admit.contains(
                "\n2) exec timeout --foreground -k 10 3600 zfs receive -s -u zroot/jails/web/data ;;\n*) echo"
            ),
            "{admit}"
        );
        assert!(!admit.contains("root@spare"));
        let plain = direct(Become::None).admit(&SshPublicKey::placeholder(), &[]).text();
        assert!(plain.contains("command=\"exec /bin/sh /var/run/"), "{plain}");
    }

    #[test]
    fn sending_names_the_receive_by_its_number() {
        let direct = direct(Become::None);
        let from = ["zfs", "send", "-i", "@a", "zroot/jails/web/data@b"].map(str::to_owned);
        let send = direct.send(&from, 2, 3600).text();
        assert!(send.contains("{ status=0; zfs send -i @a zroot/jails/web/data@b || status=$?;"), "{send}");
        assert!(send.contains(" -b 10.77.0.3 "), "{send}");
        assert!(send.contains("-l admin -p 22 -- 10.77.0.2 2 >&2"), "{send}");
        assert!(!send.contains("Ciphers"), "{send}");
        let send = Direct { aes: true, ..direct }.send(&from, 2, 3600).text();
        assert!(send.contains(" -o Ciphers=^aes128-gcm@openssh.com -l admin "), "{send}");
    }

    #[test]
    fn a_file_of_keys_comes_back_byte_by_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| RemotePath::new(folder.path().join(name).display().to_string()).unwrap();
        let user = String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let direct = Direct {
            folder: path("direct"),
            authorized_keys: Some(path("keys")),
            user: UserName::new(user.trim()).unwrap(),
            ..direct(Become::None)
        };
        let run = |command: Command| {
            let body = format!("{PREAMBLE}{}", command.text());
            assert!(std::process::Command::new("sh").args(["-c", &body]).status().unwrap().success(), "{body}");
        };
        for before in [Some("one\ntwo\n"), Some("one\ntwo"), Some(""), None] {
            let keys = folder.path().join("keys");
            if let Some(text) = before {
                std::fs::write(&keys, text).unwrap();
            }
            for _ in 0..2 {
                run(direct.admit(&SshPublicKey::new(KEY).unwrap(), &receives()));
                assert_eq!(std::fs::read_to_string(&keys).unwrap().matches("restrict").count(), 1);
            }
            run(direct.dismiss());
            run(direct.dismiss());
            assert_eq!(std::fs::read_to_string(&keys).ok().as_deref(), before);
            let _ = std::fs::remove_file(&keys);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_hosts_say_is_checked() {
        assert!(SshPublicKey::new(KEY).is_ok());
        for bad in ["", "ssh-rsa AAAA", "ssh-ed25519 AAAA", &KEY.replace("NzaC1", "Nz'C1"), "ssh-ed25519"] {
            assert!(SshPublicKey::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "root;id", "-x", "$(id)", "x\ny"] {
            assert!(UserName::new(bad).is_err(), "{bad}");
        }
    }
}
