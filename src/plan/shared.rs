//! A jail that comes home to a block of its own in the target's /etc/jail.conf, which it never left: the block must say
//! what the jail's file says now, and only our routes in it change.

use std::collections::BTreeMap;

use crate::configuration::jail_conf;
use crate::configuration::jail_conf::Way;
use crate::configuration::jail_conf::tree::Document;
use crate::configuration::jail_conf::tree::SyntaxError;
use crate::configuration::jail_conf::value::Scope;
use crate::facts::TargetFacts;
use crate::model::JailName;
use crate::plan::finding::Findings;
use crate::plan::situation::Situation;
use crate::plan::staging::InPlace;
use crate::plan::ways;

/// Parameters with their values.
type Effective = BTreeMap<String, Vec<Option<String>>>;

/// What the text says for the jail, but for our routes and for FIB 0, which need not be said.
fn effective(text: &str, jail: &JailName) -> Result<Effective, SyntaxError> {
    let without = match jail_conf::ways::change(text, jail, &[]) {
        Ok(edits) => jail_conf::apply(text, edits),
        Err(_) => text.to_owned(),
    };
    let document = Document::parse(&without)?;
    let said = |value: &Option<String>| {
        let command = value.as_deref().unwrap_or_default();
        !(command.trim_start_matches("/sbin/").starts_with("ifconfig ") && command.ends_with(" fib 0"))
    };
    let all = Scope::of(&document, jail).effective().into_iter();
    let named = all.filter(|(name, _)| name != ".include");
    Ok(named.map(|(name, values)| (name, values.into_iter().filter(said).collect())).collect())
}

/// The first parameter in which they differ, with both values.
fn difference(here: &Effective, there: &Effective) -> Option<(String, String, String)> {
    let names = here.keys().chain(there.keys());
    let shown = |values: Option<&Vec<Option<String>>>| match values {
        None => "not set".to_owned(),
        Some(values) => values.iter().map(|v| v.as_deref().unwrap_or("true")).collect::<Vec<_>>().join(", "),
    };
    names
        .into_iter()
        .find(|name| here.get(*name) != there.get(*name))
        .map(|name| (name.clone(), shown(here.get(name)), shown(there.get(name))))
}

/// `text` is the jail's configuration as the target needs it, without routes of ours; `wanted` are these.
pub(super) fn stage(
    situation: &Situation,
    there: &TargetFacts,
    text: &str,
    wanted: &[Way],
    findings: &mut Findings,
) -> Option<InPlace> {
    let (jail, target, path) = (&situation.jail, &situation.target.node, &situation.target_file);
    let mut refuse = |what: String| {
        findings.error(
            "configuration-exists",
            target,
            what,
            format!("make them the same, or take the block of {jail} out of {path}, so that it gets a file of its own"),
        );
        None
    };
    let Some(file) = there.files.get(path) else { return refuse(format!("{path} of {target} could not be read")) };
    let (Ok(now), Ok(block)) = (effective(text, jail), effective(&file.text, jail)) else {
        return refuse(format!("{path} of {target} cannot be read as jail(8) does"));
    };
    if let Some((parameter, now, block)) = difference(&now, &block) {
        return refuse(format!(
            "{path} of {target} has jail {jail} otherwise than it is now: {parameter} is {block} there, and would be {now}"
        ));
    }
    let had = jail_conf::ways::ways(&file.text, jail);
    match jail_conf::ways::change(&file.text, jail, wanted) {
        Ok(edits) => Some(InPlace {
            path: path.clone(),
            before: file.text.clone(),
            after: jail_conf::apply(&file.text, edits),
            mode: file.mode.clone(),
            changes: ways::changes(target, path, jail, &had, wanted),
        }),
        Err(why) => refuse(format!("{path} of {target} cannot be given routes to other jails: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differs(here: &str, there: &str) -> Option<String> {
        let jail = JailName::new("mail").unwrap();
        let read = |text: &str| effective(text, &jail).unwrap();
        difference(&read(here), &read(there)).map(|(name, here, there)| format!("{name}: {here} / {there}"))
    }

    #[test]
    fn a_block_that_says_the_same_in_other_words_is_the_same() {
        let shared = "exec.clean;\ndb { path = /j/db; }\nmail { path = \"/j/$name\"; exec.prestart = \"ifconfig epair4 create\"; }\n";
        let own = "exec.clean;\nmail {\n path = /j/mail;\n exec.prestart = 'ifconfig epair4 create';\n exec.prestart += \"ifconfig epair4a fib 0\";\n\
            exec.poststart += \"/usr/sbin/jexec mail /sbin/route -q -n add -inet6 -host 2001:db8::2 2001:db8::1 || : jailferry web\";\n}\n";
        assert_eq!(differs(own, shared), None);
        let other = own.replace("epair4 create", "epair5 create");
        assert_eq!(differs(&other, shared).unwrap(), "exec.prestart: ifconfig epair5 create / ifconfig epair4 create");
        assert_eq!(differs(&own.replace("exec.clean;", ""), shared).unwrap(), "exec.clean: not set / ");
    }
}
