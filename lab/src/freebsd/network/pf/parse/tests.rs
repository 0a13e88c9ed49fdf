use super::*;

fn rules(text: &str) -> Vec<String> {
    parse(text).expect("parses").rules.iter().map(|r| r.to_string()).collect()
}

#[test]
fn normalised_as_recorded() {
    assert_eq!(
        rules(
            "nets = \"{ 192.168.122.0/23, 192.168.124.0/23 }\"\nnat-anchor \"jailferry/*\"\nnat on em0 inet from $nets to any -> 203.0.113.1\n\
             nat on em0 from 192.168.123.0/24 to ! <private> -> 10.0.2.15\nrdr on em0 proto tcp to port 8089 -> 192.168.123.50 port 80\nanchor \"jailferry/*\"\npass all\nblock in quick on em0 proto udp from any to 10.0.0.1 port 53\n"
        ),
        [
            "nat-anchor \"jailferry/*\" all",
            "nat on em0 inet from 192.168.122.0/23 to any -> 203.0.113.1",
            "nat on em0 inet from 192.168.124.0/23 to any -> 203.0.113.1",
            "nat on em0 inet from 192.168.123.0/24 to ! <private> -> 10.0.2.15",
            "rdr on em0 inet proto tcp from any to any port = 8089 -> 192.168.123.50 port 80",
            "anchor \"jailferry/*\" all",
            "pass all flags S/SA keep state",
            "block drop in quick on em0 inet proto udp from any to 10.0.0.1 port = domain",
        ]
        .map(|line| line.replace("domain", &named("53/udp")))
    );
}

/// Debian and FreeBSD both name port 53; a machine without /etc/services prints the number.
fn named(port: &str) -> String {
    let text = std::fs::read_to_string("/etc/services").unwrap_or_default();
    text.lines()
        .find(|l| l.split_whitespace().nth(1) == Some(port))
        .and_then(|l| l.split_whitespace().next())
        .unwrap_or("53")
        .to_string()
}

#[test]
fn errors_with_their_line() {
    let wrong = |text: &str| parse(text).expect_err("must fail");
    assert_eq!(wrong("nat on vtnet0 frm any\n"), Wrong { line: 1, text: "syntax error".into() });
    assert!(wrong("pass all\nnat on em0 from any to any -> 10.0.0.1\n").text.starts_with("Rules must be in order"));
}

#[test]
fn another_file_stands_where_it_is_included() {
    let folder = std::env::temp_dir().join(format!("lab-pf-include-{}", std::process::id()));
    std::fs::write(&folder, "load anchor \"jailferry/web\" from \"/etc/web.pf\"\n").expect("written");
    let text = format!("nat on em0 from 10.0.0.1 to any -> 10.0.0.2\ninclude \"{}\"\npass all\n", folder.display());
    let file = parse(&text).expect("parses");
    std::fs::remove_file(&folder).expect("removed");
    assert_eq!((file.rules.len(), file.loads), (2, vec![("jailferry/web".into(), "/etc/web.pf".into())]));
    assert!(parse(&text).expect_err("it is gone").text.starts_with("failed to include file "));
}

#[test]
fn tables_with_and_without_contents() {
    let file = parse("table <a> persist\ntable <b> { 10.0.0.0/8, !10.1.0.0/16 }\nset skip on lo0\n").expect("parses");
    assert_eq!(file.tables[0].entries, None);
    assert_eq!(file.tables[1].entries.as_deref(), Some(&["10.0.0.0/8".to_string(), "!10.1.0.0/16".into()][..]));
    assert_eq!(file.skip, ["lo0"]);
}
