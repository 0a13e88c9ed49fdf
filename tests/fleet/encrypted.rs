//! Encrypted datasets: refused without the key's file at the target, moved as they are with it, and home again.

use crate::bench::Fleet;
use crate::client::Client;

const ASK: &str = "zfs get -Hp -r -t filesystem -o name,property,value encryption,encryptionroot,keystatus,keylocation jfpool/jails/web";

/// Puts the jail into an encrypted tree: the child uses its parent's key, which comes from a file.
fn encrypt(fleet: &Fleet, location: &str) {
    fleet.stop("spare", "web");
    fleet.sh(
        "spare",
        &format!(
            "mkdir -m 0700 /root/plain
            tar -C /jf/jails/web -cf /root/plain/web.tar .
            zfs destroy -r jfpool/jails/web
            echo 'correct horse battery' >/root/web.key
            chmod 0400 /root/web.key
            zfs create -o encryption=on -o keyformat=passphrase -o keylocation={location} jfpool/jails/web </root/web.key
            zfs create jfpool/jails/web/data
            tar -C /jf/jails/web -xf /root/plain/web.tar
            rm -r /root/plain
            jail -f /etc/jail.conf.d/web.conf -c web"
        ),
    );
}

#[test]
fn an_encrypted_jail_moves_there_and_back() {
    let Some(fleet) = Fleet::anew("an_encrypted_jail_moves_there_and_back") else { return };
    encrypt(&fleet, "file:///root/web.key");
    let at_home = fleet.sh("spare", ASK);
    let before = fleet.states();
    let args = ["migrate", "web", "big", "--yes"];
    let refused = fleet.jailferry(&args).exits(3).says("no-key-file");
    assert!(refused.all.contains("/root/web.key"), "{}", refused.all);
    before.same(&fleet.states(), "refused without the key's file");

    // A file with another key is found when the first copy has arrived, while the jail runs.
    fleet.sh("big", "echo 'wrong horse battery' >/root/web.key");
    let told = fleet.jailferry(&args).exits(4).says("does not open jfpool/jails/web");
    assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    fleet.sh("big", "rm /root/web.key");
    before.same(&fleet.states(), &told.all);

    fleet.sh("big", "echo 'correct horse battery' >/root/web.key");
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    if fleet.has_lab() {
        // The jail does not start there: all of it goes back.
        let fault = fleet.in_lab().fail("big", "jail -f /etc/jail.conf.d/web.conf -c", None, "refused by the test");
        let told = fleet.jailferry(&args).exits(4);
        assert!(fleet.in_lab().fired(&fault) > 0, "{}", told.all);
        fleet.in_lab().clear_faults("big");
        assert_eq!(fleet.runs_on("web"), ["spare"], "{}", told.all);
    }

    let told = fleet.jailferry(&args).exits(0);
    assert_eq!(fleet.runs_on("web"), ["big"], "{}", told.all);
    assert_eq!(fleet.sh("big", ASK), at_home, "{}", told.all);
    fleet.answers_from("web", "big");
    let runs = fleet.jailferry(&["runs", "--json"]).exits(0).json();
    let newest = runs.as_array().and_then(|runs| runs.last());
    let run = newest.and_then(|run| run["run"].as_str()).expect("an id").to_owned();
    fleet.jailferry(&["rollback", &run, "--yes"]).exits(0);
    assert_eq!(fleet.runs_on("web"), ["spare"]);
    assert_eq!(fleet.sh("spare", ASK), at_home);
    counting.lost_nothing(&fleet.urls("web")[0]);
    // The copy that was left in big is brought up to date, its key loaded or not.
    fleet.sh("big", "zfs unload-key jfpool/jails/web");
    fleet.jailferry(&args).exits(0);
    assert_eq!(fleet.sh("big", ASK), at_home);
    fleet.answers_from("web", "big");
    for host in ["spare", "big"] {
        fleet.sh(host, "rm /root/web.key");
    }
}

#[test]
fn a_key_that_would_have_to_be_typed_is_refused() {
    let Some(fleet) = Fleet::anew("a_key_that_would_have_to_be_typed_is_refused") else { return };
    encrypt(&fleet, "prompt");
    let before = fleet.states();
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(3).says("key-not-in-a-file");
    assert!(told.all.contains("zfs set keylocation=file:///root/web.key jfpool/jails/web"), "{}", told.all);
    before.same(&fleet.states(), &told.all);
    fleet.sh("spare", "rm /root/web.key");
}
