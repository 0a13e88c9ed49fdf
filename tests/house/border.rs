//! What decides is pure: it takes facts and gives plans, and can be tested without a host, a clock or a file. Whatever
//! touches the world lives in `cli`, `remote`, and the parts of `saga` and `ui` that are not listed here.

use super::files_below;
use super::read;

/// Folders and files (with or without `.rs`) of the pure part.
const PURE: &[&str] = &[
    "src/model",
    "src/playbook",
    "src/configuration",
    "src/facts",
    "src/plan",
    "src/effect",
    "src/rebalance",
    "src/report",
    "src/schedule",
    "src/batch",
    "src/saga/state.rs",
    "src/saga/record.rs",
    "src/saga/direction.rs",
    "src/saga/lanes.rs",
    "src/ui/doctor_view.rs",
    "src/ui/event.rs",
    "src/ui/paint.rs",
    "src/ui/plan_script.rs",
    "src/ui/plan_view.rs",
    "src/ui/sanitize.rs",
];

/// What touches the world, as it would stand in the code.
const WORLD: &[&str] = &[
    "tokio",
    "openssh::",
    "indicatif",
    "async fn",
    ".await",
    "std::fs",
    "std::env",
    "std::process",
    "std::net::Tcp",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "crate::cli",
    "crate::remote",
];

fn is_pure(path: &str) -> bool {
    path.ends_with(".rs") && PURE.iter().any(|pure| path == *pure || path.starts_with(&format!("{pure}/")))
}

/// The file without comments and without its tests: a file of tests only has nothing left.
fn product_part<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let tests_only = name == "tests.rs" || name.ends_with("_tests.rs") || is_declared_for_tests(path);
    let code = if tests_only { "" } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text) };
    code.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Does the module above declare it as `#[cfg(test)] mod NAME;`, however visible?
fn is_declared_for_tests(path: &str) -> bool {
    let Some((folder, name)) = path.strip_suffix(".rs").and_then(|p| p.rsplit_once('/')) else { return false };
    let declared = |text: &str| {
        ["mod", "pub(crate) mod", "pub mod"].iter().any(|how| text.contains(&format!("#[cfg(test)]\n{how} {name};")))
    };
    files_below(folder).iter().filter(|f| *f == &format!("{folder}/mod.rs")).any(|parent| declared(&read(parent)))
}

#[test]
fn the_pure_part_does_not_touch_the_world() {
    let pure: Vec<String> = files_below("src").into_iter().filter(|p| is_pure(p)).collect();
    for listed in PURE {
        assert!(pure.iter().any(|p| p.starts_with(listed)), "{listed} is listed as pure, but there is no such file");
    }
    let mut offences = Vec::new();
    for path in &pure {
        let text = read(path);
        for (number, line) in product_part(path, &text) {
            for word in WORLD.iter().filter(|w| line.contains(**w)) {
                offences.push(format!("{path}:{number}: {word}: {}", line.trim()));
            }
        }
    }
    assert!(offences.is_empty(), "pure modules touch the world:\n{}", offences.join("\n"));
}

#[test]
fn the_border_test_sees_an_offence() {
    let text = "//! tokio\nuse std::fs;\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
    let seen: Vec<_> = product_part("src/plan/made_up.rs", text).collect();
    assert_eq!(seen, [(2, "use std::fs;")]);
    assert!(is_pure("src/plan/migrate.rs") && !is_pure("src/remote/run.rs") && !is_pure("src/facts/questions/ask.sh"));
}

/// The product and the lab that tests it share no code: a mistake in one shows in the other.
#[test]
fn product_and_lab_share_no_code() {
    for path in files_below("lab").iter().filter(|p| p.ends_with(".rs") || p.ends_with(".toml")) {
        let text = read(path);
        assert!(!text.contains("use jailferry") && !text.contains("path = \"..\""), "{path} uses the product");
    }
    assert!(!read("Cargo.toml").contains("path = \"lab\""), "the product uses the lab");
}
