//! The signs of life that armed hosts and the hub hear while a run is alive, beside whatever the run does.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;

use crate::effect::command::Command;
use crate::effect::command::SUPERSEDED;
use crate::model::NodeName;
use crate::plan::Plan;
use crate::plan::leases;
use crate::remote::Hosts;
use crate::remote::Kind;
use crate::remote::RemoteError;

/// Who is to hear us, and whether somebody said that the run is not ours any more.
#[derive(Debug)]
pub struct Beats {
    commands: BTreeMap<NodeName, Command>,
    every: Duration,
    listening: Mutex<BTreeSet<NodeName>>,
    superseded: Mutex<Option<String>>,
}

impl Beats {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Beats {
        Beats {
            commands: leases::beats(&plan.steps),
            every: Duration::from_secs(u64::from(plan.beat_seconds())),
            listening: Mutex::new(BTreeSet::new()),
            superseded: Mutex::new(None),
        }
    }

    /// From now on that host listens.
    pub fn begin(&self, host: &NodeName) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone());
    }

    /// That host listens no more.
    pub fn end(&self, host: &NodeName) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).remove(host);
    }

    /// A host said that another machine has taken the run over: nothing may be done any more.
    #[must_use]
    pub fn superseded(&self) -> Option<String> {
        self.superseded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note when that is what the host said.
    pub fn heed(&self, error: &RemoteError) {
        if matches!(error.kind, Kind::Exit(SUPERSEDED)) {
            *self.superseded.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(format!("{}: {}", error.host, error.stderr));
        }
    }

    /// Never ends. Hosts do not wait for each other: one that hangs is the only one that does not hear us.
    pub async fn go_on(&self, hosts: &Hosts) {
        join_all(self.commands.iter().map(|(host, command)| self.one(hosts, host, command))).await;
    }

    async fn one(&self, hosts: &Hosts, host: &NodeName, command: &Command) {
        loop {
            tokio::time::sleep(self.every).await;
            if !self.listening.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
                continue;
            }
            let Err(error) = hosts.run(command).await else { continue };
            self.heed(&error);
            if matches!(error.kind, Kind::ConnectionLost) {
                // Whether it is back is seen by the next beat.
                let _ = hosts.reconnect(host).await;
            }
        }
    }
}
