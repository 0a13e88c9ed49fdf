//! `jailferry run`: what a playbook says.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::Exit;
use crate::cli::Global;
use crate::cli::batch;
use crate::cli::batch::Order;
use crate::cli::batch::Orders;
use crate::cli::drain;
use crate::cli::drain::Wish;
use crate::cli::input;
use crate::cli::migrate::Consent;
use crate::cli::prepare;
use crate::cli::rebalance;

pub(super) async fn run(global: &Global, path: &Path, dry_run: bool, yes: bool) -> Exit {
    let Ok((playbook, fleet)) = input::playbook(global, path) else { return Exit::BadInput };
    let consent = Consent { dry_run, yes };
    if let Some(drain) = &playbook.drain {
        let (title, batch, options) = (path.display().to_string(), &playbook.batch, &playbook.options);
        return drain::within(global, &fleet, &Wish { title, drain, batch, options }, consent).await;
    }
    if let Some(wanted) = &playbook.rebalance {
        let (title, batch, options) = (path.display().to_string(), &playbook.batch, &playbook.options);
        let wish = rebalance::Wish { title, wanted, batch, options, down: BTreeSet::new() };
        return rebalance::within(global, &fleet, &wish, consent).await;
    }
    let hosts = match prepare::connect(&fleet).await {
        Ok(hosts) => hosts,
        Err(exit) => return exit,
    };
    let moves = playbook.moves.iter().map(|one| Order {
        jail: one.jail.clone(),
        from: None,
        to: one.to.clone(),
        after: one.after.clone(),
        options: one.options.over(&playbook.options),
    });
    let orders = Orders {
        title: path.display().to_string(),
        moves: moves.collect(),
        batch: &playbook.batch,
        deadline: None,
        note: None,
    };
    let exit = match batch::carry_out(global, &fleet, &hosts, &orders, consent).await {
        Ok(all) => batch::worst(&all),
        Err(exit) => exit,
    };
    drop(hosts);
    exit
}
