//! A jail whose datasets are clones: thin where the target has the origin by its GUID, in full with its price told elsewhere.

use crate::bench::Fleet;
use crate::client::Client;

/// Makes the jail's datasets clones of a template's.
fn thin(fleet: &Fleet) {
    fleet.stop("spare", "web");
    fleet.sh(
        "spare",
        "zfs rename jfpool/jails/web jfpool/jails/template
        zfs snapshot -r jfpool/jails/template@base
        zfs clone jfpool/jails/template@base jfpool/jails/web
        zfs clone jfpool/jails/template/data@base jfpool/jails/web/data
        jail -f /etc/jail.conf.d/web.conf -c web",
    );
}

const ORIGINS: &str = "zfs get -Hp -r -t filesystem -o name,value origin jfpool/jails/web";

#[test]
fn a_thin_jail_stays_thin_where_its_origin_is() {
    let Some(fleet) = Fleet::anew("a_thin_jail_stays_thin_where_its_origin_is") else { return };
    thin(&fleet);
    let args = ["migrate", "web", "big", "--yes"];
    let told = fleet.jailferry(&["plan", "web", "big"]).exits(0).says("warning[clone]");
    assert!(told.all.contains("no snapshot of pool jfpool on big has the same GUID"), "{}", told.all);

    // The template under another name there: only its GUID counts.
    // As text, one escaped byte after the other, since the hosts trust each other with nothing. In printf(1)'s format: its
    // %b ends at the first NUL on FreeBSD.
    let sent = fleet.sh(
        "spare",
        "zfs send -R jfpool/jails/template@base | od -An -v -to1 | sed 's/  */ /g; s/ $//; s/ 045/%%/g; s/ /\\\\/g'",
    );
    fleet.sh(
        "big",
        &format!("while read -r line; do printf \"$line\"; done <<'END' | zfs receive -u jfpool/base\n{sent}\nEND"),
    );
    let counting = Client::counting(&fleet, &fleet.urls("web")[0]);
    let told = fleet.jailferry(&args).exits(0).says("as a clone of jfpool/base@base on big");
    assert_eq!(
        fleet.sh("big", ORIGINS),
        "jfpool/jails/web\tjfpool/base@base\njfpool/jails/web/data\tjfpool/base/data@base\n",
        "{}",
        told.all
    );
    fleet.answers_from("web", "big");
    let run = fleet.jailferry(&["runs", "--json"]).exits(0).json()[0]["run"].as_str().expect("an id").to_owned();
    fleet.jailferry(&["rollback", &run, "--yes"]).exits(0);
    fleet.answers_from("web", "spare");
    counting.lost_nothing(&fleet.urls("web")[0]);
}
