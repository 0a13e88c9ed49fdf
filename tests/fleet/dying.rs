//! A removed jail whose connections are in TIME_WAIT is dying for a minute, and its root is in use as long: nobody waits.

use crate::bench::Fleet;

#[test]
fn a_dying_jail_goes_out_and_straight_back() {
    let Some(fleet) = Fleet::any("a_dying_jail_goes_out_and_straight_back") else { return };
    let [url, _] = fleet.urls("web");
    for to in ["big", "spare"] {
        let from = if to == "big" { "spare" } else { "big" };
        fleet.fetch(&url);
        fleet.jailferry(&["migrate", "jail", "web", "to", "node", to, "--yes"]).exits(0).says("moved");
        // Real hosts may have taken the minute for the rest of the move.
        if fleet.has_lab() {
            let jails = fleet.sh(from, "jls -d name dying");
            assert!(jails.lines().any(|line| line == "web true"), "{jails}");
            // As long as that only force unmounts it.
            let ran: Vec<String> = fleet.in_lab().commands(from).iter().map(ToString::to_string).collect();
            assert!(ran.iter().any(|c| c.contains(r#""unmount","-f","jfpool/jails/web"]"#)), "{}", ran.join("\n"));
        }
        assert_eq!(fleet.sh(from, "zfs get -Hp -o value mounted jfpool/jails/web").trim(), "no");
        assert_eq!(fleet.runs_on("web"), [to]);
        fleet.answers_from("web", to);
    }
}
