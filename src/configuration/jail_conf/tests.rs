//! Whole files, as administrators write them: fixtures/jail.conf, one style each.

use proptest::prelude::*;

use super::*;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::value::Scope;
use crate::model::InterfaceName;
use crate::model::JailName;
use crate::model::RemotePath;

fn end() -> InterfaceName {
    InterfaceName::new("epair7a").unwrap()
}

fn web() -> JailName {
    JailName::new("web").unwrap()
}

fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

fn path(text: &str) -> RemotePath {
    RemotePath::new(text).unwrap()
}

/// Everything at once, as from one host of the testbed to another.
fn everything() -> Rewrite {
    Rewrite {
        epair: Some((7, 8)),
        bridge: Some((interface("bridge0"), interface("bridge1"))),
        fib: Some((1, 2)),
        mtu: Some((1380, 1400)),
        path: Some((path("/usr/jails/web"), path("/jf/jails/web"))),
        fstab: Some((path("/etc/jail.web.fstab"), path("/etc/fstab.web"))),
    }
}

/// What a plan would show.
fn shown(rewritten: &Rewritten) -> String {
    let mut lines = Vec::new();
    for change in &rewritten.changes {
        lines.extend(change.before.as_ref().map(|before| format!("{:3} - {before}", change.line)));
        lines.push(format!("{:3} + {}", change.line, change.after));
    }
    lines.extend(rewritten.findings.iter().map(|f| format!("  {} {f}", if f.is_fatal() { "!" } else { "?" })));
    lines.join("\n")
}

fn fixtures() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/jail.conf");
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|p| (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&p).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 12, "fixtures/jail.conf is missing");
    found
}

#[test]
fn each_style_is_rewritten_where_it_must_be() {
    for (name, text) in fixtures() {
        let rewritten = rewrite(&text, &web(), &everything()).unwrap();
        insta::assert_snapshot!(name, shown(&rewritten));
    }
}

#[test]
fn nothing_wanted_changes_nothing() {
    let same = Rewrite { epair: Some((7, 7)), fib: Some((1, 1)), ..Rewrite::default() };
    for (name, text) in fixtures() {
        for wanted in [&Rewrite::default(), &same] {
            let rewritten = rewrite(&text, &web(), wanted).unwrap();
            assert_eq!(rewritten.text, text, "{name}");
            assert_eq!(rewritten.changes, [], "{name}");
        }
    }
}

#[test]
fn the_way_back_gives_the_file_back() {
    for (name, text) in fixtures() {
        let there = rewrite(&text, &web(), &everything()).unwrap();
        let back = rewrite(&there.text, &web(), &everything().inverse()).unwrap();
        // A variable that also means something else was written out on the way there: the text differs, not what it
        // says.
        if name.starts_with("03") || name.starts_with("10") {
            assert_eq!(effective(&back.text), effective(&text), "{name}");
        } else {
            assert_eq!(back.text, text, "{name}");
        }
    }
}

fn effective(text: &str) -> Vec<(String, Vec<Option<String>>)> {
    Scope::of(&Document::parse(text).unwrap(), &web()).effective()
}

#[test]
fn a_shared_file_becomes_a_file_of_its_own_that_says_the_same() {
    let (_, text) = fixtures().into_iter().find(|(name, _)| name.starts_with("11")).unwrap();
    let extracted = extract(&text, &web()).unwrap();
    assert_eq!(extracted.left_out, ["db", "mail"]);
    assert!(extracted.defined);
    assert_eq!(effective(&extracted.text), effective(&text));
    insta::assert_snapshot!("extracted", extracted.text);
    let again = extract(&extracted.text, &web()).unwrap();
    assert_eq!(again.text, extracted.text);
    assert!(!extract(&text, &JailName::new("other").unwrap()).unwrap().defined);
}

#[test]
fn resolved_values_are_those_that_jail_printed() {
    // fixtures/jail.conf/01-recorded.conf is the configuration behind the recordings jail-e*.txt.
    let (_, text) = fixtures().into_iter().next().unwrap();
    let recorded =
        "ifconfig epair7 create|ifconfig bridge0 addm epair7a|ifconfig epair7a up fib 1|ifconfig epair7b mtu 1380";
    let prestart = effective(&text).into_iter().find(|(name, _)| name == "exec.prestart").unwrap().1;
    assert_eq!(prestart.into_iter().flatten().collect::<Vec<_>>().join("|"), recorded);
}

#[test]
fn a_fib_is_added_to_the_list_that_makes_the_epair() {
    let text = "web {\n  vnet;\n  exec.prestart = \"ifconfig epair7 create\"; # make it\n  exec.start = \"/bin/sh /etc/rc\";\n}\n";
    let added = add_fib(text, &web(), Some(7), &end(), 1).unwrap();
    assert_eq!(shown(&added), "  4 +   exec.prestart += \"ifconfig epair7a fib 1\";");
    assert_eq!(
        added.text,
        "web {\n  vnet;\n  exec.prestart = \"ifconfig epair7 create\"; # make it\n  exec.prestart += \"ifconfig epair7a fib 1\";\n  exec.start = \"/bin/sh /etc/rc\";\n}\n"
    );
    let overwritten = format!("{text}* {{ exec.prestart = true; }}\n");
    let findings = add_fib(&overwritten, &web(), Some(7), &end(), 1).unwrap().findings;
    assert!(matches!(findings.as_slice(), [Finding::FibNotAdded { fib: 1, .. }]), "{findings:?}");
    // As Bastille writes it since 1.0.
    let any = "web {\n  vnet.interface = e0b_web;\n  exec.prestart += \"epair0=\\$(ifconfig epair create) && ifconfig \\${epair0} up name e0a_web && ifconfig \\${epair0%a}b up name e0b_web\";\n}\n";
    let e0a = InterfaceName::new("e0a_web").unwrap();
    let added = add_fib(any, &web(), None, &e0a, 1).unwrap();
    assert_eq!(shown(&added), "  4 +   exec.prestart += \"ifconfig e0a_web fib 1\";");
    let two = Rewrite { fib: Some((1, 2)), ..Rewrite::default() };
    let again = super::rewrite(&added.text, &web(), &two).unwrap();
    assert_eq!((again.text, again.findings), (added.text.replace("fib 1", "fib 2"), vec![]));
    let none = add_fib("web { vnet; }", &web(), Some(7), &end(), 1).unwrap();
    assert!(matches!(none.findings.as_slice(), [Finding::FibNotAdded { .. }]));
}

#[test]
fn names_inside_the_jail_are_reported() {
    let inner = ["epair7b".to_owned(), "lo0".to_owned()];
    let findings = inner_names(&inner, &everything());
    assert_eq!(findings, [Finding::InnerName { old: "epair7b".into(), new: "epair8b".into() }]);
}

#[test]
fn syntax_errors_name_the_line() {
    let error = rewrite("web {\n  path = \"/a\"\n}\n", &web(), &everything()).unwrap_err();
    assert_eq!(error.to_string(), "line 3: a ';' is missing before \"}\"");
    let error = rewrite("web {\n  path = \"/a;\n", &web(), &everything()).unwrap_err();
    assert_eq!(error.to_string(), "line 2: a name or a value is missing before \"\\\"\"");
    assert!(rewrite("web {", &web(), &everything()).is_err());
}

#[test]
fn definitions_that_mention_each_other_end() {
    let loops = "web { $a = \"x$b$b\"; $b = \"$a$a\"; exec.start = \"$a\"; }";
    let rewritten = rewrite(loops, &web(), &everything()).unwrap();
    assert!(rewritten.findings.iter().any(|f| matches!(f, Finding::UnknownVariable { .. })));
    let many: String = (0..15).map(|i| format!("$v{i} = \"{}\";", format!("${{v{}}}", i + 1).repeat(40))).collect();
    assert!(rewrite(&format!("web {{ {many} $v15 = \"\"; exec.start = \"$v0\"; }}"), &web(), &everything()).is_ok());
}

/// Values that mention old and new things in many ways.
fn value() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("epair7a"),
        Just("epair7"),
        Just("epair77b"),
        Just("bridge0"),
        Just("ifconfig"),
        Just("fib"),
        Just("1"),
        Just("mtu"),
        Just("1380"),
        Just("/usr/jails/web"),
        Just("/usr/jails/web/tmp"),
        Just("/usr/jails/webs"),
        Just(";"),
        Just("&&"),
        Just("up"),
        Just("$x"),
        Just("${name}"),
    ];
    proptest::collection::vec(word, 1..8).prop_map(|words| format!("\"{}\"", words.join(" ")))
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "[a-z$\\{\\}'\"/*#+=;, \\\\\\n0-9.]{0,80}") {
        let _ = rewrite(&text, &web(), &everything());
        let _ = extract(&text, &web());
        let _ = add_fib(&text, &web(), Some(7), &end(), 1);
        let _ = parse_list(&text);
    }

    #[test]
    fn there_and_back_is_the_same_file(values in proptest::collection::vec(value(), 1..5), x in "[a-z]{1,4}|epair7a") {
        let lines: String = values.iter().map(|v| format!("\texec.prestart += {v}; # epair7\n")).collect();
        let text = format!("$x = \"{x}\";\nweb {{\n\tvnet.interface = epair7b;\n{lines}}}\n");
        let there = rewrite(&text, &web(), &everything()).unwrap();
        prop_assert!(!there.findings.iter().any(|f| matches!(f, Finding::NotReached { .. })), "{:?}", there.findings);
        let names: Vec<String> = effective(&there.text).into_iter().flat_map(|(_, v)| v).flatten().collect();
        prop_assert!(names.iter().all(|v| !v.split(' ').any(|w| ["epair7", "epair7a", "bridge0", "/usr/jails/web"].contains(&w))));
        let back = rewrite(&there.text, &web(), &everything().inverse()).unwrap();
        prop_assert_eq!(back.text, text);
    }

    #[test]
    fn an_extracted_file_says_the_same_of_the_jail(order in Just(vec![0usize, 1, 2, 3, 4]).prop_shuffle(), comment in "(# [a-z]{3}\n|\n){0,3}") {
        let parts = ["a = 1;\n", "* { b += \"$name\"; }\n", "db { c = 1; } ", "web { b = 2; a += 3; }\n", "/* x */ mail {\n c; }\n"];
        let text: String = order.iter().filter_map(|i| parts.get(*i)).map(|p| format!("{comment}{p}")).collect();
        let extracted = extract(&text, &web()).unwrap();
        prop_assert_eq!(effective(&extracted.text), effective(&text));
        prop_assert_eq!(Document::parse(&extracted.text).unwrap().other_jails(&web()), Vec::<String>::new());
    }
}

proptest! {
    /// A configuration file belongs to a stranger: whatever it holds, it is read or refused, and what comes out is read
    /// again.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9{}\"'$;=+,.*\\\\#/ \t\r\n\u{1b}é-]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let jail = JailName::new("web").unwrap();
        for text in [text.clone(), format!("web {{ {text} }}\n"), String::from_utf8_lossy(&bytes).into_owned()] {
            let wanted = Rewrite { epair: Some((7, 8)), fib: Some((0, 1)), ..Rewrite::default() };
            if let Ok(own) = super::extract(&text, &jail) {
                let _ = super::extract(&own.text, &jail);
            }
            if let Ok(rewritten) = super::rewrite(&text, &jail, &wanted) {
                prop_assert!(super::rewrite(&rewritten.text, &jail, &wanted).is_ok(), "{:?}", rewritten.text);
            }
            let _ = super::add_fib(&text, &jail, Some(7), &end(), 1);
            let _ = (super::parse_list(&text), crate::configuration::fstab::mounts(&text).is_ok());
        }
    }
}
