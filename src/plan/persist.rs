//! THIN
use crate::facts::HostFacts;
use crate::model::{JailName, NodeName, RemotePath};
use crate::plan::Step;
use crate::plan::finding::Findings;
use crate::plan::migrate::Cast;
use crate::plan::situation::Situation;
use crate::playbook::Fleet;
use std::collections::BTreeMap;
pub type WireGuardFiles = BTreeMap<NodeName, RemotePath>;
pub fn wireguard_files(
    _: &Situation,
    _: &Fleet,
    _: &BTreeMap<NodeName, HostFacts>,
    _: &mut Findings,
) -> WireGuardFiles {
    Default::default()
}
pub fn make_it_last(_: &Cast<'_>) -> Vec<Step> {
    vec![]
}
pub fn autostart_off(_: &Cast<'_>) -> Vec<Step> {
    vec![]
}
pub fn aside(file: &RemotePath, jail: &JailName) -> Option<RemotePath> {
    let name = format!("{jail}.conf");
    let folder = file.as_str().strip_suffix(&name)?;
    RemotePath::new(format!("{folder}.{name}.jailferry")).ok()
}
