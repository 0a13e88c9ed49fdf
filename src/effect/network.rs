//! Which effects change what the network is right now.

use crate::effect::Effect;

impl Effect {
    /// Does it change routes, addresses, AllowedIPs or rules as they are at this moment? Files that make such things last
    /// do not, nor does what is undone with the canary.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(
            self,
            Effect::AddRoute(_)
                | Effect::DeleteRoute(_)
                | Effect::DeleteSubnetRoute(_)
                | Effect::AddAlias { .. }
                | Effect::RemoveAlias { .. }
                | Effect::HandOver(_)
                | Effect::LoadAnchor { .. }
                | Effect::ChangeTable { .. }
                | Effect::ProxyArp { .. }
                | Effect::JailRoute { .. }
        )
    }
}
