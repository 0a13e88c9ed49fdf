//! Chapters of the jail's configuration at the target: written, inert, understood by its jail(8), and put into force.

use crate::configuration::jail_conf::Edit;
use crate::configuration::jail_conf::edit_script;
use crate::effect::Effect;
use crate::effect::commands::sha256;
use crate::effect::meaning::Meaning;
use crate::model::RemotePath;
use crate::plan::Phase;
use crate::plan::Step;
use crate::plan::cast::Cast;
use crate::plan::nat;
use crate::plan::staging::InPlace;

/// The jail's configuration at the target: written, inert, and understood by its jail(8).
pub(super) fn make_ready(cast: &Cast<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for file in &cast.staged.files {
        steps.push(
            Step::new(
                Phase::Stage,
                format!("write {}", file.path),
                Effect::WriteFile {
                    host: cast.target(),
                    path: file.path.clone(),
                    text: file.text.clone(),
                    mode: file.mode.clone(),
                    replaces: None,
                },
            )
            .undo(Effect::RemoveFile {
                host: cast.target(),
                path: file.path.clone(),
                sha256: crate::effect::commands::sha256(&file.text),
            })
            .changes(file.changes.clone()),
        );
    }
    match &cast.staged.in_place {
        Some(arriving) => steps.extend(understood_beforehand(cast, arriving)),
        None => steps.push(understood(cast, &cast.situation.target_file)),
    }
    steps.extend(nat::steps::tried(cast));
    steps
}

fn understood(cast: &Cast<'_>, file: &RemotePath) -> Step {
    Step::new(
        Phase::Stage,
        format!("jail(8) on {} understands {file}", cast.target()),
        Effect::CheckJailConfiguration {
            host: cast.target(),
            jail: cast.situation.jail.clone(),
            file: file.clone(),
            expected: cast.staged.expected.clone(),
        },
    )
}

/// A configuration that arrives with the datasets is read under another name first, which goes again.
fn understood_beforehand(cast: &Cast<'_>, arriving: &InPlace) -> Vec<Step> {
    let Some(path) = arriving.trial(cast.situation) else { return Vec::new() };
    let (host, text) = (cast.target(), arriving.after.clone());
    let gone = Effect::RemoveFile { host: host.clone(), path: path.clone(), sha256: sha256(&ended(&text)) };
    let write = Effect::WriteFile { host, path: path.clone(), text, mode: arriving.mode.clone(), replaces: None };
    vec![
        Step::new(Phase::Stage, format!("write {path}, as {} will be", arriving.path), write).undo(gone.clone()),
        understood(cast, &path),
        Step::new(Phase::Stage, format!("remove {path} again"), gone),
    ]
}

/// As a file is written: with a newline at its end.
fn ended(text: &str) -> String {
    if text.ends_with('\n') || text.is_empty() { text.to_owned() } else { format!("{text}\n") }
}

/// The configuration that arrived becomes that of this host.
pub(super) fn rewrite_in_place(cast: &Cast<'_>) -> Option<Step> {
    let arrived = cast.staged.in_place.as_ref().filter(|a| a.before != a.after)?;
    let (host, path) = (cast.target(), &arrived.path);
    let (before, after) = (sha256(&arrived.before), sha256(&arrived.after));
    let (to, back) = arrived.edits();
    let edit = |what: String, before: &String, after: &String, edit: Edit, script: String| Effect::Edit {
        host: host.clone(),
        what,
        script,
        meaning: Meaning::JailFile {
            path: path.clone(),
            before: before.clone(),
            after: after.clone(),
            edits: vec![edit],
        },
    };
    let what = format!("{path} becomes that of {host}");
    let there = edit_script(path, &before, &after, std::slice::from_ref(&to));
    // Where the datasets are not mounted there is nothing to take back.
    let again = format!("[ -e {path} ] || exit 0\n{}", edit_script(path, &after, &before, std::slice::from_ref(&back)));
    let undo = edit(format!("{path} becomes that of {} again", cast.source()), &after, &before, back, again);
    let step = Step::new(Phase::CutOver, what.clone(), edit(what, &before, &after, to, there)).undo(undo);
    Some(step.changes(arrived.changes.clone()))
}
