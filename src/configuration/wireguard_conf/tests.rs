//! Runs the scripts over fixtures/wireguard with FreeBSD's awk and compares bytes.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::configuration::sh;
use crate::configuration::sh::Ran;
use crate::model::Family;
use crate::model::JailName;
use crate::model::PublicKey;
use crate::model::RemotePath;
use crate::model::RunId;

const SPARE: &str = "AAAAspareAAAAspareAAAAspareAAAAspareAAAAspa=";
const BIG: &str = "BBBBbigBBBBbigBBBBbigBBBBbigBBBBbigBBBBbig0=";
const SECRETS: [&str; 2] = ["SECRET", "PSKpsk"];

/// A host with one configuration file.
struct Host {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Host {
    fn with(text: &str) -> Host {
        sh::warn_without_original_awk();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wg0.conf");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        Host { folder, file }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    fn target(&self) -> Target {
        Target {
            path: RemotePath::new(self.file.to_str().unwrap()).unwrap(),
            sha256: sha256(&self.text()),
            run: RunId::new("web-0123abcd").unwrap(),
        }
    }

    /// Runs a script; whatever it does, no secret comes out of it and no stage is left.
    fn run(&self, script: &str) -> Ran {
        let ran = sh::run(self.folder.path(), script);
        assert!(SECRETS.iter().all(|s| !ran.stdout.contains(s) && !ran.stderr.contains(s)), "{ran:?}");
        let names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(!names.iter().any(|n| n.starts_with('.')), "{names:?}");
        ran
    }

    /// Runs a script that must succeed and print the file's new sum.
    fn succeeds(&self, script: &str) {
        let ran = self.run(script);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
        assert_eq!(ran.stdout, format!("{}\n", sha256(&self.text())));
    }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/fixtures/wireguard/{name}.conf", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn peer(key: &str, prefixes: &str) -> PeerPrefixes {
    PeerPrefixes {
        peer: PublicKey::new(key).unwrap(),
        prefixes: prefixes.split_whitespace().map(|p| p.parse().unwrap()).collect(),
    }
}

const SPARE_OLD: &str = "10.77.0.2/32 192.168.123.0/24 2001:db8:1:1::/72 192.168.125.0/24 2001:db8:1:3::/72";
const BIG_OLD: &str = "10.77.0.3/32 192.168.124.0/24 2001:db8:1:2::/72";
const BIG_NEW: &str = "10.77.0.3/32 192.168.124.0/24 2001:db8:1:2::/72 192.168.123.50/32 2001:db8:1:1::50/128";

#[test]
fn a_host_prefix_is_added_behind_what_stays_and_taken_back() {
    for name in ["plain", "crlf"] {
        let before = fixture(name);
        let host = Host::with(&before);
        let target = host.target();
        let set = set_allowed_ips(&target, &[peer(BIG, BIG_NEW)]);
        host.succeeds(&set);
        let wanted = before.replace(
            "192.168.124.0/24, 2001:db8:1:2::/72",
            "192.168.124.0/24, 2001:db8:1:2::/72, 192.168.123.50/32, 2001:db8:1:1::50/128",
        );
        assert_eq!(host.text(), wanted);
        assert_eq!(std::fs::metadata(&host.file).unwrap().mode() & 0o777, 0o640);
        let backup = host.folder.path().join("wg0.conf.jailferry-web-0123abcd");
        assert_eq!(std::fs::read_to_string(&backup).unwrap(), before);
        assert_eq!(std::fs::metadata(&backup).unwrap().mode() & 0o777, 0o640);
        // Again: already so, although the sum is not that of the plan any more.
        host.succeeds(&set);
        assert_eq!(host.text(), wanted);
        let restore = restore_allowed_ips(&target, &[peer(BIG, BIG_NEW)], &[peer(BIG, BIG_OLD)]);
        host.succeeds(&restore);
        assert_eq!(host.text(), before);
        host.succeeds(&restore);
        assert_eq!(host.text(), before);
    }
}

#[test]
fn a_whole_network_moves_from_one_peer_to_the_other() {
    let before = fixture("plain");
    let host = Host::with(&before);
    let target = host.target();
    let new = [
        peer(SPARE, "10.77.0.2/32 192.168.123.0/24 2001:db8:1:1::/72"),
        peer(BIG, "10.77.0.3/32 192.168.124.0/24 2001:db8:1:2::/72 192.168.125.0/24 2001:db8:1:3::/72"),
    ];
    host.succeeds(&set_allowed_ips(&target, &new));
    let wanted = before
        .replace("AllowedIPs = 192.168.125.0/24,2001:db8:1:3::/72\n", "")
        .replace("2001:db8:1:2::/72", "2001:db8:1:2::/72, 192.168.125.0/24, 2001:db8:1:3::/72");
    assert_eq!(host.text(), wanted);
    host.succeeds(&restore_allowed_ips(&target, &new, &[peer(SPARE, SPARE_OLD), peer(BIG, BIG_OLD)]));
    assert_eq!(host.text(), before);
}

#[test]
fn entries_go_one_by_one_and_comments_stay() {
    let before = fixture("plain");
    let host = Host::with(&before);
    host.succeeds(&set_allowed_ips(&host.target(), &[peer(SPARE, "192.168.123.0/24 192.168.125.0/24")]));
    let wanted = before
        .replace("10.77.0.2/32, 192.168.123.0/24, 2001:db8:1:1::/72   # its own", "192.168.123.0/24   # its own")
        .replace(",2001:db8:1:3::/72", "");
    assert_eq!(host.text(), wanted);
    host.succeeds(&set_allowed_ips(&host.target(), &[peer(SPARE, "10.9.0.0/16")]));
    let wanted = wanted
        .replace("192.168.123.0/24   # its own", "10.9.0.0/16   # its own")
        .replace("AllowedIPs = 192.168.125.0/24\n", "");
    assert_eq!(host.text(), wanted);
    host.succeeds(&set_allowed_ips(&host.target(), &[peer(SPARE, "")]));
    assert_eq!(host.text(), wanted.replace("AllowedIPs = 10.9.0.0/16   # its own", "# its own"));
}

#[test]
fn other_spellings_of_the_same_prefix_are_the_same() {
    for name in ["odd", "odd-no-newline"] {
        let before = fixture(name);
        let host = Host::with(&before);
        let same = "10.77.0.2/32 192.168.123.0/24 2001:db8:1:1::/72";
        host.succeeds(&set_allowed_ips(&host.target(), &[peer(SPARE, same)]));
        assert_eq!(host.text(), before);
        host.succeeds(&set_allowed_ips(
            &host.target(),
            &[peer(SPARE, "10.77.0.2/32 2001:db8:1:1::/72 10.1.0.0/16"), peer(BIG, "10.77.0.3/32")],
        ));
        let wanted = before
            .replace(
                "allowed ips=10.77.0.2 ,192.168.123.7/24,  2001:DB8:1:1:0::0/72",
                "allowed ips=10.77.0.2 ,  2001:DB8:1:1:0::0/72, 10.1.0.0/16",
            )
            .replace(&format!("publickey={BIG}\n"), &format!("publickey={BIG}\nAllowedIPs = 10.77.0.3/32\n"));
        assert_eq!(host.text(), wanted, "{name}");
    }
}

#[test]
fn a_file_that_somebody_changed_is_refused() {
    let host = Host::with(&fixture("plain"));
    let target = host.target();
    let changed = host.text().replace("51820", "51821");
    std::fs::write(&host.file, &changed).unwrap();
    let ran = host.run(&set_allowed_ips(&target, &[peer(BIG, BIG_NEW)]));
    assert_eq!((ran.status, ran.stdout.as_str()), (frame::CHANGED, ""));
    assert_eq!(host.text(), changed);
}

#[test]
fn entries_come_back_even_when_somebody_changed_the_file_since() {
    let host = Host::with(&fixture("plain"));
    let target = host.target();
    host.succeeds(&set_allowed_ips(&target, &[peer(BIG, BIG_NEW)]));
    std::fs::write(&host.file, host.text().replace("51820", "51821")).unwrap();
    host.succeeds(&restore_allowed_ips(&target, &[peer(BIG, BIG_NEW)], &[peer(BIG, BIG_OLD)]));
    assert_eq!(host.text(), fixture("plain").replace("51820", "51821"));
}

#[test]
fn what_is_not_understood_is_left_alone() {
    let plain = fixture("plain");
    let twice = format!("{plain}[Peer]\nPublicKey = {BIG}\n");
    let garbage = plain.replace("192.168.124.0/24", "192.168.124.0/99");
    let named = plain.replace("192.168.124.0/24", "+192.168.124.0/24");
    for text in [twice, garbage, named, plain.replace(BIG, SPARE), "[Interface]\n".to_owned(), String::new()] {
        let host = Host::with(&text);
        let ran = host.run(&set_allowed_ips(&host.target(), &[peer(BIG, BIG_NEW)]));
        assert_eq!((ran.status, ran.stdout.as_str()), (frame::NOT_UNDERSTOOD, ""), "{text}");
        assert_eq!(host.text(), text);
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let host = Host::with(&fixture("plain"));
    let link = host.folder.path().join("link.conf");
    std::os::unix::fs::symlink(&host.file, &link).unwrap();
    let target = Target { path: RemotePath::new(link.to_str().unwrap()).unwrap(), ..host.target() };
    host.succeeds(&set_allowed_ips(&target, &[peer(BIG, BIG_NEW)]));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(host.text().contains("192.168.123.50/32"));
}

fn hook(hook: Hook, command: &str) -> HookLine {
    HookLine::new(hook, command, &JailName::new("web").unwrap()).unwrap()
}

#[test]
fn hook_lines_come_behind_their_kind_and_go_again() {
    let up = hook(Hook::PostUp, "route -q -n add -inet -host 192.168.123.50 -interface %i -fib 0");
    let down = hook(Hook::PostDown, "true");
    for (name, newline) in [("odd", "\n"), ("odd-no-newline", "\n"), ("crlf", "\r\n")] {
        let before = fixture(name);
        let host = Host::with(&before);
        let target = host.target();
        let add = [up.clone(), down.clone()];
        host.succeeds(&edit_hooks(&target, &[], &add));
        let anchor = if name == "crlf" { "ListenPort = 51820\r\n" } else { "::/1 -interface %i -fib 1 # v6\n" };
        let lines = format!("{anchor}{}{newline}{}{newline}", up.as_str(), down.as_str());
        assert_eq!(host.text(), before.replace(anchor, &lines), "{name}");
        host.succeeds(&edit_hooks(&target, &[], &add));
        host.succeeds(&restore_hooks(&target, &[], &add));
        assert_eq!(host.text(), before, "{name}");
        host.succeeds(&edit_hooks(&host.target(), &add, &[]));
        assert_eq!(host.text(), before, "{name}");
    }
    assert!(HookLine::new(Hook::PostUp, "a\nb", &JailName::new("web").unwrap()).is_err());
    assert!(HookLine::new(Hook::PostUp, "a # b", &JailName::new("web").unwrap()).is_err());
}

#[test]
fn a_route_is_known_in_every_form_that_its_line_has_had() {
    let before = fixture("odd");
    let anchor = "::/1 -interface %i -fib 1 # v6\n";
    let arguments = "-host 2001:db8:1:1::50 -interface wg0 -fib 0";
    let earlier = format!("PostUp = route -q -n add {arguments} # jailferry sib\n");
    let other = "PostUp = route -q -n add -host 2001:db8:1:1::51 -interface wg0 -fib 0 # jailferry sib\n";
    let somebodys = format!("PostUp = route -q -n add {arguments} # not jailferry s\n");
    let text = before.replace(anchor, &format!("{anchor}{earlier}{other}{somebodys}"));
    let line = HookLine::route(Family::Inet6, arguments, &JailName::new("web").unwrap());
    assert_eq!(
        line.as_str(),
        "PostUp = route -q -n add -inet6 -host 2001:db8:1:1::50 -interface wg0 -fib 0 || : # jailferry web"
    );
    // In the place of the one that could fail.
    let host = Host::with(&text);
    host.succeeds(&edit_hooks(&host.target(), &[], std::slice::from_ref(&line)));
    assert_eq!(host.text(), text.replace(&earlier, &format!("{}\n", line.as_str())));
    for text in [&text, &host.text()] {
        let host = Host::with(text);
        host.succeeds(&edit_hooks(&host.target(), std::slice::from_ref(&line), &[]));
        assert_eq!(host.text(), before.replace(anchor, &format!("{anchor}{other}{somebodys}")));
    }
    for (one, is) in [(earlier.as_str(), true), (other, false), (somebodys.as_str(), false)] {
        assert_eq!(hooks::same(one.trim_end(), line.as_str()), is, "{one}");
    }
}
