//! Who has which prefixes at a hub: wg(8), contract 3.2.

use crate::effect::Work;
use crate::effect::commands::network::run;
use crate::effect::hand_over::HandOver;
use crate::effect::hand_over::Moved;
use crate::model::Prefix;
use crate::model::PublicKey;

/// What `$all` says, which is `wg show INTERFACE allowed-ips`: a line a peer, its key, a tab and its prefixes or `(none)`.
/// By the shell itself: a hub may be a small machine, and nobody answers meanwhile.
const LISTS: &str = r#"# owner PREFIX: the key of the peer that has it.
owner() {
  while read -r key ips; do
    case " $ips " in *" $1 "*) echo "$key" ;; esac
  done <<PEERS
$all
PEERS
}
# list KEY GIVEN GOT: what the peer has then; fails for a peer that was not seen, so that nobody ever loses the rest of his.
list() {
  seen= out= comma=
  while read -r key ips; do
    [ "$key" = "$1" ] || continue
    seen=yes
    for ip in $ips; do
      case $ip in '(none)') continue ;; esac
      case " $2 " in *" $ip "*) ;; *) out=$out$comma$ip comma=, ;; esac
    done
  done <<PEERS
$all
PEERS
  [ -n "$seen" ] || return 21
  for ip in $3; do out=$out$comma$ip comma=,; done
  echo "$out"
}
# within LIST OTHER: is all of the first in the second?
within() (
  IFS=,
  for ip in $1; do
    case ",$2," in *",$ip,"*) ;; *) exit 1 ;; esac
  done
)
"#;

/// Compare-and-swap of who has the prefixes, under a lock on the host, one `wg set` for all peers, read back (contract
/// 3.2). What else a peer has is left as it is found: another run may have changed it since the plan was made. A peer that
/// is not there would be created by `wg set`, so it is looked for first (contract 0.8).
pub(super) fn hand_over(hand_over: &HandOver) -> Work {
    let HandOver { host, interface, peers } = hand_over;
    let moved = hand_over.moved();
    let mut inner = format!(
        "t=$(printf '\\t') n='\n'\nlook() {{ all=$(wg show {interface} allowed-ips); }}\n{LISTS}already=yes\nlook\n"
    );
    for peer in peers {
        let key = &peer.public_key;
        inner.push_str(&format!(
            "case $n$all in *\"${{n}}{key}$t\"*) ;; *) echo 'peer {key} is not on {interface}' >&2; exit 20 ;; esac\n"
        ));
    }
    let name = |key: Option<&PublicKey>| key.map(ToString::to_string).unwrap_or_default();
    for Moved { prefix, after, .. } in &moved {
        inner.push_str(&format!("[ \"$(owner {prefix})\" = '{}' ] || already=no\n", name(*after)));
    }
    inner.push_str("[ $already = no ] || exit 0\n");
    for Moved { prefix, before, .. } in &moved {
        inner.push_str(&format!(
            "[ \"$(owner {prefix})\" = '{}' ] || {{ echo \"AllowedIPs have changed since the plan was made: {prefix} belongs to peer $(owner {prefix})\" >&2; exit 20; }}\n",
            name(*before)
        ));
    }
    let words = |prefixes: Vec<&Prefix>| prefixes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut set = Vec::new();
    for (number, peer) in peers.iter().enumerate() {
        let (key, given, got) = (&peer.public_key, words(peer.given().collect()), words(peer.got().collect()));
        inner.push_str(&format!("new{number}=$(list {key} '{given}' '{got}')\n"));
        set.push(format!("peer {key} allowed-ips \"$new{number}\""));
    }
    inner.push_str(&format!("wg set {interface} {}\nlook\n", set.join(" ")));
    for (number, peer) in peers.iter().enumerate() {
        let key = &peer.public_key;
        inner.push_str(&format!(
            "now=$(list {key} '' '')\n(within \"$now\" \"$new{number}\" && within \"$new{number}\" \"$now\") || {{ echo 'AllowedIPs did not take' >&2; exit 21; }}\n"
        ));
    }
    run(
        host,
        format!(
            "cat > /var/run/jailferry.$$ <<'JAILFERRY_END'\nset -eu\n{inner}JAILFERRY_END\nrc=0\nlockf -k -s -t 30 /var/run/jailferry.lock /bin/sh /var/run/jailferry.$$ || rc=$?\nrm -f /var/run/jailferry.$$\nexit $rc"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::configuration::sh;
    use crate::configuration::sh::Ran;
    use crate::effect::command::Form;
    use crate::effect::hand_over::PeerChange;

    /// `wg show wg0 allowed-ips` from a file, and `wg set wg0 peer KEY allowed-ips LIST…` as the kernel does it: who gets a
    /// prefix takes it from whoever had it, and an unknown peer is made. A file `deaf` lets it do nothing.
    const WG: &str = r#"#!/bin/sh
here=${0%/*}/..
case "$1 $2" in
"show wg0") [ "$3" = allowed-ips ] || exit 64; cat "$here/peers" ;;
"set wg0")
  echo "$*" >> "$here/told"
  [ ! -e "$here/deaf" ] || exit 0
  shift 2
  while [ $# -gt 0 ]; do
    [ "$1 $3" = "peer allowed-ips" ] || exit 64
    awk -F '\t' -v key="$2" -v list="$4" 'BEGIN { OFS = FS; m = split(list, got, ","); for (i = 1; i <= m; i++) takes[got[i]] = 1 }
      { n = split($2, has, " "); $2 = ""
        for (i = 1; i <= n; i++) if (has[i] != "(none)" && !(has[i] in takes) && $1 != key) $2 = $2 ($2 == "" ? "" : " ") has[i]
        if ($1 == key) { known = 1; for (i = m; i >= 1; i--) $2 = $2 ($2 == "" ? "" : " ") got[i] }
        print $1, ($2 == "" ? "(none)" : $2) }
      END { if (!known) { gsub(",", " ", list); print key, list } }' "$here/peers" > "$here/new"
    mv "$here/new" "$here/peers"
    shift 4
  done ;;
*) exit 64 ;;
esac
"#;

    /// A key of 44 characters, as base64 has them.
    fn key(letter: char) -> PublicKey {
        PublicKey::new(format!("{}+/=", letter.to_string().repeat(41))).unwrap()
    }

    fn change(letter: char, before: &[&str], after: &[&str]) -> PeerChange {
        let list = |of: &[&str]| of.iter().map(|p| p.parse().unwrap()).collect();
        PeerChange { node: None, public_key: key(letter), before: list(before), after: list(after) }
    }

    /// From peer a to peer b.
    fn moves() -> HandOver {
        let both = ["192.168.7.0/24", "2001:db8::7/128"];
        HandOver {
            host: "hub".parse().unwrap(),
            interface: "wg0".parse().unwrap(),
            peers: vec![
                change('a', &[both[0], both[1], "10.0.0.1/32"], &["10.0.0.1/32"]),
                change('b', &["10.0.0.2/32"], &["10.0.0.2/32", both[0], both[1]]),
            ],
        }
    }

    /// Peers a, b, … with these prefixes, and what became of them.
    fn run_on(folder: &Path, peers: &[&str], hand_over: &HandOver) -> (Ran, Vec<String>) {
        let tools = folder.join("tools");
        fs::create_dir_all(&tools).unwrap();
        for (name, text) in [("wg", WG), ("lockf", "#!/bin/sh\nshift 5\nexec \"$@\"\n")] {
            fs::write(tools.join(name), text).unwrap();
            fs::set_permissions(tools.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let line = |(letter, ips): (char, &&str)| format!("{}\t{ips}\n", key(letter));
        fs::write(folder.join("peers"), ('a'..).zip(peers).map(line).collect::<String>()).unwrap();
        let _ = fs::remove_file(folder.join("told"));
        let Work::Run(commands) = super::hand_over(hand_over) else { panic!("no commands") };
        let Form::Script(body) = &commands[0].form else { panic!("{commands:?}") };
        let ran = sh::run(folder, &body.replace("/var/run/", &format!("{}/", folder.display())));
        let now = fs::read_to_string(folder.join("peers")).unwrap();
        let ips = |line: &str| {
            let mut ips: Vec<&str> = line.split('\t').nth(1).unwrap().split(' ').collect();
            ips.sort_unstable();
            ips.join(" ")
        };
        (ran, now.lines().map(ips).collect())
    }

    #[test]
    fn prefixes_change_hands_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let told = || fs::read_to_string(folder.path().join("told")).unwrap_or_default().lines().count();
        // A prefix that another run has given to b meanwhile, one that begins alike, and a peer that has nothing.
        let before = [
            "2001:db8::7/128 192.168.7.0/24 10.0.0.1/32 92.168.7.0/24",
            "10.0.0.2/32 172.16.0.0/12 192.168.7.0/25",
            "(none)",
        ];
        let (ran, now) = run_on(folder.path(), &before, &moves());
        assert_eq!((ran.status, ran.stderr.as_str(), told()), (0, "", 1));
        let after = [
            "10.0.0.1/32 92.168.7.0/24",
            "10.0.0.2/32 172.16.0.0/12 192.168.7.0/24 192.168.7.0/25 2001:db8::7/128",
            "(none)",
        ];
        assert_eq!(now, after);
        // Once more: nothing to do.
        assert_eq!((run_on(folder.path(), &after, &moves()).0.status, told()), (0, 0));
        // And back.
        let (ran, now) = run_on(folder.path(), &after, &moves().inverse());
        assert_eq!((ran.status, ran.stderr.as_str(), told()), (0, "", 1));
        assert_eq!(now[0], "10.0.0.1/32 192.168.7.0/24 2001:db8::7/128 92.168.7.0/24");
        assert_eq!(now[1..], ["10.0.0.2/32 172.16.0.0/12 192.168.7.0/25", "(none)"]);
    }

    #[test]
    fn a_peer_may_give_all_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = moves();
        all.peers[0] = change('a', &["192.168.7.0/24", "2001:db8::7/128"], &[]);
        let (ran, now) = run_on(folder.path(), &["192.168.7.0/24 2001:db8::7/128", "10.0.0.2/32"], &all);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert_eq!(now, ["(none)", "10.0.0.2/32 192.168.7.0/24 2001:db8::7/128"]);
    }

    #[test]
    fn what_is_not_as_planned_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |peers: &[&str], why: &str| {
            let (ran, _) = run_on(folder.path(), peers, &moves());
            assert_eq!(ran.status, 20, "{}", ran.stderr);
            assert!(ran.stderr.contains(why), "{}", ran.stderr);
            assert!(!folder.path().join("told").exists(), "{why}");
        };
        refused(&["192.168.7.0/24 2001:db8::7/128"], &format!("peer {} is not on wg0", key('b')));
        let others = ["2001:db8::7/128", "10.0.0.2/32", "192.168.7.0/24"];
        refused(&others, &format!("192.168.7.0/24 belongs to peer {}", key('c')));
        refused(&["192.168.7.0/24", "10.0.0.2/32"], "2001:db8::7/128 belongs to peer ");
    }

    #[test]
    fn what_did_not_take_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("deaf"), "").unwrap();
        let (ran, _) = run_on(folder.path(), &["192.168.7.0/24 2001:db8::7/128", "10.0.0.2/32"], &moves());
        assert_eq!((ran.status, ran.stderr.as_str()), (21, "AllowedIPs did not take\n"));
        assert!(
            !fs::read_dir(folder.path()).unwrap().any(|f| f
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("jailferry."))
        );
    }
}
