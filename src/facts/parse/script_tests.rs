//! The scripts, run by this machine's /bin/sh with commands that answer what a FreeBSD 13.2 answered.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command as Process;
use std::process::Stdio;

use sha2::Digest;
use sha2::Sha256;

use super::*;
use crate::effect::command::Command;
use crate::facts::HostFacts;
use crate::facts::PathKind;
use crate::facts::User;
use crate::facts::questions;
use crate::facts::questions::JailQuestions;
use crate::facts::questions::TargetQuestions;
use crate::facts::recordings::stdout;
use crate::model::DatasetName;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::NodeName;
use crate::model::RemotePath;

/// A host whose commands are stubs.
pub(super) struct FakeHost(pub(super) tempfile::TempDir);

impl FakeHost {
    pub(super) fn new() -> FakeHost {
        FakeHost(tempfile::tempdir().unwrap())
    }

    /// `command ARGUMENTS` prints `output` and exits with `status`; the first rule that matches wins.
    pub(super) fn answers(&self, command: &str, arguments: &str, output: &str, status: u8) -> &FakeHost {
        let stub = self.0.path().join(command);
        let mut text = fs::read_to_string(&stub).unwrap_or_else(|_| "#!/bin/sh\n".to_owned());
        let data = self.0.path().join(format!("{command}.{}", text.len()));
        fs::write(&data, output).unwrap();
        text += &format!("case \"$*\" in {arguments}) cat {}; exit {status};; esac\n", data.display());
        fs::write(&stub, text).unwrap();
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(super) fn ask(&self, script: &str) -> Vec<u8> {
        run(&format!("PATH={}:$PATH\n{script}", self.0.path().display()))
    }
}

/// Runs a script the way a host does.
pub(super) fn run(script: &str) -> Vec<u8> {
    let command = Command::script(&NodeName::new("big").unwrap(), 60, script);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), command.stdin().unwrap()).unwrap();
    let output =
        Process::new("/bin/sh").arg("-s").stdin(Stdio::from(fs::File::open(file.path()).unwrap())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What [`node`] answers in the first round.
pub(in crate::facts) fn answer_of_a_node() -> Vec<u8> {
    node().ask(&questions::host_questions(None))
}

/// A node as the recordings tell, put together.
fn node() -> FakeHost {
    node_on(FakeHost::new())
}

/// The same, but for what the host answers already.
fn node_on(host: FakeHost) -> FakeHost {
    let fields = stdout("wg-show-fields");
    let lines = |from: usize, to: usize| {
        fields.lines().skip(from).take(to - from).map(|l| format!("{l}\n")).collect::<String>()
    };
    let zfs = "zroot/jails/web\tfilesystem\t14513045557020125951\t18956288\t98304\t448049152\t/usr/jails/web\ton\tyes\t-\toff\t-\toff\toff\n";
    host.answers("hostname", "''", "fbsd\n", 0)
        .answers("uname", "-m", "amd64\n", 0)
        .answers("uname", "-K", "1302001\n", 0)
        .answers("freebsd-version", "-[kru]", "13.2-RELEASE\n", 0)
        .answers("kldstat", "'-q -m pf'", "", 0)
        .answers("kldstat", "*", "", 1)
        .answers("sysctl", "'-n net.fibs'", "2\n", 0)
        .answers("sysctl", "'-in kern.features.vimage'", "1\n", 0)
        .answers("sysctl", "'-i '*", &format!("kern.hostuuid: ec910f51\n{}", stdout("sysctls")), 0)
        .answers("ifconfig", "*", &stdout("ifconfig-members"), 0)
        .answers("netstat", "*'-F 1 -f inet'", &stdout("netstat-F1"), 0)
        .answers("netstat", "*'-F 1 -f inet6'", &stdout("netstat-json-1-6"), 0)
        .answers("wg", "'show interfaces'", "wg0\n", 0)
        .answers("wg", "'show wg0 public-key'", &stdout("wg-syncconf-nokey").lines().take(1).collect::<String>(), 0)
        .answers("wg", "'show wg0 listen-port'", &lines(11, 12), 0)
        .answers("wg", "'show wg0 peers'", &lines(1, 3), 0)
        .answers("wg", "'show wg0 latest-handshakes'", &lines(3, 5), 0)
        .answers("wg", "'show wg0 endpoints'", &lines(5, 7), 0)
        .answers("wg", "'show wg0 allowed-ips'", &stdout("wg-show-allowed"), 0)
        .answers("pfctl", "'-s Running'", &stdout("pf-running"), 0)
        .answers("pfctl", "'-P -sn'", &stdout("pf-sn"), 0)
        .answers("pfctl", "'-P -sr'", &stdout("pf-sr"), 0)
        .answers("pfctl", "-sT", &stdout("pf-sT"), 0)
        .answers("pfctl", "'-t jailferry_nat -T show'", &stdout("pf-table-show"), 0)
        .answers("pfctl", "'-t private -T show'", "   10.0.0.0/8\n", 0)
        .answers("pfctl", "'-a jailferry -sA'", "  jailferry/web\n  jailferry/old\n", 0)
        .answers(
            "pfctl",
            "'-P -a jailferry/web -sn'",
            "rdr on vtnet0 inet proto tcp from any to (vtnet0) port = 8080 -> 192.168.123.50 port 80\n",
            0,
        )
        .answers("pfctl", "'-P -a jailferry/old -sn'", "", 0)
        .answers("jls", "'-q jid vnet'", "1 new\n", 0)
        .answers("jls", "*", &stdout("jls-json-params"), 0)
        .answers("jexec", "'1 ifconfig '*", &format!("{}{}", stdout("jexec-ifconfig"), stdout("wg-create")), 0)
        .answers("jexec", "'1 netstat '*' -f inet'", &stdout("jexec-netstat"), 0)
        .answers("jexec", "*", "", 127)
        .answers("sysrc", "-a", &stdout("sysrc-f").lines().skip(3).map(|l| format!("{l}\n")).collect::<String>(), 0)
        .answers("zfs", "version", &stdout("zfs-version"), 0)
        .answers("zfs", "'list '*", zfs, 0)
        .answers("zfs", "'get '*", "zroot/jails/web\torg.jailferry:run\tweb-00000001\n", 0)
        .answers("zpool", "'list -H -o name'", "zroot\n", 0)
        .answers("zpool", "'list '*", &stdout("zpool-list"), 0)
        .answers("zpool", "'get '*", &stdout("zpool-features"), 0)
        .answers("setfib", "'0 netstat '*' -f inet'", &stdout("netstat-json-setfib0"), 0)
        .answers("setfib", "*", r#"{"statistics":{"route-information":{"route-table":{"rt-family":[]}}}}"#, 0);
    host
}

fn facts(host: &FakeHost) -> HostFacts {
    parse_host(&host.ask(&questions::host_questions(None))).unwrap()
}

#[test]
fn a_node_is_understood() {
    let facts = facts(&node());
    assert_eq!((facts.identity.hostname.as_str(), facts.identity.hostuuid.as_str()), ("fbsd", "ec910f51"));
    assert_eq!(facts.identity.kernel_version, 1_302_001);
    assert_eq!(facts.sysctl("net.fibs"), Some(2));
    assert_eq!(facts.modules.iter().map(String::as_str).collect::<Vec<_>>(), ["pf"]);
    assert_eq!(facts.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["epair7a", "bridge0"]);
    assert_eq!(facts.routes.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!((facts.routes[&0].len(), facts.routes[&1].len()), (12, 8));
    let wg0 = facts.wireguard(&InterfaceName::new("wg0").unwrap()).unwrap();
    assert_eq!((wg0.listen_port, wg0.peers.len(), wg0.peers[0].allowed.len()), (51820, 2, 3));
    assert_eq!((facts.pf.enabled, facts.pf.nat.len(), facts.pf.tables.len()), (Some(true), 4, 2));
    let anchors: Vec<_> = facts.pf.of_jails.iter().map(|(jail, rules)| (jail.as_str(), rules.len())).collect();
    assert_eq!(anchors, [("web", 1)], "an anchor without rules does not count");
    let web = &facts.jails[0];
    assert_eq!(
        web.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.168.123.50/24"],
        "the jail's own tunnel is no address on the link"
    );
    assert_eq!(web.gateways.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.168.123.1"]);
    assert_eq!((web.mtu, web.smallest_mtu), (Some(1380), Some(1380)));
    assert_eq!(facts.rc.variables["gateway_enable"], "YES");
    assert_eq!(facts.rc.variables.get("sshd_enable"), None, "what is of no interest stays on the host");
    assert_eq!(facts.datasets[0].run.as_deref(), Some("web-00000001"));
    assert_eq!((facts.pools[0].free, facts.pools[0].features.len()), (538_943_488, 33));
    assert_eq!(facts.zfs.unwrap().kernel, "zfs-kmod-2.1.9-FreeBSD_g92e0d9d18");
    assert!(facts.unreadable.contains_key("jexec web netstat -f inet6"), "{:?}", facts.unreadable);
}

#[test]
fn what_a_login_shell_prints_is_told() {
    let answer = answer_of_a_node();
    assert_eq!(parse_host(&answer).unwrap().noise, None);
    let noisy = [b"Welcome to spare!\n".as_slice(), &answer].concat();
    assert_eq!(parse_host(&noisy).unwrap().noise.as_deref(), Some("Welcome to spare!"));
}

#[test]
fn a_default_route_into_a_tunnel_of_the_jail_s_own_has_no_gateway_on_the_link() {
    let host = FakeHost::new();
    let inside = format!("{}{}", stdout("jexec-ifconfig"), stdout("wg-create"));
    let routes = stdout("jexec-netstat").replace("epair7b", "wg0");
    assert_ne!(routes, stdout("jexec-netstat"));
    host.answers("jexec", "'1 ifconfig '*", &inside, 0).answers("jexec", "'1 netstat '*", &routes, 0);
    let web = &facts(&node_on(host)).jails[0];
    assert_eq!(web.gateways, Vec::<std::net::IpAddr>::new());
}

#[test]
fn pf_conf_tells_which_files_tables_and_anchors_come_from() {
    let host = node();
    let place = |name: &str| host.0.path().join(name).display().to_string();
    let (conf, list) = (place("rules.conf"), place("nat.table"));
    fs::write(&list, "# ours\n192.168.124.0/24\n!10.0.0.1\n2001:db8::/32 # v6\n").unwrap();
    fs::write(
        &conf,
        format!(
            "secret = \"x\"\ntable <jailferry_nat> persist \\\n  file \"{list}\"\ntable < gone > file \"/nowhere\"\n\
             table <private> const {{ 10.0.0.0/8 }}\n#include \"/etc/no.conf\"\n  include \"/etc/pf.jailferry.conf\" # ours\n\
             load anchor \"jailferry/web\" from \"/etc/web.pf\"\npass all\n"
        ),
    )
    .unwrap();
    host.answers("sysrc", "'-n pf_rules'", &format!("{conf}\n"), 0).answers("sha256", "*", &"a".repeat(64), 0);
    let file = facts(&host).pf.file.unwrap();
    assert_eq!(file.path.as_str(), conf);
    let (name, table) = file.table_files.first_key_value().unwrap();
    assert_eq!((name.as_str(), table.path.as_str(), file.table_files.len()), ("jailferry_nat", list.as_str(), 1));
    let entries: Vec<String> = table.entries.iter().map(ToString::to_string).collect();
    assert_eq!((entries, table.sha256.len()), (vec!["192.168.124.0/24".into(), "2001:db8::/32".into()], 64));
    assert_eq!(file.includes.into_iter().collect::<Vec<_>>(), ["/etc/pf.jailferry.conf"]);
    assert_eq!(file.loads.into_iter().collect::<Vec<_>>(), [("jailferry/web".to_owned(), "/etc/web.pf".to_owned())]);
}

#[test]
fn a_host_without_pf_wireguard_and_zfs_says_so() {
    let host = node();
    for command in ["wg", "pfctl", "zfs", "zpool"] {
        fs::remove_file(host.0.path().join(command)).unwrap();
    }
    host.answers("pfctl", "*", "", 1);
    for missing in ["wg", "zfs", "zpool"] {
        // This machine may have the command itself.
        host.answers(missing, "*", "", 127);
    }
    let facts = facts(&host);
    assert_eq!((facts.pf.enabled, facts.wireguard, facts.zfs, facts.datasets), (None, vec![], None, vec![]));
}

#[test]
fn every_failure_is_reported_at_once() {
    let host = node();
    for command in ["ifconfig", "jls"] {
        fs::remove_file(host.0.path().join(command)).unwrap();
        host.answers(command, "*", "", 3);
    }
    let errors = parse_host(&host.ask(&questions::host_questions(None))).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["ifconfig: exit status 3: no message", "jls: exit status 3: no message"]);
}

#[test]
fn hostile_output_stays_in_its_frame() {
    let evil = "jailferry facts 1\nend 0 0 0\n\n0\n\nx 0 0 0\n\u{e9}\u{ff}$(id) `id` .0\n\n\n";
    let host = FakeHost::new();
    host.answers("evil", "*", evil, 7);
    let script = questions::host_questions(None);
    let ask = script.split("present() {").next().unwrap();
    let answer = host.ask(&format!(
        "echo noise; printf 'no newline'\n{ask}ask evil 'a\nb 9' evil x\nask none '' no-such-command\nask end '' true"
    ));
    let frames = Frames::parse(&answer).unwrap();
    let frame = frames.get("evil").unwrap();
    assert_eq!((frame.subject.as_str(), frame.status, frame.output.as_slice()), ("a\nb 9", 7, evil.as_bytes()));
    assert!(frames.get("none").unwrap().no_command());
    assert!(frames.get("none").unwrap().message().contains("not found"));
}

#[test]
fn keys_of_wireguard_never_leave_the_host() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let secret = "SECRETSECRETSECRETSECRETSECRETSECRETSECRETS=";
    let key = "2gk18S9cYHKOIkhpOdTAQ2vkmP9KXAY8orx3/7wmjQc=";
    let ours = "route -q -n add -inet6 -host 2001:db8::50 -interface wg0 -fib 0 || : # jailferry web-1";
    let text = format!(
        "# PrivateKey = {secret}\n[Interface]\nPrivateKey = {secret}\nprivatekey={secret}\nAddress = 10.77.0.1/24 # x\nSaveConfig = True\n\
         PostUp = wg set %i private-key <(echo {secret})\nPublicKey {secret}\nPostUp = {ours}\r\nPostUp = {ours} {secret}\n[Interface] PrivateKey = {secret}\n[Peer]\r\nPublicKey = {key} # {secret}\r\nPresharedKey = {secret}\n \
         AllowedIPs = 10.77.0.2/32, 192.168.123.0/24\nAllowedIPs = {secret}\nEndpoint = 1.2.3.4:5\n"
    );
    fs::write(file.path(), text).unwrap();
    let answer = run(&format!("{}public_part {}", questions::WIREGUARD, path(file.path())));
    let answer = String::from_utf8(answer).unwrap();
    assert!(!answer.contains("SECRET"), "{answer}");
    assert_eq!(
        answer,
        format!(
            "[interface]\naddress\nsaveconfig=true\npostup\nours={ours}\npostup\npostup\n[peer]\npublickey={key}\nallowedips=10.77.0.2/32,192.168.123.0/24\n"
        )
    );
}

#[test]
fn the_file_that_fleet_yml_names_is_read_wherever_it_is() {
    let host = node();
    host.answers("sha256", "*", &"a".repeat(64), 0);
    let secret = "SECRETSECRETSECRETSECRETSECRETSECRETSECRETS=";
    let at = |name: &str| RemotePath::new(path(&host.0.path().join(name))).unwrap();
    fs::write(at("wg0.conf").as_str(), format!("[Interface]\nPrivateKey = {secret}\n[Peer]\nAllowedIPs = ::/0\n"))
        .unwrap();
    let answer = host.ask(&questions::host_questions(Some(&at("wg0.conf"))));
    assert!(!String::from_utf8_lossy(&answer).contains("SECRET"));
    let found = parse_host(&answer).unwrap().wireguard_files;
    let found: Vec<_> = found.iter().map(|f| (f.path.clone(), f.interface.to_string())).collect();
    assert_eq!(found, [(at("wg0.conf"), "wg0".to_owned())]);
    assert!(
        parse_host(&host.ask(&questions::host_questions(Some(&at("gone.conf"))))).unwrap().wireguard_files.is_empty()
    );
    // What is asked for anyway is asked for once.
    let usual = RemotePath::new("/usr/local/etc/wireguard/wg0.conf").unwrap();
    assert_eq!(questions::host_questions(Some(&usual)), questions::host_questions(None));
}

#[test]
fn no_question_asks_for_a_key() {
    let elsewhere = RemotePath::new("/etc/wg0.conf").unwrap();
    for script in [questions::host_questions(None), questions::host_questions(Some(&elsewhere))] {
        let commands: Vec<&str> = script.lines().filter(|l| !l.trim_start().starts_with('#')).collect();
        let text = commands.join("\n");
        for forbidden in ["dump", "showconf", "private-key", "preshared", "wg show all", "-F 0"] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn the_jail_at_its_source_and_its_place_at_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| RemotePath::new(path(&folder.path().join(name))).unwrap();
    fs::create_dir_all(folder.path().join("root/bin")).unwrap();
    fs::create_dir_all(folder.path().join("root/etc")).unwrap();
    fs::write(folder.path().join("web.conf"), "web {\n\t# ü\n}\n\n").unwrap();
    fs::write(folder.path().join("root/bin/freebsd-version"), "#!/bin/sh\nUSERLAND_VERSION=\"13.2-RELEASE-p4\"\n")
        .unwrap();
    fs::write(
        folder.path().join("root/etc/rc.conf"),
        "ifconfig_epair7b=\"inet 192.168.123.50/24\"\nifconfig_epair7b_ipv6=\"x\"\nifconfig_web0_alias0=y\nifconfig_web1=\"SYNCDHCP up\"\nifconfig_web1_ipv6=\"inet6 accept_rtadv\"\nsshd_enable=NO\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("root/etc/resolv.conf"),
        "search example.org\nnameserver 10.0.0.1\nnameserver\t2001:db8::1 # two\n#nameserver 10.0.0.2\n",
    )
    .unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("dangling")).unwrap();

    let host = FakeHost::new();
    let native = "zroot/jails/web\trecordsize\t131072\tdefault\nzroot/jails/web/data\trecordsize\t131072\tdefault\n";
    let received =
        "zroot/jails/web\tatime\t-\nzroot/jails/web\tquota\t0\nzroot/jails/web/data\torg.x:note\ttwo\nlines\n";
    let digest = sha256(&folder.path().join("web.conf"));
    host.answers("sha256", "*web.conf", &format!("{digest}\n"), 0)
        .answers("stat", "'-L -f %Lp %u %g '*", "644 0 0\n", 0)
        .answers("mount", "-p", &stdout("mount-p"), 0)
        .answers("jls", "*", "3 web\n", 0)
        .answers(
            "fstat",
            "*'/usr/jails/web/data'",
            "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W\nroot     tail        1234    3 /usr/jails/web/data     77 -rw-r--r--     120  r\n",
            0,
        )
        .answers("fstat", "*", "USER     CMD          PID   FD MOUNT      INUM MODE         SZ|DV R/W\n", 0)
        .answers("ps", "*", " 1234     0\n 1235     3\n", 0)
        .answers("sockstat", "-u", "USER     COMMAND    PID   FD  PROTO  LOCAL ADDRESS         FOREIGN ADDRESS\n", 0)
        .answers("devfs", "'rule -s 5 show'", "100 include 1\n400 path bpf* unhide\n", 0)
        .answers("devfs", "'rule -s 1 show'", "100 hide\n", 0)
        .answers("sockstat", "'-46lq -p 53'", "root nc 20242  3 tcp6  *:53      *:*\nroot nc 1 3 udp4 10.0.0.1:53 *:*\nroot nc 1 4 tcp4 10.0.0.1:53 *:*\n", 0)
        .answers("rctl", "jail:web", "jail:web:pcpu:deny=50\njail:webs:pcpu:deny=50\njail:web:x:deny=$(id)\n", 0)
        .answers("devfs", "'rule -s 77 show'", "", 0)
        .answers("sysctl", "'-N security.jail.param.vnet'", "security.jail.param.vnet\n", 0)
        .answers("sysctl", "'-N security.jail.param.allow.raw_sockets'", "security.jail.param.allow.raw_sockets\n", 0)
        .answers("sysctl", "*", "", 1)
        .answers("zfs", "*' zroot/none'", "", 1)
        .answers("zfs", "'list -Hp -r -t filesystem,volume '*", "zroot/jails/web\nzroot/jails/web/data\n", 0)
        .answers("zfs", "'list -H -o name -r '*", "zroot/jails/web\nzroot/jails/web/data\n", 0)
        .answers("zfs", "'list -Hp -r -t snapshot '*", &stdout("zfs-list-snapshots"), 0)
        .answers("zfs", "*' -s local,received '*", "zroot/jails/web/data\torg.x:note\thello\tlocal\n", 0)
        .answers("zfs", "'get -Hp -o property,value '*", "readonly\toff\nexec\ton\nsetuid\toff\n", 0)
        .answers("zfs", "*' name,property,received all '*", received, 0)
        .answers("zfs", "'get -Hp -o property all '*", "type\ncreation\nrecordsize\n", 0)
        .answers("zfs", "'get '*", native, 0)
        .answers("zfs", "*", "zroot/jails/web\n", 0);

    let asked = JailQuestions {
        jail: JailName::new("web").unwrap(),
        landmarks: vec![],
        configuration_file: at("web.conf"),
        fstab: None,
        root: at("root"),
        dataset: DatasetName::new("zroot/jails/web").unwrap(),
        ruleset: Some(5),
        programs: vec!["sh".into(), path(&folder.path().join("web.conf")), "/nowhere/at all".into()],
    };
    let web = JailName::new("web").unwrap();
    let jail = parse_jail(&web, &asked, &host.ask(&questions::jail_questions(&asked))).unwrap();
    assert_eq!(jail.configuration.text, "web {\n\t# ü\n}\n\n");
    assert_eq!((jail.configuration.sha256.as_str(), jail.configuration.mode.as_str()), (digest.as_str(), "644"));
    assert_eq!(jail.userland.as_deref(), Some("13.2-RELEASE-p4"));
    assert_eq!(jail.inner_rc_interfaces, ["epair7b", "web0", "web1"]);
    let shapes: Vec<_> =
        jail.datasets.iter().map(|d| (d.name.as_str(), d.snapshots.len(), d.properties.len())).collect();
    assert_eq!(shapes, [("zroot/jails/web", 1, 1), ("zroot/jails/web/data", 0, 2)]);
    assert_eq!(jail.datasets[1].properties["org.x:note"].value, "hello");
    let received: Vec<Vec<&String>> = jail.datasets.iter().map(|d| d.received.iter().collect()).collect();
    assert_eq!(received, [["quota"], ["org.x:note"]]);
    assert_eq!(jail.address_by.iter().collect::<Vec<_>>(), ["SYNCDHCP", "accept_rtadv"]);
    let kept = &jail.of_the_host;
    assert_eq!(kept.devices.iter().collect::<Vec<_>>(), ["hide", "path bpf* unhide"]);
    assert_eq!(kept.programs, ["sh".to_owned(), path(&folder.path().join("web.conf"))].into());
    assert_eq!(kept.names.iter().collect::<Vec<_>>(), ["*", "10.0.0.1"]);
    assert_eq!(jail.resolvers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "2001:db8::1"]);
    assert_eq!(kept.limits.iter().collect::<Vec<_>>(), ["jail:web:pcpu:deny=50"]);
    assert_eq!(jail.users, [User::Process { pid: 1234, program: "tail".into(), user: "root".into() }]);

    let wanted = TargetQuestions {
        paths: vec![at("root"), at("dangling"), at("missing"), RemotePath::new("/dev/null").unwrap()],
        files: vec![at("web.conf"), at("missing")],
        jail: web.clone(),
        ruleset: Some(77),
        programs: vec![],
        parameters: ["vnet", "allow.noraw_sockets", "zfs.dataset", "$(id)"].map(str::to_owned).to_vec(),
        dataset: DatasetName::new("zroot/jails/web").unwrap(),
        origins: vec![],
    };
    let target = parse_target(&wanted, &host.ask(&questions::target_questions(&wanted))).unwrap();
    let given: Vec<_> = target.given.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(given, ["exec=on", "readonly=off", "setuid=off"]);
    assert_eq!(target.properties.iter().collect::<Vec<_>>(), ["creation", "recordsize", "type"]);
    let kinds: Vec<PathKind> = wanted.paths.iter().map(|p| target.paths[p]).collect();
    assert_eq!(kinds, [PathKind::Directory, PathKind::Link, PathKind::Absent, PathKind::Other]);
    assert_eq!(target.files.keys().collect::<Vec<_>>(), [&at("web.conf")]);
    assert_eq!(target.undefined_rulesets.into_iter().collect::<Vec<_>>(), [77]);
    assert_eq!(target.unknown_parameters.into_iter().collect::<Vec<_>>(), ["$(id)", "zfs.dataset"]);
    assert_eq!(target.datasets.len(), 2);
    assert_eq!((target.of_the_host.devices.len(), target.of_the_host.limits), (0, kept.limits.clone()));
}

#[test]
fn a_file_that_is_not_what_its_digest_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("web.conf"), "web {\0}\n").unwrap();
    let host = FakeHost::new();
    host.answers("sha256", "*", &format!("{}\n", sha256(&folder.path().join("web.conf"))), 0)
        .answers("stat", "*", "644 0 0\n", 0)
        .answers("zfs", "*", "", 1);
    let wanted = TargetQuestions {
        paths: vec![],
        files: vec![RemotePath::new(path(&folder.path().join("web.conf"))).unwrap()],
        jail: JailName::new("web").unwrap(),
        ruleset: None,
        programs: vec![],
        parameters: vec![],
        dataset: DatasetName::new("zroot/none").unwrap(),
        origins: vec![],
    };
    let errors = parse_target(&wanted, &host.ask(&questions::target_questions(&wanted))).unwrap_err();
    assert!(errors[0].to_string().contains("NUL bytes"), "{errors:?}");
}

fn sha256(path: &Path) -> String {
    Sha256::digest(fs::read(path).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn path(path: &Path) -> String {
    path.display().to_string()
}
