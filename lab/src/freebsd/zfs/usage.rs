//! What zfs(8) and zpool(8) say to a wrong command line. Exit status 2.

use super::session::Fail;

/// zfs's own list of properties, which follows the usage of `list`, `get`, `set` and `inherit`.
const PROPERTIES: &str = include_str!("properties.txt");

/// The usage line(s) of each verb.
const ZFS: &[(&str, &str)] = &[
    ("version", "version"),
    (
        "create",
        "create [-Pnpuv] [-o property=value] ... <filesystem>\n\tcreate [-Pnpsv] [-b blocksize] [-o property=value] ... -V <size> <volume>",
    ),
    (
        "destroy",
        "destroy [-fnpRrv] <filesystem|volume>\n\tdestroy [-dnpRrv] <filesystem|volume>@<snap>[%<snap>][,...]\n\tdestroy <filesystem|volume>#<bookmark>",
    ),
    ("snapshot", "snapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ..."),
    ("rollback", "rollback [-rRf] <snapshot>"),
    ("clone", "clone [-p] [-o property=value] ... <snapshot> <filesystem|volume>"),
    ("promote", "promote <clone-filesystem>"),
    (
        "rename",
        "rename [-f] <filesystem|volume|snapshot> <filesystem|volume|snapshot>\n\trename -p [-f] <filesystem|volume> <filesystem|volume>\n\trename -u [-f] <filesystem> <filesystem>\n\trename -r <snapshot> <snapshot>",
    ),
    ("bookmark", "bookmark <snapshot|bookmark> <newbookmark>"),
    (
        "list",
        "list [-Hp] [-r|-d max] [-o property[,...]] [-s property]...\n\t    [-S property]... [-t type[,...]] [filesystem|volume|snapshot] ...",
    ),
    ("set", "set <property=value> ... <filesystem|volume|snapshot> ..."),
    (
        "get",
        "get [-rHp] [-d max] [-o \"all\" | field[,...]]\n\t    [-t type[,...]] [-s source[,...]]\n\t    <\"all\" | property[,...]> [filesystem|volume|snapshot|bookmark] ...",
    ),
    ("inherit", "inherit [-rS] <property> <filesystem|volume|snapshot> ..."),
    ("mount", "mount\n\tmount [-flvO] [-o opts] <-a | filesystem>"),
    ("unmount", "unmount [-fu] <-a | filesystem|mountpoint>"),
    (
        "send",
        "send [-DnPpRvLecwhb] [-[i|I] snapshot] <snapshot>\n\tsend [-nvPLecw] [-i snapshot|bookmark] <filesystem|volume|snapshot>\n\tsend [-DnPpvLec] [-i bookmark|snapshot] --redact <bookmark> <snapshot>\n\tsend [-nvPe] -t <receive_resume_token>\n\tsend [-Pnv] --saved filesystem",
    ),
    (
        "receive",
        "receive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ...\n\t    <filesystem|volume|snapshot>\n\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ... \n\t    [-d | -e] <filesystem>\n\treceive -A <filesystem|volume>",
    ),
    ("hold", "hold [-r] <tag> <snapshot> ..."),
    ("holds", "holds [-rH] <snapshot> ..."),
    ("release", "release [-r] <tag> <snapshot> ..."),
    ("diff", "diff [-FHt] <snapshot> [snapshot|filesystem]"),
    ("load-key", "load-key [-rn] [-L <keylocation>] <-a | filesystem|volume>"),
    ("unload-key", "unload-key [-r] <-a | filesystem|volume>"),
    (
        "change-key",
        "change-key [-l] [-o keyformat=<value>]\n\t    [-o keylocation=<value>] [-o pbkdf2iters=<value>]\n\t    <filesystem|volume>\n\tchange-key -i [-l] <filesystem|volume>",
    ),
    ("jail", "jail <jailid|jailname> <filesystem>"),
    ("unjail", "unjail <jailid|jailname> <filesystem>"),
];

const ZPOOL: &[(&str, &str)] = &[
    ("version", "version"),
    (
        "create",
        "create [-fnd] [-o property=value] ... \n\t    [-O file-system-property=value] ... \n\t    [-m mountpoint] [-R root] <pool> <vdev> ...",
    ),
    ("destroy", "destroy [-f] <pool>"),
    ("list", "list [-gHLpPv] [-o property[,...]] [-T d|u] [pool] ... \n\t    [interval [count]]"),
    ("status", "status [-c [script1,script2,...]] [-igLpPstvxD]  [-T d|u] [pool] ... \n\t    [interval [count]]"),
    (
        "import",
        "import [-d dir] [-D]\n\timport [-o mntopts] [-o property=value] ... \n\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]] -a\n\timport [-o mntopts] [-o property=value] ... \n\t    [-d dir | -c cachefile] [-D] [-l] [-f] [-m] [-N] [-R root] [-F [-n]]\n\t    [--rewind-to-checkpoint] <pool | id> [newpool]",
    ),
    ("export", "export [-af] <pool> ..."),
    ("get", "get [-Hp] [-o \"all\" | field[,...]] <\"all\" | property[,...]> <pool> ..."),
    ("set", "set <property=value> <pool> "),
];

/// The full name of a verb that has a short one.
pub fn canonical(verb: &str) -> &str {
    match verb {
        "snap" => "snapshot",
        "recv" => "receive",
        "umount" => "unmount",
        other => other,
    }
}

/// The usage of one verb after the reason.
pub fn wrong(program: &str, verb: &str, reason: &str) -> Fail {
    let table = if program == "zpool" { ZPOOL } else { ZFS };
    let line = table.iter().find(|(name, _)| *name == verb).map_or(verb, |(_, line)| line);
    let mut message = format!("{reason}\nusage:\n\t{line}");
    if program == "zfs" && ["list", "get", "set", "inherit"].contains(&verb) {
        message.push_str("\n\n");
        message.push_str(PROPERTIES.trim_end());
    }
    Fail { message, code: 2 }
}

/// The usage of the whole program after the reason.
pub fn all(program: &str, reason: &str) -> Fail {
    let table = if program == "zpool" { ZPOOL } else { ZFS };
    let mut message =
        format!("{reason}\nusage: {program} command args ...\nwhere 'command' is one of the following:\n");
    for (_, line) in table {
        message.push_str(&format!("\n\t{line}"));
    }
    message.push_str("\n\nEach dataset is of the form: pool/[dataset/]*dataset[@name]\n");
    message.push_str(&format!("\nFor the property list, run: {program} set|get\n"));
    message.push_str("\nFor the delegated permission list, run: zfs allow|unallow");
    Fail { message, code: 2 }
}
