//! The hosts of a run: connected in parallel, each with one ssh master and a bound on its channels.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openssh::Child;
use openssh::Session;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::effect::command::Become;
use crate::model::NodeName;
use crate::model::SshDestination;
use crate::remote::control;
use crate::remote::failure::Kind;
use crate::remote::failure::RemoteError;
use crate::remote::log::CommandLog;
use crate::remote::log::NoLog;
use crate::remote::log::WherePossible;
use crate::remote::master::ConnectError;
use crate::remote::master::Master;
use crate::remote::master::Reason;
use crate::remote::ready::ReadyShells;
use crate::remote::room::Room;

/// Connections being made at once: each is an ssh process of ours and a handshake of a host.
const HANDSHAKES: usize = 32;

/// How often a handshake that a host closed is tried again: sshd drops some on purpose when many come at once
/// (MaxStartups, sshd_config(5)), and a fleet behind one jump host does come at once.
const CLOSED_RETRIES: u32 = 3;

/// A host to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the fleet.
    pub name: NodeName,
    /// Where ssh finds it.
    pub destination: SshDestination,
    /// How commands become root there.
    pub become_root: Become,
}

/// One connected host.
pub(crate) struct Host {
    pub(crate) target: Target,
    pub(crate) room: Arc<Room>,
    master: RwLock<Arc<Master>>,
    pub(super) ready: ReadyShells,
    /// The ciphers of its next connections, where ssh_config(5) does not say.
    pub(super) ciphers: RwLock<Option<String>>,
}

impl Host {
    /// The connection of this moment; stays valid for its user when [`Hosts::reconnect`] replaces it.
    pub(crate) fn master(&self) -> Arc<Master> {
        self.master.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All connected hosts, with a log of what runs there.
pub struct Hosts {
    shared: Arc<Shared>,
    log: RwLock<Arc<dyn CommandLog>>,
}

/// The connections.
struct Shared {
    hosts: BTreeMap<NodeName, Host>,
    config: Option<PathBuf>,
    sockets: AtomicU32,
    /// Dropped last, after the masters.
    directory: TempDir,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosts").field("names", &self.shared.hosts.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// Every host that could not be reached, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConnectErrors(pub Vec<ConnectError>);

impl Hosts {
    /// Connects to all of `targets` in parallel; `ssh_config` replaces `~/.ssh/config` when given.
    ///
    /// # Errors
    /// Every host that cannot be reached, with what ssh said and what to do.
    pub async fn connect(targets: &[Target], ssh_config: Option<&Path>) -> Result<Hosts, ConnectErrors> {
        let (hosts, errors) = Hosts::connect_reachable(targets, ssh_config).await?;
        if errors.is_empty() { Ok(hosts) } else { Err(ConnectErrors(errors)) }
    }

    /// Connects to those of `targets` that answer, and says which do not: what `recover` needs.
    ///
    /// # Errors
    /// Only when no directory for the control sockets can be had.
    pub async fn connect_reachable(
        targets: &[Target],
        ssh_config: Option<&Path>,
    ) -> Result<(Hosts, Vec<ConnectError>), ConnectErrors> {
        let directory = control::create(&control::candidates()).map_err(|error| {
            let explain = |t: &Target| ConnectError {
                host: t.name.clone(),
                destination: t.destination.clone(),
                reason: Reason::Ssh,
                said: error.to_string(),
                next: "Set XDG_RUNTIME_DIR to a short path, or make /tmp writable".to_owned(),
            };
            ConnectErrors(targets.iter().map(explain).collect())
        })?;
        let mut shared = Shared {
            hosts: BTreeMap::new(),
            config: ssh_config.map(Path::to_owned),
            sockets: AtomicU32::new(0),
            directory,
        };
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let mut attempts = JoinSet::new();
        for target in targets {
            let (target, handshakes) = (target.clone(), handshakes.clone());
            let (config, socket) = (shared.config.clone(), shared.socket());
            attempts.spawn(async move {
                let permit = handshakes.acquire_owned().await;
                let master = connect(&target, config.as_deref(), None, &socket).await;
                drop(permit);
                (target, master)
            });
        }
        let mut errors = Vec::new();
        for (target, master) in attempts.join_all().await {
            match master {
                Ok(master) => {
                    let master = RwLock::new(Arc::new(master));
                    let (room, ready, ciphers) = (Room::new(), ReadyShells::default(), RwLock::default());
                    let host = Host { target, room, master, ready, ciphers };
                    shared.hosts.insert(host.target.name.clone(), host);
                }
                Err(error) => errors.push(error),
            }
        }
        errors.sort_by(|a, b| a.host.cmp(&b.host));
        Ok((Hosts { shared: Arc::new(shared), log: RwLock::new(Arc::new(NoLog)) }, errors))
    }

    /// The same connections with a log of their own: for a run beside others.
    #[must_use]
    pub fn beside(&self) -> Hosts {
        Hosts { shared: self.shared.clone(), log: RwLock::new(Arc::new(NoLog)) }
    }

    /// Replaces the connection to `name` by a fresh one, made the whole way anew: what proves that a changed network
    /// still lets us in. Commands under way keep the old connection until they end.
    ///
    /// # Errors
    /// When the host is not among these hosts, or no fresh connection can be had; the old one stays then.
    pub async fn reconnect(&self, name: &NodeName) -> Result<(), RemoteError> {
        let host = self.host(name)?;
        let ciphers = host.ciphers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let master = connect(&host.target, self.config(), ciphers.as_deref(), &self.shared.socket())
            .await
            .map_err(|e| RemoteError::before(name, Kind::NoFreshConnection(Box::new(e))))?;
        let old =
            std::mem::replace(&mut *host.master.write().unwrap_or_else(PoisonError::into_inner), Arc::new(master));
        // Its end takes a moment, for which nobody else need wait.
        drop(old);
        self.fill(host);
        Ok(())
    }

    /// From now on `count` shells wait on `name` for a command, so that it need not wait for its channel; none again with
    /// 0. They are opened beside whatever else happens.
    pub fn keep_ready(&self, name: &NodeName, count: usize) {
        let Some(host) = self.shared.hosts.get(name) else { return };
        host.ready.want(count);
        self.fill(host);
    }

    /// From now on no more than `count` are opened on `name` in place of those that are used; those that wait go on waiting.
    pub fn replenish(&self, name: &NodeName, count: usize) {
        let Some(host) = self.shared.hosts.get(name) else { return };
        host.ready.replenish(count);
        self.fill(host);
    }

    /// One of those, and another one opens in its place where more are wanted.
    pub(crate) fn ready_shell(&self, host: &Host, master: &Arc<Master>) -> Option<Child<Arc<Session>>> {
        let shell = host.ready.take(master);
        self.fill(host);
        shell
    }

    /// Opens the shells that are missing on a host.
    fn fill(&self, host: &Host) {
        if !host.ready.misses(&host.master()) {
            return;
        }
        let (shared, name) = (self.shared.clone(), host.target.name.clone());
        tokio::spawn(async move {
            if let Some(host) = shared.hosts.get(&name) {
                host.ready.fill(|| host.master()).await;
            }
        });
    }

    /// From now on every command is written to `log`.
    pub fn log_to(&self, log: Arc<dyn CommandLog>) {
        *self.log.write().unwrap_or_else(PoisonError::into_inner) = log;
    }

    /// From now on a command counts as what it did, even where it cannot be written down.
    pub fn log_where_possible(&self) {
        let log = self.log();
        self.log_to(Arc::new(WherePossible(log)));
    }

    /// The names of the connected hosts.
    pub fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.shared.hosts.keys()
    }

    /// How commands become root on `name`; `None` when it is not connected.
    #[must_use]
    pub fn become_root(&self, name: &NodeName) -> Option<Become> {
        self.shared.hosts.get(name).map(|h| h.target.become_root)
    }

    pub(crate) fn host(&self, name: &NodeName) -> Result<&Host, RemoteError> {
        self.shared.hosts.get(name).ok_or_else(|| RemoteError::before(name, Kind::NotConnected))
    }

    /// What replaces `~/.ssh/config`.
    pub(super) fn config(&self) -> Option<&Path> {
        self.shared.config.as_deref()
    }

    pub(crate) fn log(&self) -> Arc<dyn CommandLog> {
        self.log.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// A path for the next control socket.
    fn socket(&self) -> PathBuf {
        self.directory.path().join(format!("{}.s", self.sockets.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Connects, again when the host closed the connection in the middle of the handshake.
async fn connect(
    target: &Target,
    config: Option<&Path>,
    ciphers: Option<&str>,
    socket: &Path,
) -> Result<Master, ConnectError> {
    let mut attempt = 0;
    loop {
        let result = Master::connect(&target.name, &target.destination, config, ciphers, socket.to_owned()).await;
        match result {
            Err(error) if error.reason == Reason::Closed && attempt < CLOSED_RETRIES => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(400 << attempt)).await;
            }
            other => return other,
        }
    }
}
