//! Asking two hundred hosts. The lab's client plays all of them: it answers every question of a host's facts with what
//! `spare` answered once, after a time that it sleeps, so that what is measured is asking and not emulated commands.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::bench::text;
use crate::stand::Stand;
use crate::table::Figures;
use crate::table::head;
use crate::table::repetitions;
use crate::table::row;
use crate::table::title;

const HOSTS: usize = 200;

const REPETITIONS: usize = 3;

/// Seconds that a host takes for its answer.
const SECONDS: [u32; 3] = [1, 10, 30];

/// Connections that jailferry makes at once; the plain way gets as many.
const AT_ONCE: usize = 32;

pub fn measure() {
    let Some(stand) = Stand::raise("moves-fleet") else { return };
    let key = stand.fleet.in_lab().dir.join("players");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen");
    let record = "/bin/sh -c \"$SSH_ORIGINAL_COMMAND\" >/root/answer; cat /root/answer";
    let recording = fleet(&stand, "recording", &key, "spare", &["spare".to_owned()]);
    admit(&stand, &key, "spare", record);
    facts(&stand, &recording);
    let answer = stand.fleet.sh("spare", "cat /root/answer");
    stand.fleet.sh("client", &format!("cat >/root/answer <<'END_OF_ANSWER'\n{answer}END_OF_ANSWER"));
    let names: Vec<String> = (0..HOSTS).map(|number| format!("n{number}")).collect();
    let all = fleet(&stand, "players", &key, "client", &names);
    let one = fleet(&stand, "player", &key, "client", &names[..1]);
    title(
        &format!("Facts of {HOSTS} hosts"),
        "Within 3 times the slowest host's own time (a fleet of that host alone).",
        repetitions(REPETITIONS),
    );
    admit(&stand, &key, "client", "exit 0");
    let mut handshakes = Figures::default();
    for _ in 0..repetitions(REPETITIONS) {
        handshakes.took(plain(&all, &names));
    }
    head(&["a host takes", "200 hosts", "one host alone", "ratio"]);
    for seconds in SECONDS {
        admit(&stand, &key, "client", &format!("cat >/dev/null; sleep {seconds}; cat /root/answer"));
        let mut figures = [(); 2].map(|()| Figures::default());
        for _ in 0..repetitions(REPETITIONS) {
            figures[0].took(facts(&stand, &all));
            figures[1].took(facts(&stand, &one));
        }
        let [all, one] = &figures;
        let ratio = format!("{:.2}", all.median() / one.median());
        row(&[&format!("{seconds} s"), &all.told("ms"), &one.told("ms"), &ratio]);
    }
    println!("\nPlain ssh to {HOSTS} hosts that end at once, {AT_ONCE} at a time: {}.", handshakes.told("ms"));
}

/// A key for which a host has one answer only.
fn admit(stand: &Stand, key: &Path, host: &str, command: &str) {
    let public = fs::read_to_string(key.with_extension("pub")).expect("ssh-keygen wrote it");
    // A script, since root's shell is csh(1) on some hosts.
    let line = format!("command=\"/bin/sh /root/forced.sh\" {}", public.trim());
    let file = "/root/.ssh/authorized_keys";
    stand.fleet.sh(
        host,
        &format!(
            "cat >/root/forced.sh <<'END_OF_SCRIPT'
{command}
END_OF_SCRIPT
            grep -v '^command=' {file} >{file}.new
            echo '{line}' >>{file}.new
            chmod 600 {file}.new
            mv {file}.new {file}"
        ),
    );
}

/// A fleet.yml of hosts that are all the same one.
fn fleet(stand: &Stand, name: &str, key: &Path, host: &str, names: &[String]) -> PathBuf {
    let text = fs::read_to_string(stand.configuration()).expect("the lab wrote it");
    let block = text.split("Host ").find(|block| block.starts_with(&format!("{host}\n"))).expect("the host is there");
    let (_, options) = block.split_once('\n').expect("lines");
    let own = format!("Host {}\n{options}  IdentityFile {}\n", names.join(" "), key.display());
    let rest = text.split_once("Host *\n").map_or("", |(_, rest)| rest);
    let rest: String = rest.lines().filter(|line| !line.contains("IdentityFile")).map(|l| format!("{l}\n")).collect();
    let configuration = stand.configuration().with_file_name(name);
    let configuration = configuration.with_extension("ssh_config");
    fs::write(&configuration, format!("{own}Host *\n{rest}")).expect("the lab's folder is writable");
    let mut yml = format!("ssh_config: {:?}\nhub: {}\nnodes:\n", configuration.display().to_string(), names[0]);
    for name in names {
        yml.push_str(&format!("  {name}: {{ ssh: {name} }}\n"));
    }
    let file = configuration.with_extension("yml");
    fs::write(&file, yml).expect("the lab's folder is writable");
    file
}

fn facts(stand: &Stand, fleet: &Path) -> Duration {
    let started = Instant::now();
    stand.fleet.jailferry_with(fleet, &["facts"]).exits(0);
    started.elapsed()
}

/// Connections alone, without jailferry: xargs(1) and ssh.
fn plain(fleet: &Path, names: &[String]) -> Duration {
    let configuration = fleet.with_extension("ssh_config");
    let line = format!(
        "printf '%s\\n' {} | xargs -P {AT_ONCE} -I HOST ssh -F {} -T -o BatchMode=yes HOST true >/dev/null",
        names.join(" "),
        configuration.display()
    );
    let started = Instant::now();
    let mut shell = Command::new("/bin/sh");
    let output = shell.args(["-c", &line]).stdin(Stdio::null()).output().expect("sh runs");
    assert!(output.status.success(), "{}", text(&output));
    started.elapsed()
}
