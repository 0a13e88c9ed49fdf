//! Which undo effects must succeed before the jail may start at the source again. Pure.

use std::time::Duration;

use crate::effect::Effect;

/// How long an undo effect that guards the source waits for a host that cannot be reached.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Between two tries.
pub const PAUSE: Duration = Duration::from_secs(3);

/// Must this have succeeded before the jail starts at the source? Yes for whatever could leave a second copy running,
/// lose what was written at the target, or start the jail without its data or configuration. Routes, AllowedIPs and
/// things to tidy up can wait: without them the jail is harder to reach, but there is one of it and nothing is lost.
#[must_use]
pub fn guards_the_source(effect: &Effect) -> bool {
    match effect {
        Effect::StopJail(_)
        | Effect::BringBack(_)
        | Effect::Park { .. }
        | Effect::Unpark { .. }
        | Effect::MoveFile { .. }
        | Effect::StartJail(_) => true,
        Effect::Snapshot { .. }
        | Effect::DestroySnapshot { .. }
        | Effect::Hold { .. }
        | Effect::HoldSnapshots { .. }
        | Effect::ReleaseSnapshots { .. }
        | Effect::MoveBookmark { .. }
        | Effect::RemoveBookmark { .. }
        | Effect::Transfer(_)
        | Effect::RenameDataset { .. }
        | Effect::DiscardReceived { .. }
        | Effect::DestroyParked { .. }
        | Effect::ForgetBackups { .. }
        | Effect::RollBackReceived { .. }
        | Effect::SetProperties { .. }
        | Effect::CompareGuids { .. }
        | Effect::ListContents(_)
        | Effect::CompareContents { .. }
        | Effect::ForgetListing(_)
        | Effect::Tidy { .. }
        | Effect::TryKeys { .. }
        | Effect::LoadKeys { .. }
        | Effect::UnloadKeys { .. }
        | Effect::ClearMark { .. }
        | Effect::Declare { .. }
        | Effect::Amend { .. }
        | Effect::Withdraw { .. }
        | Effect::KeepWayBack { .. }
        | Effect::WriteFile { .. }
        | Effect::RemoveFile { .. }
        | Effect::ForgetFile { .. }
        | Effect::CheckJailConfiguration { .. }
        | Effect::Edit { .. }
        | Effect::AddRoute(_)
        | Effect::DeleteRoute(_)
        | Effect::DeleteSubnetRoute(_)
        | Effect::AddAlias { .. }
        | Effect::ProxyArp { .. }
        | Effect::JailRoute { .. }
        | Effect::RemoveAlias { .. }
        | Effect::HandOver(_)
        | Effect::KillStates { .. }
        | Effect::CheckAnchor { .. }
        | Effect::LoadAnchor { .. }
        | Effect::KeepAnchor { .. }
        | Effect::ChangeTable { .. }
        | Effect::ForgetNeighbours { .. }
        | Effect::Announce { .. }
        | Effect::MakeCanary(_)
        | Effect::CloneForRehearsal(_)
        | Effect::DiscardClones(_)
        | Effect::StartUnderstudy(_)
        | Effect::StopUnderstudy(_)
        | Effect::RemoveCanary(_)
        | Effect::Lock { .. }
        | Effect::TakeNetwork { .. }
        | Effect::LeaveNetwork { .. }
        | Effect::StorePlan { .. }
        | Effect::Mark { .. }
        | Effect::Arm(_)
        | Effect::Release { .. }
        | Effect::Disarm { .. }
        | Effect::Confirm { .. }
        | Effect::Unlock { .. }
        | Effect::Watch { .. }
        | Effect::Unwatch { .. }
        | Effect::AdmitKey { .. }
        | Effect::TryKey { .. }
        | Effect::RemoveKey { .. }
        | Effect::Probe { .. } => false,
    }
}
