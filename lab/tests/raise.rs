//! Raises bare labs and drives them from outside. Needs root (namespaces); says so loudly when it cannot run.

use std::path::Path;
use std::process::Command;
use std::process::Output;

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// None (and a loud line) where labs cannot be raised.
    fn up() -> Option<Lab> {
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
        if !root {
            eprintln!("SKIPPED, NOT TESTED: the lab needs root; run the tests as root or with sudo");
            return None;
        }
        let lab = Lab { dir: tempfile::Builder::new().prefix("lab").tempdir().expect("a folder") };
        let up = lab.run(&["up", "--bare"]);
        assert!(up.status.success(), "lab up: {}", text(&up.stderr));
        Some(lab)
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("l")
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lab")).arg("--dir").arg(self.folder()).args(args).output().expect("lab runs")
    }

    fn ssh(&self, host: &str, command: &str) -> Output {
        Command::new("ssh")
            .arg("-F")
            .arg(self.folder().join("ssh_config"))
            .args(["-o", "BatchMode=yes", host, command])
            .output()
            .expect("ssh runs")
    }

    fn outer(&self) -> String {
        let pid = std::fs::read_to_string(self.folder().join("pid")).expect("a pid");
        pid.split(' ').next().expect("a pid").to_string()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_string()
}

#[test]
fn every_host_answers_over_ssh_as_its_own_kind() {
    let Some(lab) = Lab::up() else { return };
    for (host, user, shell) in [
        ("small", "admin", "/bin/sh"),
        ("spare", "root", "/bin/csh"),
        ("big", "root", "/bin/sh"),
        ("client", "root", "/bin/sh"),
    ] {
        let answer = lab.ssh(host, "hostname; id -un; grep ^root: /etc/passwd; uname -rs");
        let expected = format!(
            "{host}\n{user}\nroot:*:0:0:Charlie &:/root:{}\nFreeBSD 13.2-RELEASE",
            if user == "root" { shell } else { "/bin/sh" }
        );
        assert_eq!(text(&answer.stdout), expected, "{host}: {}", text(&answer.stderr));
    }
    assert_eq!(text(&lab.ssh("small", "sudo -n -- /bin/sh -c 'id -u'").stdout), "0");
    // csh has no `$(…)`: what forgets that fails here as on a real host.
    assert!(!lab.ssh("spare", "echo $(id -u)").status.success());
    // Linux's own tools are out of reach.
    assert!(!lab.ssh("big", "ip link").status.success());
}

#[test]
fn commands_and_scripts_are_logged_whole() {
    let Some(lab) = Lab::up() else { return };
    let script = "uname -K # a comment\nuname -K\n";
    let mut child = Command::new("ssh")
        .arg("-F")
        .arg(lab.folder().join("ssh_config"))
        .args(["-o", "BatchMode=yes", "spare", "exec /bin/sh -s -- one"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("ssh runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), script.as_bytes()).expect("fed");
    assert_eq!(text(&child.wait_with_output().expect("ended").stdout), "1302001\n1302001");
    let ssh = text(&lab.run(&["log", "spare", "--ssh"]).stdout);
    let received: Vec<serde_json::Value> = ssh.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(received[0]["command"], "exec /bin/sh -s -- one");
    assert_eq!(received[1]["script"], script);
    let commands = text(&lab.run(&["log", "spare", "--json"]).stdout);
    let ours: Vec<serde_json::Value> = commands
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|entry: &serde_json::Value| entry["by"].is_null())
        .collect();
    assert_eq!(ours.len(), 2, "{commands}");
    assert_eq!((&ours[0]["argv"], &ours[0]["status"]), (&serde_json::json!(["uname", "-K"]), &serde_json::json!(0)));
}

/// What scripts are made of besides FreeBSD's own commands: every program that is started is in the log, whatever started it.
#[test]
fn plain_tools_are_logged_and_struck_like_every_other_command() {
    let Some(lab) = Lab::up() else { return };
    let ours = || -> Vec<String> {
        let log = text(&lab.run(&["log", "big", "--json"]).stdout);
        let entries = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let ours = entries.filter(|entry: &serde_json::Value| entry["by"].is_null());
        let words = |entry: serde_json::Value| {
            let argv = entry["argv"].as_array().expect("a list").clone();
            argv.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        };
        ours.map(words).collect()
    };
    let script = "umask 077; echo a b >/tmp/f; cat /tmp/f | awk '{ print $2 }' | grep -q b && sed -n 1p /tmp/f >/tmp/g
        chmod 600 /tmp/g; mv -f /tmp/g /tmp/h; find /tmp/h -exec cksum {} + >/dev/null; env TZ=UTC sort /tmp/h; rm /tmp/h; wg show all; sh -c 'expr 1 + 1'; [ -e /tmp/f ]";
    let answer = lab.ssh("big", script);
    assert_eq!(text(&answer.stdout), "a b\n2", "{}", text(&answer.stderr));
    let mut logged = ours();
    // Those of a pipeline begin at the same time.
    logged.sort();
    assert_eq!(
        logged,
        [
            "awk { print $2 }",
            "cat /tmp/f",
            "chmod 600 /tmp/g",
            "cksum /tmp/h",
            "env TZ=UTC sort /tmp/h",
            "expr 1 + 1",
            "find /tmp/h -exec cksum {} +",
            "grep -q b",
            "mv -f /tmp/g /tmp/h",
            "rm /tmp/h",
            "sed -n 1p /tmp/f",
            "sh -c expr 1 + 1",
            "sort /tmp/h",
            "wg show all",
        ]
    );
    // Also behind the effect of a command that becomes another program.
    let add = |part: &str, when: &str| {
        let add = ["fault", "big", "add", "--match", part, "--when", when, "--do", "fail:75:busy"];
        assert!(lab.run(&add).status.success());
    };
    add("mv /tmp/f", "before");
    add("cat /tmp/f", "after");
    add("sed -n p /tmp/f", "after");
    let answer = lab.ssh("big", "mv /tmp/f /tmp/g; echo $?; cat /tmp/f; echo $?; sed -n p /tmp/f; echo $?");
    assert_eq!(text(&answer.stdout), "75\na b\n75\na b\n75");
    assert_eq!(text(&answer.stderr), "busy\nbusy\nbusy");
}

#[test]
fn faults_strike_where_they_are_told_to() {
    let Some(lab) = Lab::up() else { return };
    let add = |args: &[&str]| assert!(lab.run(&[&["fault", "big", "add"], args].concat()).status.success());
    add(&["--match", "uname -K", "--nth", "2", "--do", "fail:75:busy"]);
    let codes: Vec<Option<i32>> = (0..3).map(|_| lab.ssh("big", "uname -K").status.code()).collect();
    assert_eq!(codes, [Some(0), Some(75), Some(0)]);
    let list = text(&lab.run(&["fault", "big", "list"]).stdout);
    let fault: serde_json::Value = serde_json::from_str(&list).expect("one fault");
    assert_eq!((fault["seen"].as_u64(), fault["fired"].as_u64()), (Some(3), Some(1)));
    assert!(lab.run(&["fault", "big", "clear"]).status.success());
    // What runs twice answers once.
    let whole = lab.dir.path().join("script");
    std::fs::write(&whole, "echo x >>/tmp/twice; cat /tmp/twice").expect("written");
    add(&["--match-file", &whole.display().to_string(), "--script", "--do", "twice"]);
    assert_eq!(text(&lab.ssh("big", "echo x >>/tmp/twice; cat /tmp/twice").stdout), "x\nx");
    add(&["--match", "touch /tmp/new", "--do", "twice"]);
    assert_eq!(text(&lab.ssh("big", "mkdir /tmp/new; touch /tmp/new").stderr), "");
    add(&["--match", "mkdir /tmp/newer", "--do", "twice"]);
    assert_eq!(
        text(&lab.ssh("big", "mkdir /tmp/newer").stderr),
        "mkdir: cannot create directory '/tmp/newer': File exists"
    );
    add(&["--match", "cut here", "--script", "--do", "drop-ssh"]);
    assert_eq!(lab.ssh("big", "echo cut here").status.code(), Some(255));
    add(&["--match", "uname -U", "--do", "reboot"]);
    assert_eq!(lab.ssh("big", "touch /root/kept /run/lost; uname -U").status.code(), Some(255));
    // The disk survives, what ran and /run do not.
    assert_eq!(text(&lab.ssh("big", "ls /root/kept /run/lost").stdout), "/root/kept");
    // What ran ended with the power.
    let lives = text(&lab.run(&["log", "big", "--jails"]).stdout);
    assert!(lives.ends_with("\"runs\":false}") && lives.lines().count() == 1, "{lives}");
}

#[test]
fn a_killed_lab_leaves_nothing_and_others_live_on() {
    let links = || text(&Command::new("ip").args(["-br", "link"]).output().expect("ip runs").stdout);
    let before = links();
    let (Some(lab), Some(other)) = (Lab::up(), Lab::up()) else { return };
    let again = lab.run(&["up", "--bare"]);
    assert!(!again.status.success() && text(&again.stderr).contains("a lab runs already"), "{}", text(&again.stderr));
    let outer = lab.outer();
    assert!(Command::new("kill").args(["-9", &outer]).status().expect("kill runs").success());
    let folder = lab.folder().display().to_string();
    let left = || -> Vec<String> {
        let entries = std::fs::read_dir("/proc").expect("proc").flatten();
        let lines =
            entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).map(|line| text(&line));
        lines.filter(|line| line.contains("__host") && line.contains(&folder)).collect()
    };
    let ended = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        left().is_empty()
    });
    assert!(ended, "left: {:?}", left());
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&folder), "{mounts}");
    assert_eq!(lab.run(&["status"]).status.code(), Some(1));
    assert_eq!(text(&other.ssh("big", "hostname").stdout), "big");
    assert!(other.run(&["down"]).status.success());
    assert!(!Path::new(&other.folder()).exists());
    assert_eq!(links(), before);
    // A folder of a killed lab can be raised in again.
    assert!(lab.run(&["up", "--bare"]).status.success());
    assert!(lab.run(&["down"]).status.success());
    assert!(!lab.folder().exists());
}

const JAIL: &str = r#"
sysctl net.inet.ip.forwarding=1 >/dev/null
truncate -s 640m /root/disk0 && zpool create -m none zroot /root/disk0 && zfs create -o mountpoint=/usr/jails zroot/jails && zfs create zroot/jails/web && zfs create zroot/jails/web/data
ifconfig bridge0 create && ifconfig bridge0 inet 192.168.123.1/24 up
ifconfig epair9 create >/dev/null && ifconfig bridge0 addm epair9a && ifconfig epair9a up && ifconfig epair9b up
cd /usr/jails/web && mkdir -p bin sbin lib dev usr/bin usr/sbin
for d in bin sbin lib usr/bin usr/sbin; do echo "/$d /usr/jails/web/$d nullfs ro 0 0"; done >/etc/jail.web.fstab
cat >/etc/jail.conf.d/web.conf <<'END'
web {
    path = "/usr/jails/web";
    mount.fstab = "/etc/jail.web.fstab";
    mount.devfs;
    vnet;
    vnet.interface = "epair7b";
    exec.prestart = "ifconfig epair7 create", "ifconfig bridge0 addm epair7a", "ifconfig epair7a up";
    exec.start = "ifconfig epair7b inet 192.168.123.50/24 up";
    exec.poststop = "ifconfig epair7a destroy";
    persist;
}
END
jail -qf /etc/jail.conf.d/web.conf -c web"#;

#[test]
fn a_jail_is_announced_read_and_keeps_its_file_system_busy() {
    let Some(lab) = Lab::up() else { return };
    let ask = |command: &str| {
        let answer = lab.ssh("big", command);
        (answer.status.code(), text(&answer.stdout), text(&answer.stderr))
    };
    let made = ask(JAIL);
    assert_eq!((made.0, made.2.as_str()), (Some(0), ""), "{made:?}");
    let life: serde_json::Value =
        serde_json::from_str(&text(&lab.run(&["log", "big", "--jails"]).stdout)).expect("one line");
    assert_eq!((&life["jail"], &life["runs"]), (&serde_json::json!("web"), &serde_json::json!(true)));
    let version = ask("sed -n 's/^USERLAND_VERSION=//p' /usr/jails/web/bin/freebsd-version; freebsd-version -j web");
    assert_eq!(version.1, "\"13.2-RELEASE\"\n13.2-RELEASE");

    // The root is in use; the child is, once a process of the jail has its folder there.
    let busy = "cannot unmount '/usr/jails/web/data': pool or dataset is busy";
    assert_eq!(
        ask("jexec web daemon -cf sleep 100; zfs umount zroot/jails/web/data; zfs mount zroot/jails/web/data").2,
        ""
    );
    let held = "jexec web sh -c 'cd /data && daemon -f sleep 100'; zfs umount zroot/jails/web/data";
    assert_eq!(ask(held).2, busy);
    assert_eq!(ask("umount /usr/jails/web").2, "umount: unmount of /usr/jails/web failed: Device busy",);

    // A jail that comes with another MAC address is found at once: nobody asks, it tells.
    let seen = "arp -an | awk '$2 == \"(192.168.123.50)\" { print $4 }'";
    let own = "jexec web ifconfig epair7b | awk '$1 == \"ether\" { print $2 }'";
    assert_eq!(ask("ping -q -c 1 -t 2 192.168.123.50 >/dev/null; echo $?").1, "0");
    let first = ask(own).1;
    assert_eq!(ask(seen).1, first);
    let renewed = "sed -i '' 's/epair7/epair8/g' /etc/jail.conf.d/web.conf; jail -qf /etc/jail.conf.d/web.conf -c web";
    let removed = ask("jail -qf /etc/jail.conf.d/web.conf -r web");
    assert_eq!(removed.0, Some(0), "{removed:?}");
    assert!(text(&lab.run(&["log", "big", "--jails"]).stdout).ends_with("\"jail\":\"web\",\"runs\":false}"));
    assert_eq!(ask(renewed).0, Some(0));
    let second = ask("jexec web ifconfig epair8b | awk '$1 == \"ether\" { print $2 }'").1;
    assert_ne!(first, second);
    let told = (0..50).any(|_| ask(seen).1 == second);
    assert!(told, "{} instead of {second}", ask(seen).1);
}

#[test]
fn what_only_gnu_has_fails() {
    let Some(lab) = Lab::up() else { return };
    for command in [
        "echo x | grep -P x",
        "echo x >/tmp/f; sed -i s/x/y/ /tmp/f",
        "date -d yesterday",
        "find /tmp -printf %p",
        "stat -c %s /etc/passwd",
        "mktemp --suffix=.x",
        "cp -r --preserve=all /etc/passwd /tmp/g",
        "echo x | head -c -1",
        "ls --time-style=full-iso",
        "readlink -e /tmp",
        "realpath -m /nope",
        "[ \"$(echo x | wc -l)\" = 1 ]",
    ] {
        let answer = lab.ssh("big", command);
        assert!(!answer.status.success(), "{command}: {}", text(&answer.stdout));
    }
    let fine = "echo x >/tmp/f; sed -i '' s/x/y/ /tmp/f; grep -q y /tmp/f && date -r 0 -u +%Y && readlink -f /tmp/f && stat -f %z /tmp/f && sort -V /tmp/f";
    assert_eq!(text(&lab.ssh("big", fine).stdout), "1970\n/tmp/f\n2\ny");
}
