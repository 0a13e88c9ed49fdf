//! The answers to `upkeep.sh`. None of them is needed to move a jail, so one that cannot be read is left out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::frames::Frames;
use super::json;
use crate::facts::Boot;
use crate::facts::PermanentArp;
use crate::facts::Room;
use crate::model::InterfaceName;
use crate::model::RemotePath;

/// Folders with their room.
#[must_use]
pub fn room(frames: &Frames) -> BTreeMap<RemotePath, Room> {
    let read = |text: &str| {
        let (first, table) = text.split_once('\n')?;
        // df -kP: Filesystem, blocks of 1024, used, available, capacity, mount point. Not what is available: UFS keeps some
        // blocks from everybody but root (newfs(8), -m).
        let row = table.lines().nth(1)?;
        let columns: Vec<&str> = row.split_whitespace().collect();
        let capacity = columns.iter().rposition(|c| c.ends_with('%'))?;
        let column = |before: usize| columns.get(capacity.checked_sub(before)?)?.parse::<u64>().ok();
        let free = column(3)?.saturating_sub(column(2)?).saturating_mul(1024);
        Some(Room { writable: first == "writable", free })
    };
    frames
        .all("room")
        .filter_map(|f| Some((RemotePath::new(f.subject.as_str()).ok()?, read(&f.success().ok()?.text())?)))
        .collect()
}

/// Files that root may not write; names that jailferry cannot handle are left out.
#[must_use]
pub fn unwritable(frames: &Frames) -> BTreeSet<RemotePath> {
    let text = frames.get("unwritable").map(super::frames::Frame::text).unwrap_or_default();
    text.lines().filter_map(|path| RemotePath::new(path).ok()).collect()
}

/// What boot does.
#[must_use]
pub fn boot(frames: &Frames) -> Boot {
    let text = |label: &str| frames.get(label).map(super::frames::Frame::text).unwrap_or_default();
    let setting =
        |row: &str| row.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    Boot {
        settings: text("boot-settings").lines().filter_map(setting).collect(),
        tools: text("boot-tools").lines().map(str::to_owned).collect(),
    }
}

/// Entries of the ARP table that never end (contract 6.4).
#[must_use]
pub fn permanent_arp(frames: &Frames) -> Vec<PermanentArp> {
    let Ok(frame) = frames.get("arp") else { return Vec::new() };
    let Ok(document) = json::document("arp", &frame.text()) else { return Vec::new() };
    let cache = json::find(&document, "arp-cache").and_then(Value::as_array);
    let entry = |entry: &Value| {
        entry.get("permanent")?.as_bool().filter(|permanent| *permanent)?;
        Some(PermanentArp {
            address: entry.get("ip-address")?.as_str()?.parse().ok()?,
            interface: InterfaceName::new(entry.get("interface")?.as_str()?).ok()?,
        })
    };
    cache.into_iter().flatten().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    fn frames(label: &str, subject: &str, output: &str) -> Frames {
        let (s, o) = (subject.len(), output.len());
        let text = format!("jailferry facts 1\n{label} 0 {s} {o}\n{subject}{output}\n0\n\nend 0 0 0\n\n0\n\n");
        Frames::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn room_of_a_folder() {
        let table = "Filesystem 1024-blocks     Used    Avail Capacity  Mounted on\nzroot/ROOT/my default  8000000 8000000 0 100%    /\n";
        let told = room(&frames("room", "/etc", &format!("read-only\n{table}")));
        assert_eq!(told[&RemotePath::new("/etc").unwrap()], Room { writable: false, free: 0 });
        let table = "Filesystem 1024-blocks Used Avail Capacity Mounted on\n/dev/ada0p2 1000 950 -30 103% /\n";
        let told = room(&frames("room", "/etc", &format!("writable\n{table}")));
        assert_eq!(told[&RemotePath::new("/etc").unwrap()], Room { writable: true, free: 51200 });
        let told = room(&frames(
            "room",
            "/etc",
            "writable\nFilesystem 1024-blocks Used Avail Capacity Mounted on\n/dev/gpt/root 9 1 8 10% /\n",
        ));
        assert_eq!(told[&RemotePath::new("/etc").unwrap()], Room { writable: true, free: 8192 });
        assert!(room(&frames("room", "/etc", "writable\n")).is_empty());
    }

    #[test]
    fn arp_entries_that_never_end() {
        let all = stdout("arp");
        let json = all.lines().find(|l| l.starts_with('{')).unwrap();
        let found = permanent_arp(&frames("arp", "", json));
        let found: Vec<String> = found.iter().map(|e| format!("{} {}", e.address, e.interface)).collect();
        assert_eq!(found, ["192.168.123.1 bridge0", "10.0.2.15 vtnet0"]);
    }

    #[test]
    fn settings_of_boot() {
        let boot = boot(&frames("boot-settings", "", "net.fibs=2\nnet.inet.ip.forwarding=1\nnet.fibs=3\n"));
        assert_eq!((boot.settings["net.fibs"], boot.settings.len()), (3, 2));
    }
}
