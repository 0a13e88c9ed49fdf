//! devfs(8): the rulesets of /etc/defaults/devfs.rules, for reading (recordings `devfs-rule*`).

use crate::context::Context;

/// Ruleset, and its rules.
const RULESETS: &[(u32, &[&str])] = &[
    (1, &["100 hide"]),
    (
        2,
        &[
            "100 path null unhide",
            "200 path zero unhide",
            "300 path crypto unhide",
            "400 path random unhide",
            "500 path urandom unhide",
        ],
    ),
    (
        3,
        &[
            "100 path ptyp* unhide",
            "200 path ptyq* unhide",
            "300 path fd unhide",
            "400 path fd/* unhide",
            "500 path stdin unhide",
            "600 path stdout unhide",
            "700 path stderr unhide",
        ],
    ),
    (4, &["100 include 1", "200 include 2", "300 include 3", "400 path fuse unhide", "500 path zfs unhide"]),
    (5, &["100 include 1", "200 include 2", "300 include 3", "400 include 4", "500 path pf unhide"]),
];

/// The command.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let words = match words.as_slice() {
        ["-m", _, rest @ ..] => rest,
        all => all,
    };
    match words {
        ["rule", "showsets"] => {
            for (number, _) in RULESETS {
                println!("{number}");
            }
            0
        }
        ["rule", "-s", number, "show"] => {
            let Ok(number) = number.parse::<u32>() else {
                eprintln!("devfs: invalid ruleset number: {number}");
                return 1;
            };
            // An undefined ruleset is an empty one.
            for rule in RULESETS.iter().filter(|(known, _)| *known == number).flat_map(|(_, rules)| rules.iter()) {
                println!("{rule}");
            }
            0
        }
        _ => {
            eprintln!(
                "usage: devfs rule [-s ruleset] add|apply|applyset|del|delset|show|showsets\n       devfs ruleset ruleset"
            );
            1
        }
    }
}
