//! pf.conf(5), its classic part: options, tables, scrub, nat, rdr, anchors, pass and block (contract 4). Lists are multiplied out as pfctl does.

mod ends;

pub use ends::interface_nets;
use ends::named_port;

use super::model::Action;
use super::model::End;
use super::model::Peer;
use super::model::Rule;
use super::words;
use super::words::Placed;
use super::words::Word;
use super::words::Wrong;
use crate::freebsd::network::prefix::Prefix;

/// A `table` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLine {
    /// Its name.
    pub name: String,
    /// `persist`.
    pub persist: bool,
    /// What it starts with; none: what it has stays (contract 4.2).
    pub entries: Option<Vec<String>>,
}

/// A file, understood.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The rules, lists multiplied out.
    pub rules: Vec<Rule>,
    /// The tables.
    pub tables: Vec<TableLine>,
    /// `set skip on`.
    pub skip: Vec<String>,
    /// Anchor and file of `load anchor "A" from "F"`.
    pub loads: Vec<(String, String)>,
}

struct Parser {
    words: Vec<Placed>,
    at: usize,
    file: File,
    /// How far the order options < normalization < translation < filtering has come.
    stage: u8,
}

/// Reads a file's text; the error is for `FILE:LINE: TEXT`.
pub fn parse(text: &str) -> Result<File, Wrong> {
    let mut parser = Parser { words: words::split(text)?, at: 0, file: File::default(), stage: 0 };
    while parser.at < parser.words.len() {
        if parser.peek() == &Word::End {
            parser.at += 1;
        } else {
            parser.line()?;
        }
    }
    Ok(parser.file)
}

impl Parser {
    fn peek(&self) -> &Word {
        self.words.get(self.at).map_or(&Word::End, |(_, word)| word)
    }

    fn wrong(&self, text: &str) -> Wrong {
        let last = self.words.len().saturating_sub(1);
        Wrong { line: self.words.get(self.at.min(last)).map_or(1, |(line, _)| *line), text: text.into() }
    }

    fn syntax<T>(&self) -> Result<T, Wrong> {
        Err(self.wrong("syntax error"))
    }

    fn bare(&mut self) -> Result<String, Wrong> {
        match self.peek().clone() {
            Word::Bare(text) | Word::Quoted(text) => {
                self.at += 1;
                Ok(text)
            }
            _ => self.syntax(),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let found = match self.peek() {
            Word::Bare(text) => text == word,
            Word::Sign(sign) => *sign == word,
            _ => false,
        };
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), Wrong> {
        if self.take(word) { Ok(()) } else { self.syntax() }
    }

    fn stage(&mut self, stage: u8) -> Result<(), Wrong> {
        if stage < self.stage {
            return Err(self.wrong("Rules must be in order: options, normalization, queueing, translation, filtering"));
        }
        self.stage = stage;
        Ok(())
    }

    /// One item, or `{ a, b }`.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Parser) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
        if !self.take("{") {
            return Ok(vec![item(self)?]);
        }
        let mut items = Vec::new();
        while !self.take("}") {
            items.push(item(self)?);
            self.take(",");
        }
        if items.is_empty() { self.syntax() } else { Ok(items) }
    }

    fn line(&mut self) -> Result<(), Wrong> {
        let first = self.bare()?;
        match first.as_str() {
            "set" => self.option(),
            "include" => self.include(),
            "load" => {
                self.expect("anchor")?;
                let anchor = self.bare()?;
                self.expect("from")?;
                let file = self.bare()?;
                self.file.loads.push((anchor, file));
                self.end()
            }
            "table" => self.table(),
            "scrub" => {
                self.stage(1)?;
                self.rule(Action::Scrub)
            }
            "nat" | "rdr" => {
                self.stage(3)?;
                self.rule(if first == "nat" { Action::Nat(true) } else { Action::Rdr(true) })
            }
            "no" => {
                self.stage(3)?;
                match self.bare()?.as_str() {
                    "nat" => self.rule(Action::Nat(false)),
                    "rdr" => self.rule(Action::Rdr(false)),
                    _ => self.syntax(),
                }
            }
            "nat-anchor" | "rdr-anchor" | "binat-anchor" => {
                self.stage(3)?;
                let name = self.bare()?;
                self.rule(Action::Anchor(first, name))
            }
            "anchor" => {
                self.stage(4)?;
                let name = self.bare()?;
                self.rule(Action::Anchor(first, name))
            }
            "pass" | "block" => {
                self.stage(4)?;
                if first == "pass" {
                    return self.rule(Action::Pass);
                }
                let how = ["return", "drop", "return-rst", "return-icmp"].into_iter().find(|how| self.take(how));
                self.rule(Action::Block(how.unwrap_or("drop").into()))
            }
            _ => {
                self.at -= 1;
                self.syntax()
            }
        }
    }

    fn end(&mut self) -> Result<(), Wrong> {
        if *self.peek() == Word::End { Ok(()) } else { self.syntax() }
    }

    /// The file's lines come in the place of this one; macros of the two do not know each other here.
    fn include(&mut self) -> Result<(), Wrong> {
        let path = self.bare()?;
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Err(self.wrong(&format!("failed to include file {path}")));
        };
        self.end()?;
        self.words.splice(self.at..self.at, [(0, Word::End)].into_iter().chain(words::split(&text)?));
        Ok(())
    }

    fn option(&mut self) -> Result<(), Wrong> {
        self.stage(0)?;
        match self.bare()?.as_str() {
            "skip" => {
                self.expect("on")?;
                let names = self.list(|p| p.bare())?;
                self.file.skip.extend(names);
                self.end()
            }
            // What they set has no counterpart in the lab, and none that the product could see.
            "block-policy"
            | "state-policy"
            | "optimization"
            | "debug"
            | "loginterface"
            | "limit"
            | "timeout"
            | "ruleset-optimization"
            | "hostid"
            | "require-order"
            | "fingerprints"
            | "state-defaults"
            | "keepcounters" => {
                while *self.peek() != Word::End {
                    self.at += 1;
                }
                Ok(())
            }
            _ => self.syntax(),
        }
    }

    fn table(&mut self) -> Result<(), Wrong> {
        self.expect("<")?;
        let name = self.bare()?;
        self.expect(">")?;
        let mut table = TableLine { name, persist: false, entries: None };
        loop {
            if self.take("persist") {
                table.persist = true;
            } else if self.take("const") || self.take("counters") {
            } else if self.take("file") {
                let path = self.bare()?;
                let text = std::fs::read_to_string(&path).map_err(|e| {
                    self.wrong(&format!("cannot open {path}: {}", crate::freebsd::network::errno_text(&e)))
                })?;
                table.entries.get_or_insert_default().extend(super::tables::file_entries(&text));
            } else if *self.peek() == Word::Sign("{") {
                let mut entries = Vec::new();
                self.at += 1;
                while !self.take("}") {
                    let not = if self.take("!") { "!" } else { "" };
                    let text = self.bare()?;
                    if Prefix::parse(&text, text.contains(':')).is_none() {
                        return self.syntax();
                    }
                    entries.push(format!("{not}{text}"));
                    self.take(",");
                }
                table.entries.get_or_insert_default().extend(entries);
            } else {
                break;
            }
        }
        self.file.tables.push(table);
        self.end()
    }

    fn rule(&mut self, action: Action) -> Result<(), Wrong> {
        let mut rule = Rule {
            action,
            direction: None,
            log: false,
            quick: false,
            interface: None,
            v6: None,
            proto: None,
            from: End::any(),
            to: End::any(),
            target: None,
            target_port: None,
            state: true,
            flags: None,
            pass: false,
            label: None,
        };
        let translates = matches!(rule.action, Action::Nat(true) | Action::Rdr(true));
        let (mut interfaces, mut protos) = (vec![None], vec![None]);
        let (mut from, mut to, mut targets) = (vec![End::any()], vec![End::any()], vec![None]);
        while *self.peek() != Word::End {
            if translates && self.take("pass") {
                rule.pass = true;
            } else if self.take("in") {
                rule.direction = Some("in".into());
            } else if self.take("out") {
                rule.direction = Some("out".into());
            } else if self.take("log") {
                rule.log = true;
                if self.take("(") {
                    while !self.take(")") {
                        self.bare()?;
                        self.take(",");
                    }
                }
            } else if self.take("quick") {
                rule.quick = true;
            } else if self.take("on") {
                interfaces = self.list(|p| Ok(Some((p.take("!"), p.bare()?))))?;
            } else if self.take("inet") {
                rule.v6 = Some(false);
            } else if self.take("inet6") {
                rule.v6 = Some(true);
            } else if self.take("proto") {
                protos = self.list(|p| p.bare().map(Some))?;
            } else if self.take("all") {
            } else if self.take("from") {
                from = self.ends()?;
            } else if self.take("to") {
                to = self.ends()?;
            } else if self.take("port") {
                self.at -= 1;
                return self.syntax();
            } else if self.take("flags") {
                rule.flags = Some(self.bare()?);
            } else if self.take("keep") || self.take("modulate") || self.take("synproxy") {
                self.expect("state")?;
            } else if matches!(rule.action, Action::Pass | Action::Block(_)) && self.take("no") {
                self.expect("state")?;
                rule.state = false;
            } else if self.take("label") || self.take("tag") || self.take("tagged") {
                rule.label = Some(self.bare()?);
            } else if self.take("icmp-type") || self.take("icmp6-type") {
                self.list(|p| p.bare())?;
            } else if matches!(rule.action, Action::Scrub) {
                // fragment reassemble, no-df, max-mss N …: Linux reassembles before NAT anyway.
                self.at += 1;
            } else if translates && self.take("->") {
                targets = self.list(|p| p.peers())?.into_iter().flatten().map(|(_, peer)| Some(peer)).collect();
                if self.take("port") {
                    let text = self.bare()?;
                    let port = text.parse().ok().or_else(|| named_port(&text));
                    rule.target_port = Some(port.ok_or_else(|| self.wrong(&format!("unknown port {text}")))?);
                }
                for option in ["static-port", "round-robin", "random", "sticky-address", "source-hash", "bitmask"] {
                    self.take(option);
                }
            } else {
                return self.syntax();
            }
        }
        if translates && targets == [None] {
            return self.syntax();
        }
        for interface in &interfaces {
            for proto in &protos {
                for from in &from {
                    for to in &to {
                        for target in &targets {
                            let rule = Rule {
                                interface: interface.clone(),
                                proto: proto.clone(),
                                from: from.clone(),
                                to: to.clone(),
                                target: target.clone(),
                                ..rule.clone()
                            };
                            self.file.rules.extend(one_family(rule));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The rule with its family, or nothing when its addresses are of different ones.
fn one_family(mut rule: Rule) -> Option<Rule> {
    let target = rule.target.clone();
    for peer in [Some(&rule.from.peer), Some(&rule.to.peer), target.as_ref()].into_iter().flatten() {
        if let Peer::Net(net) = peer {
            let v6 = net.contains(':');
            if rule.v6.is_some_and(|known| known != v6) {
                return None;
            }
            rule.v6 = Some(v6);
        }
    }
    Some(rule)
}

#[cfg(test)]
mod tests;
