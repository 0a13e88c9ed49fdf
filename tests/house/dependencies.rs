//! The dependencies, offline: few enough to look through, under licences that go with ours, none of those that are known
//! to be unmaintained or unsound.

use std::process::Command;

use serde_json::Value;

use super::read;

/// More than these nobody can look through.
const CAP: usize = 220;

/// Licences (SPDX) that a BSD-2-Clause program may be shipped with without further duties than naming them.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates with a standing advisory, or without a maintainer, that one easily gets by way of another.
const REFUSED: &[(&str, &str)] = &[
    ("serde_yml", "RUSTSEC-2025-0068: unsound"),
    ("libyml", "RUSTSEC-2025-0067: unsound"),
    ("yaml-rust", "RUSTSEC-2024-0320: unmaintained"),
    ("serde_yaml", "archived by its author; a maintained crate stands behind the name (README)"),
    ("unsafe-libyaml", "archived by its author"),
    ("proc-macro-error", "RUSTSEC-2024-0370: unmaintained"),
    ("proc-macro-error2", "RUSTSEC-2026-0173: unmaintained"),
    ("atty", "RUSTSEC-2021-0145: unsound"),
];

/// Is one of the alternatives of an SPDX expression allowed? `A AND (B OR C)`, and the old `A/B` for OR.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0_usize;
    let mut parts: Vec<String> = vec![String::new()];
    let mut conjunction = false;
    // Split at the outermost AND first, else at the outermost OR.
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && word == "AND" {
            conjunction = true;
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(word);
            part.push(' ');
        }
    }
    if conjunction {
        return parts.iter().all(|part| is_allowed(part));
    }
    let inner = expression.trim().trim_start_matches('(').trim_end_matches(')').trim().to_owned();
    inner.split(" OR ").any(|one| ALLOWED.contains(&one.trim().trim_matches(['(', ')']).trim()))
}

#[test]
fn licences_are_read_as_meant() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["GPL-3.0", "", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND AGPL-3.0", "MPL-2.0 OR SSPL-1.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

fn locked() -> Vec<(String, String)> {
    let lock = read("Cargo.lock");
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|l| l.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    lock.split("[[package]]").skip(1).map(|block| (value(block, "name"), value(block, "source"))).collect()
}

#[test]
fn there_are_few_and_all_from_the_registry() {
    let locked = locked();
    assert!(locked.len() > 50, "Cargo.lock could not be read");
    assert!(locked.len() <= CAP, "{} packages in Cargo.lock; at most {CAP}", locked.len());
    for (name, source) in &locked {
        let own = name == "jailferry" || name == "lab";
        assert!(own || source.starts_with("registry+"), "{name} comes from {source}");
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            panic!("{name}: {why}");
        }
    }
}

/// Those that are compiled for this machine; cargo has their manifests, so this needs no network.
#[test]
fn every_licence_goes_with_ours() {
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|l| l.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(super::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence), "{}: licence {licence:?} is not among the allowed", package["name"]);
    }
}
