//! A lab with a jail that answers quickly, and a client outside that asks it all the time.

use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::bench::Fleet;
use crate::bench::wait_until;
use crate::inside::answer::RATE;

/// Port 8080 of the hub leads to the jail.
const ASKED: &str = "203.0.113.1:8080";

/// Where this program lies on the client.
const PROGRAM: &str = "/tmp/moves";

/// A lab in which `web` runs this program as its service.
pub struct Stand {
    pub fleet: Fleet,
}

/// A client that asks.
pub struct Probe {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Stand {
    /// None, after a line on the terminal, without root.
    pub fn raise(name: &str) -> Option<Stand> {
        let fleet = Fleet::lab(name)?;
        let stand = Stand { fleet };
        stand.install("client", PROGRAM);
        stand.install("spare", "/jf/jails/web/www/answer");
        stand.fleet.sh(
            "spare",
            "sed -i '' -e 's;= \"/usr/sbin/inetd .*\";= \"/www/answer in-jail\";' -e '/exec.stop = /d' /etc/jail.conf.d/web.conf
            grep -q in-jail /etc/jail.conf.d/web.conf",
        );
        stand.write("spare", 0);
        Some(stand)
    }

    /// This program as `path` on a host.
    fn install(&self, host: &str, path: &str) {
        let own = File::open(std::env::current_exe().expect("a program has a path")).expect("it can be read");
        let command = format!("cat >{path} && chmod 755 {path}");
        let status = self.ssh(&self.configuration(), host, &command).stdin(own).status().expect("ssh runs");
        assert!(status.success(), "{host}: {command}");
    }

    /// The lab's ssh_config.
    pub fn configuration(&self) -> PathBuf {
        self.fleet.in_lab().dir.join("ssh_config")
    }

    /// `ssh -F CONFIGURATION HOST COMMAND`.
    pub fn ssh(&self, configuration: &Path, host: &str, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(configuration).args(["-T", "-o", "BatchMode=yes", host, command]);
        ssh
    }

    /// Another ssh_config beside the lab's: lines in front of it.
    pub fn configured(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.configuration().with_file_name(name);
        let text = fs::read_to_string(self.configuration()).expect("the lab wrote it");
        fs::write(&path, format!("{lines}\n{text}")).expect("the lab's folder is writable");
        path
    }

    /// Another fleet.yml, with another ssh_config.
    pub fn fleet_over(&self, configuration: &Path) -> PathBuf {
        let path = configuration.with_extension("yml");
        let text = fs::read_to_string(&self.fleet.file).expect("the lab wrote it");
        let (own, other) = (self.configuration(), configuration);
        fs::write(&path, text.replace(&own.display().to_string(), &other.display().to_string())).expect("writable");
        path
    }

    /// Gives the jail on `host` so many MiB, in files of one.
    pub fn fill(&self, host: &str, mebibytes: usize) {
        self.fleet.sh(
            host,
            &format!(
                "rm -rf /jf/jails/web/data/fill && mkdir /jf/jails/web/data/fill
                head -c {mebibytes}m /dev/urandom | split -a 4 -b 1m - /jf/jails/web/data/fill/"
            ),
        );
    }

    /// Lets the jail on `host` write so many bytes a second, from a fresh start on.
    pub fn write(&self, host: &str, rate: usize) {
        self.fleet.sh(
            host,
            &format!(
                "jail -q -f /etc/jail.conf.d/web.conf -r web
                rm -rf /jf/jails/web/data/written
                echo {rate} >/jf/jails/web{RATE}
                jail -q -f /etc/jail.conf.d/web.conf -c web >/dev/null
                jls -j web jid >/var/run/jail_web.id"
            ),
        );
        self.fleet.answers_from("web", host);
    }

    /// Begins to ask.
    pub fn probe(&self) -> Probe {
        let mut ssh = self.ssh(&self.configuration(), "client", &format!("{PROGRAM} on-client {ASKED}"));
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh runs");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("the probe speaks");
        assert_eq!(line, "answered\n");
        Probe { child, said }
    }

    /// The blackout of a move by jailferry, as the client sees it; afterwards the source's copy is let go of.
    pub fn jailferry(&self, fleet: &Path, from: &str, to: &str) -> Duration {
        let probe = self.probe();
        let told = self.fleet.jailferry_with(fleet, &["migrate", "jail", "web", "to", "node", to, "--yes"]).exits(0);
        let blackout = probe.end(from, to);
        let run = self.fleet.journal().first().map(|l| l["what"]["header"]["plan"]["run"].clone());
        let run = run.as_ref().and_then(Value::as_str).unwrap_or_else(|| panic!("no run: {}", told.all));
        self.fleet.jailferry(&["finalize", run, "--yes"]).exits(0);
        blackout
    }
}

impl Probe {
    /// The longest silence, once the jail answers from `to`.
    pub fn end(mut self, from: &str, to: &str) -> Duration {
        // A few answers behind the silence.
        std::thread::sleep(Duration::from_millis(500));
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.said.read_line(&mut line).expect("the probe speaks");
        wait_until("the probe ends", || self.child.try_wait().expect("a child").is_some());
        let (time, hosts) = line.trim().split_once(' ').unwrap_or_else(|| panic!("the probe said {line:?}"));
        assert_eq!(hosts, format!("{from}>{to}"), "who answered, in order");
        Duration::from_micros(time.parse().expect("a number"))
    }
}
