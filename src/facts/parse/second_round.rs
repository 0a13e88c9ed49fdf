//! The second round: [`JailFacts`] and [`TargetFacts`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::error::FactsError;
use super::files;
use super::frames::Frames;
use super::mount;
use super::zfs;
use crate::facts::JailDataset;
use crate::facts::JailFacts;
use crate::facts::OfTheHost;
use crate::facts::Outside;
use crate::facts::TargetFacts;
use crate::facts::User;
use crate::facts::questions::JailQuestions;
use crate::facts::questions::TargetQuestions;
use crate::model::DatasetName;
use crate::model::Guid;
use crate::model::JailName;
use crate::model::Landmark;
use crate::model::SnapshotName;

/// Reads the source's answer to [`crate::facts::questions::jail_questions`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_jail(name: &JailName, asked: &JailQuestions, answer: &[u8]) -> Result<JailFacts, Vec<FactsError>> {
    jail(name, asked, answer).map_err(|e| vec![e])
}

fn jail(name: &JailName, asked: &JailQuestions, answer: &[u8]) -> Result<JailFacts, FactsError> {
    let frames = Frames::parse(answer)?;
    let absent = |path: &str| FactsError::File { path: path.to_owned(), problem: "there is no such file".to_owned() };
    let configuration = files::text_file(&frames, &asked.configuration_file)?;
    // One that is not there is for the preflight to tell, beside everything else that it finds.
    let fstab = match &asked.fstab {
        Some(path) => files::text_file(&frames, path)?.map(|file| (path.clone(), file)),
        None => None,
    };
    let datasets = datasets(&frames, &asked.dataset)?;
    if datasets.is_empty() {
        return Err(FactsError::Missing { question: format!("zfs list {}", asked.dataset) });
    }
    let inner = frames.all("inner-interfaces").filter(|f| f.status == 0).flat_map(|f| interfaces(&f.text()));
    Ok(JailFacts {
        name: name.clone(),
        configuration_file: asked.configuration_file.clone(),
        configuration: configuration.ok_or_else(|| absent(asked.configuration_file.as_str()))?,
        fstab,
        datasets,
        mounts: mount::mounts_below(&frames.get("mounts")?.success()?.text(), asked.root.as_str()),
        userland: frames.all("userland").next().map(|f| f.word()).filter(|v| is_version(v)),
        inner_rc_interfaces: inner.collect::<BTreeSet<_>>().into_iter().collect(),
        resolvers: frames
            .all("resolvers")
            .filter(|f| f.status == 0)
            .flat_map(|f| lines(&f.text()))
            .filter_map(|address| address.parse().ok())
            .collect(),
        address_by: frames.all("inner-leases").filter(|f| f.status == 0).flat_map(|f| lines(&f.text())).collect(),
        beside: frames.all("beside").filter(|f| f.status == 0).flat_map(|f| lines(&f.text())).collect(),
        outside: asked.landmarks.iter().map(|l| (l.clone(), outside(&frames, l))).collect(),
        users: users(&frames)?,
        allowed: frames
            .all("allowed")
            .filter(|f| f.status == 0)
            .flat_map(|f| zfs::allowed(&asked.dataset, &f.text()))
            .collect(),
        origins: frames
            .all("origin")
            .filter(|f| f.status == 0)
            .filter_map(|f| Some((SnapshotName::new(&f.subject).ok()?, Guid(f.word().parse().ok()?))))
            .collect(),
        of_the_host: of_the_host(&frames, name),
    })
}

fn users(frames: &Frames) -> Result<Vec<User>, FactsError> {
    let said = frames.get("users")?.success()?.text();
    let user = |line: &str| -> Option<User> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "process" => {
                let mut words = rest.split(' ');
                let (pid, program, user) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
                Some(User::Process { pid, program: program.to_owned(), user: user.to_owned() })
            }
            "mount" => Some(User::Mount(rest.split(' ').next()?.to_owned())),
            _ => None,
        }
    };
    let odd = |(number, line): (usize, &str)| FactsError::Line {
        question: "users".to_owned(),
        line: number + 1,
        problem: "neither a process nor a mount".to_owned(),
        text: line.to_owned(),
    };
    said.lines().enumerate().map(|(number, line)| user(line).ok_or_else(|| odd((number, line)))).collect()
}

fn of_the_host(frames: &Frames, jail: &JailName) -> OfTheHost {
    let told = |question: &'static str| frames.all(question).filter(|f| f.status == 0).flat_map(|f| lines(&f.text()));
    // They are printed as lines to type.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":=/._-".contains(&b);
    let of_it = |rule: &String| rule.starts_with(&format!("jail:{jail}:")) && rule.bytes().all(plain);
    OfTheHost {
        devices: told("devices").collect(),
        limits: told("limits").filter(of_it).collect(),
        programs: told("named").collect(),
        names: told("names").collect(),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// What a landmark answered; an answer that is no address counts as one all the same.
fn outside(frames: &Frames, landmark: &Landmark) -> Outside {
    let subject = landmark.to_string();
    match frames.all("outside").find(|f| f.subject == subject) {
        Some(frame) if frame.status == 0 => match frame.word().parse() {
            Ok(address) => Outside::Sees(address),
            Err(_) => Outside::Answers,
        },
        _ => Outside::Silent,
    }
}

/// `13.2-RELEASE-p4`; the text comes from a file that belongs to the jail.
fn is_version(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Interfaces out of names of rc.conf variables without `ifconfig_`: `epair7b_ipv6`, `epair7b_alias0`.
fn interfaces(text: &str) -> Vec<String> {
    text.lines()
        .map(|name| {
            let base = name.strip_suffix("_ipv6").or_else(|| name.strip_suffix("_name")).unwrap_or(name);
            let base = base.rsplit_once("_alias").map_or(base, |(base, _)| base);
            base.to_owned()
        })
        .filter(|name| !name.is_empty() && name != "DEFAULT")
        .collect()
}

/// Reads the target's answer to [`crate::facts::questions::target_questions`].
///
/// # Errors
/// What is wrong with it.
pub fn parse_target(asked: &TargetQuestions, answer: &[u8]) -> Result<TargetFacts, Vec<FactsError>> {
    target(asked, answer).map_err(|e| vec![e])
}

fn target(asked: &TargetQuestions, answer: &[u8]) -> Result<TargetFacts, FactsError> {
    let frames = Frames::parse(answer)?;
    let mut paths = BTreeMap::new();
    for path in asked.paths.iter().chain(&asked.files) {
        paths.insert(path.clone(), files::kind(&frames, path.as_str())?);
    }
    let mut found = BTreeMap::new();
    for path in &asked.files {
        if let Some(file) = files::text_file(&frames, path)? {
            found.insert(path.clone(), file);
        }
    }
    let mut unknown_parameters = BTreeSet::new();
    for parameter in &asked.parameters {
        // The spelling as given and, for `noX`, that of X: one known spelling is enough.
        frames.about("parameter", parameter)?;
        if !frames.all("parameter").any(|f| f.subject == *parameter && f.status == 0) {
            unknown_parameters.insert(parameter.clone());
        }
    }
    let mut undefined_rulesets = BTreeSet::new();
    if let Some(ruleset) = asked.ruleset {
        // devfs(8) exits 0 for a set that nobody defined; only rules prove it (contract 2.7).
        if frames.about("ruleset", &ruleset.to_string())?.success()?.word().is_empty() {
            undefined_rulesets.insert(ruleset);
        }
    }
    Ok(TargetFacts {
        paths,
        files: found,
        unknown_parameters,
        undefined_rulesets,
        datasets: datasets(&frames, &asked.dataset)?,
        twins: asked
            .origins
            .iter()
            .map(|guid| Ok((*guid, twins(&frames, *guid)?)))
            .collect::<Result<_, FactsError>>()?,
        given: asked.dataset.parent().map_or_else(|| Ok(BTreeMap::new()), |parent| given(&frames, &parent))?,
        properties: asked.dataset.parent().map_or_else(BTreeSet::new, |parent| known(&frames, &parent)),
        of_the_host: of_the_host(&frames, &asked.jail),
    })
}

/// What a dataset gives to those below it; nothing where it does not exist, which is said elsewhere.
fn given(frames: &Frames, parent: &DatasetName) -> Result<BTreeMap<String, String>, FactsError> {
    let told = frames.about("given", parent.as_str())?;
    if told.status == 1 && String::from_utf8_lossy(&told.errors).contains("does not exist") {
        return Ok(BTreeMap::new());
    }
    let text = told.success()?.text();
    Ok(text.lines().filter_map(|row| row.split_once('\t')).map(|(name, value)| (name.into(), value.into())).collect())
}

/// The properties that a host's zfs(8) has; none where the dataset asked about does not exist, which is said elsewhere.
fn known(frames: &Frames, parent: &DatasetName) -> BTreeSet<String> {
    let told = frames.all("known").find(|f| f.subject == parent.as_str() && f.status == 0);
    told.map(|f| f.text().lines().map(str::to_owned).collect()).unwrap_or_default()
}

/// The snapshots that have a GUID; names that jailferry cannot handle are left out.
fn twins(frames: &Frames, guid: Guid) -> Result<Vec<SnapshotName>, FactsError> {
    let told = frames.about("twin", &guid.to_string())?.success()?.text();
    Ok(told.lines().filter_map(|name| SnapshotName::new(name).ok()).collect())
}

/// A tree of datasets, parents first; empty when its root does not exist.
fn datasets(frames: &Frames, root: &DatasetName) -> Result<Vec<JailDataset>, FactsError> {
    let list = frames.about("datasets", root.as_str())?;
    if list.status == 1 && String::from_utf8_lossy(&list.errors).contains("does not exist") {
        return Ok(Vec::new());
    }
    let text = |label: &str| Ok(frames.about(label, root.as_str())?.success()?.text());
    let mut snapshots = zfs::snapshots(&text("snapshots")?)?;
    let mut properties = zfs::properties(&text("native")?)?;
    for (dataset, more) in zfs::properties(&text("properties")?)? {
        properties.entry(dataset).or_default().extend(more);
    }
    let mut received: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (dataset, property) in text("received")?.lines().filter_map(|row| row.split_once('\t')) {
        received.entry(dataset.to_owned()).or_default().insert(property.to_owned());
    }
    let mut found = Vec::new();
    for (index, row) in list.success()?.text().lines().enumerate() {
        let name = DatasetName::new(row).map_err(|e| super::error::line(&list.question(), index, row, e))?;
        let snapshots = snapshots.remove(&name).unwrap_or_default();
        let properties = properties.remove(name.as_str()).unwrap_or_default();
        let received = received.remove(name.as_str()).unwrap_or_default();
        found.push(JailDataset { name, snapshots, properties, received });
    }
    Ok(found)
}
