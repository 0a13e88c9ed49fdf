//! `jailferry run`: the moves of a playbook, one after the other.

use std::path::Path;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::input;
use crate::cli::migrate;
use crate::cli::migrate::Consent;
use crate::cli::output;
use crate::cli::prepare;

/// A move that does not succeed ends the playbook, so that nothing is moved on a wrong assumption.
pub(super) async fn run(global: &Global, path: &Path, dry_run: bool, yes: bool) -> Exit {
    let Ok((playbook, fleet)) = input::playbook(global, path) else { return Exit::BadInput };
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Done;
    for (index, one) in playbook.moves.iter().enumerate() {
        let options = one.options.over(&playbook.options);
        exit = migrate::one(global, &fleet, &hosts, &one.jail, &one.to, &options, Consent { dry_run, yes }).await;
        if exit != Exit::Done {
            let left = playbook.moves.len() - index - 1;
            if left > 0 {
                output::complain(&format!(
                    "stopped at move {} ({} to {}); {left} not tried",
                    index + 1,
                    one.jail,
                    one.to
                ));
            }
            break;
        }
    }
    drop(hosts);
    exit
}
