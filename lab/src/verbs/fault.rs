//! `lab fault`.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;

use crate::faults::Action;
use crate::faults::Fault;
use crate::faults::Faults;
use crate::faults::When;
use crate::world::nodes;
use crate::world::place::Place;

const USAGE: &str = "usage: lab fault NODE add --match PART|--match-file FILE [--script] [--at-end] [--nth N] [--when before|after] --do fail:STATUS[:STDERR]|hang|kill:PATTERN|reboot|drop-ssh|cut|twice
       lab fault NODE list | clear [ID]";

/// `lab fault NODE add|list|clear`.
pub fn run(place: &Place, args: &[String]) -> Result<i32> {
    let [name, verb, rest @ ..] = args else { bail!(USAGE) };
    let node = nodes::find(name)?;
    let mut faults = Faults::open(&place.on_disk(node.name, "/.lab/faults")?)?;
    let mut list = faults.list()?;
    match (verb.as_str(), rest) {
        ("list", []) => {
            for fault in &list {
                println!("{}", serde_json::to_string(fault)?);
            }
        }
        ("clear", []) => faults.write(&[])?,
        ("clear", [id]) => {
            let id: u64 = id.parse()?;
            list.retain(|fault| fault.id != id);
            faults.write(&list)?;
        }
        ("add", options) => {
            let id = list.iter().map(|fault| fault.id).max().unwrap_or(0) + 1;
            list.push(parse(id, options)?);
            faults.write(&list)?;
            println!("{id}");
        }
        _ => bail!(USAGE),
    }
    Ok(0)
}

fn parse(id: u64, options: &[String]) -> Result<Fault> {
    let (mut part, mut script, mut at_end, mut nth, mut when, mut action) =
        (None, false, false, None, When::Before, None);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{option} needs a value"));
        match option.as_str() {
            "--match" => part = Some(value()?.clone()),
            // A whole script is long for a command line.
            "--match-file" => {
                let file = value()?;
                part = Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?);
            }
            "--script" => script = true,
            "--at-end" => at_end = true,
            "--nth" => nth = Some(value()?.parse().context("--nth needs a number")?),
            "--when" => {
                when = match value()?.as_str() {
                    "before" => When::Before,
                    "after" => When::After,
                    other => bail!("--when {other}: before or after"),
                }
            }
            "--do" => action = Some(parse_action(value()?)?),
            _ => bail!(USAGE),
        }
    }
    Ok(Fault {
        id,
        part: part.context("--match is missing")?,
        script,
        at_end,
        nth,
        when,
        action: action.context("--do is missing")?,
        seen: 0,
        fired: 0,
        struck: None,
    })
}

fn parse_action(text: &str) -> Result<Action> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    Ok(match name {
        "fail" => {
            let (status, stderr) = value.split_once(':').unwrap_or((value, ""));
            Action::Fail { status: status.parse().context("fail needs a status")?, stderr: stderr.into() }
        }
        "hang" => Action::Hang,
        "kill" if !value.is_empty() => Action::Kill { pattern: value.into() },
        "reboot" => Action::Reboot,
        "drop-ssh" => Action::DropSsh,
        "cut" => Action::Cut,
        "twice" => Action::Twice,
        _ => bail!("--do {text}: fail:STATUS[:STDERR], hang, kill:PATTERN, reboot, drop-ssh, cut or twice"),
    })
}
