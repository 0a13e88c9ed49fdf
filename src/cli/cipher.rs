//! Before a large copy goes through this machine: AES, where all three processors have instructions for it.

use crate::effect::Effect;
use crate::effect::Transfer;
use crate::effect::Way;
use crate::effect::cipher;
use crate::effect::cipher::AES_CIPHER;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::remote::Hosts;
use crate::remote::has_aes;
use crate::ui::event::Event;

/// Bytes from which on it is worth a new connection to each host.
const LARGE: u64 = 64 << 20;

/// Connects to source and target anew where that makes the copy cheaper. Whatever stands in the way is no reason to say
/// or to stop anything: the connections are as good as before.
pub(super) async fn choose(plan: &Plan, hosts: &Hosts, events: &(dyn Fn(Event) + Send + Sync)) {
    let relayed = |effect: &Effect| matches!(effect, Effect::Transfer(Transfer { way: Way::Relay, .. }));
    if plan.bytes < LARGE || !has_aes() || !plan.steps.iter().any(|step| relayed(&step.effect)) {
        return;
    }
    let (source, target) = tokio::join!(by_aes(hosts, &plan.source), by_aes(hosts, &plan.target));
    let by_aes: Vec<String> = [(&plan.source, source), (&plan.target, target)]
        .into_iter()
        .filter(|(_, by_aes)| *by_aes)
        .map(|(node, _)| node.to_string())
        .collect();
    if !by_aes.is_empty() {
        events(Event::Note {
            text: format!(
                "connections to {} use {AES_CIPHER}: the processors at both ends have instructions for it",
                by_aes.join(" and ")
            ),
        });
    }
}

async fn by_aes(hosts: &Hosts, node: &NodeName) -> bool {
    let has = hosts.run(&cipher::ask_aes(node)).await.is_ok_and(|said| cipher::has_aes(&said.text()));
    has && hosts.prefer_aes(node).await.unwrap_or(false)
}
