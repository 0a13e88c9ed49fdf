//! A jail with a volume below its dataset.

use crate::bench::Fleet;

const ASK: &str = "zfs get -Hp -o property,value type,volsize,readonly jfpool/jails/web/disk";

#[test]
fn a_volume_moves_there_and_back() {
    let Some(fleet) = Fleet::anew("a_volume_moves_there_and_back") else { return };
    fleet.sh("spare", "zfs create -s -V 8m jfpool/jails/web/disk");
    let at_home = fleet.sh("spare", ASK);
    let told = fleet.jailferry(&["migrate", "web", "big", "--yes"]).exits(0);
    assert_eq!(fleet.sh("big", ASK), at_home, "{}", told.all);
    fleet.answers_from("web", "big");
    let told = fleet.jailferry(&["migrate", "web", "spare", "--yes"]).exits(0);
    assert_eq!(fleet.sh("spare", ASK), at_home, "{}", told.all);
    fleet.answers_from("web", "spare");
}
