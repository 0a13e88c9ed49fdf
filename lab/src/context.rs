//! What a FreeBSD command of the lab knows about the host it runs on.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// A host's identity: `/.lab/host.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The host's name, also its `kern.hostname`.
    pub name: String,
    /// `kern.hostuuid`.
    pub hostuuid: String,
    /// What `uname -r` and `freebsd-version` print, such as `13.2-RELEASE`.
    pub osrelease: String,
    /// `kern.osreldate`, such as 1302001.
    pub osreldate: u32,
    /// root's login shell: `/bin/sh` or `/bin/csh`.
    pub shell: String,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            name: "lab".into(),
            hostuuid: "00000000-0000-4000-8000-000000000000".into(),
            osrelease: "13.2-RELEASE".into(),
            osreldate: 1_302_001,
            shell: "/bin/sh".into(),
        }
    }
}

/// What every command is handed.
#[derive(Clone, Debug)]
pub struct Context {
    /// The host's identity.
    pub host: Host,
    /// The jail this command runs in, if any. The jail command binds a file with the jail's name over `/.lab/jail` in the jail's mount namespace.
    pub jail: Option<String>,
    /// The lab's own files on this host's disk: `/.lab`, or `$LAB_STATE` where a test sets it. Survives a reboot.
    pub state: PathBuf,
    /// The host's runtime state: `/run`, or `$LAB_STATE/run`. Empty after every boot.
    pub run: PathBuf,
}

impl Context {
    /// Reads the context from the host's files; outside of a host (tests) everything has a default.
    pub fn load() -> Context {
        let test = std::env::var_os("LAB_STATE").map(PathBuf::from);
        let state = test.clone().unwrap_or_else(|| PathBuf::from("/.lab"));
        let run = test.map(|dir| dir.join("run")).unwrap_or_else(|| PathBuf::from("/run"));
        let host = fs::read(state.join("host.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let jail = fs::read_to_string(state.join("jail"))
            .ok()
            .map(|name| name.trim().to_string())
            .filter(|name| !name.is_empty());
        Context { host, jail, state, run }
    }
}
