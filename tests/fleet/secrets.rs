//! Keys stay home: no private or preshared key in anything that jailferry prints, stores or sends.

use std::collections::BTreeSet;
use std::fs;

use crate::bench::Fleet;
use crate::bench::NODES;
use crate::bench::wait_until;

/// A preshared key that nobody would take for something else; both ends get it.
const PRESHARED: &str = "SECRETsecretSECRETsecretSECRETsecretSECRET0=";

#[test]
fn no_key_leaves_its_host() {
    let Some(fleet) = Fleet::lab("no_key_leaves_its_host") else { return };
    let lab = fleet.in_lab();
    plant(&fleet);
    let mut keys: BTreeSet<String> = BTreeSet::from([PRESHARED.to_owned()]);
    for node in NODES {
        let file = fleet.sh(node, "cat /usr/local/etc/wireguard/wg0.conf");
        let key = file.lines().find_map(|line| line.strip_prefix("PrivateKey = ")).expect("a private key");
        keys.insert(key.trim().to_owned());
    }
    assert_eq!(keys.len(), 4, "three private keys and a preshared one");
    // From here on, everything that goes to the hosts is looked at.
    let from = NODES.map(|node| (lab.received(node).len(), lab.commands(node).len()));

    let mut outputs: Vec<(String, String)> = Vec::new();
    let mut run = |args: &[&str], code: i32| {
        let told = fleet.jailferry(args).exits(code);
        outputs.push((args.join(" "), told.stdout + &told.stderr));
    };
    for args in
        [&["facts"] as &[&str], &["facts", "--json"], &["plan", "web", "big"], &["plan", "web", "big", "--json"]]
    {
        run(args, 0);
    }
    // One that goes back, one that moves and edits the hub's file with the keys in it, one that fails while doing that.
    lab.fault("big", &["--match", "jail -f /etc/jail.conf.d/web.conf -c"], "fail:1:no");
    run(&["migrate", "web", "big", "--yes", "--json"], 4);
    lab.clear_faults("big");
    run(&["migrate", "web", "big", "--yes"], 0);
    lab.fault("small", &["--match", "sha256 -q /usr/local/etc/wireguard/", "--nth", "3"], "fail:1:no");
    let told = fleet.jailferry(&["migrate", "web", "spare", "--yes", "--json"]);
    outputs.push(("migrate with a fault at the file".into(), told.stdout + &told.stderr));
    lab.clear_faults("small");
    let mut run = |args: &[&str]| {
        let told = fleet.jailferry(args).exits(0);
        outputs.push((args.join(" "), told.stdout + &told.stderr));
    };
    for args in [&["runs"] as &[&str], &["runs", "--json"], &["show", "last"], &["show", "last", "--json"]] {
        run(args);
    }

    let journals = fleet.journals();
    assert_eq!(journals.len(), 3, "three runs");
    for path in journals {
        outputs.push((path.display().to_string(), fs::read_to_string(&path).expect("a journal is text")));
    }
    for (node, (received, ran)) in NODES.into_iter().zip(from) {
        let sent: Vec<String> = lab.received(node).iter().skip(received).map(ToString::to_string).collect();
        outputs.push((format!("what {node} received over ssh"), sent.join("\n")));
        // And where everybody on the host can look.
        let argv: Vec<String> = lab.commands(node).iter().skip(ran).map(|entry| entry["argv"].to_string()).collect();
        outputs.push((format!("command lines on {node}"), argv.join("\n")));
    }
    for (what, text) in &outputs {
        assert!(!text.is_empty(), "{what} is empty");
        for key in &keys {
            assert!(!text.contains(key.as_str()), "{what} shows a key:\n{text}");
        }
    }
    // The keys are where they were, for root alone.
    for node in NODES {
        let modes =
            fleet.sh(node, "find /usr/local/etc/wireguard -type f | while read -r f; do stat -f %Lp \"$f\"; done");
        assert!(modes.lines().all(|mode| mode == "600"), "modes of WireGuard's files on {node}: {modes}");
        let file = fleet.sh(node, "cat /usr/local/etc/wireguard/wg0.conf");
        assert!(keys.iter().any(|key| file.contains(&format!("PrivateKey = {key}"))), "{node} lost its private key");
        assert!(file.contains(PRESHARED), "{node} lost its preshared key");
    }
}

/// Gives every tunnel the preshared key, in the files and in the kernel.
fn plant(fleet: &Fleet) {
    for node in NODES {
        fleet.sh(
            node,
            &format!(
                "f=/usr/local/etc/wireguard/wg0.conf
                umask 077
                awk '{{ print }} /^PublicKey/ {{ print \"PresharedKey = {PRESHARED}\" }}' $f >/tmp/planted
                cat /tmp/planted >$f
                rm /tmp/planted
                wg setconf wg0 $f"
            ),
        );
    }
    for node in ["spare", "big"] {
        wait_until(&format!("{node} reaches the hub with the new key"), || {
            fleet.try_sh(node, "ping -n -q -c 1 -t 1 10.77.0.1").status.success()
        });
    }
    fleet.answers_from("web", "spare");
}
