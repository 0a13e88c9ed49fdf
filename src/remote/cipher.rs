//! Which cipher a connection uses: ssh_config(5) decides which there are, [`crate::effect::cipher`] which comes first.

use std::path::Path;
use std::process::Stdio;
use std::sync::PoisonError;

use tokio::process;

use crate::effect::cipher::AES_CIPHER;
use crate::model::NodeName;
use crate::model::SshDestination;
use crate::remote::Hosts;
use crate::remote::RemoteError;

/// Has the processor of this machine instructions for AES?
#[must_use]
pub fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

impl Hosts {
    /// Connects to `name` anew with AES before the other ciphers that ssh_config(5) allows there. False, and nothing is
    /// done, where AES comes first already or is not allowed.
    ///
    /// # Errors
    /// When no such connection can be had; the old one stays.
    pub async fn prefer_aes(&self, name: &NodeName) -> Result<bool, RemoteError> {
        let host = self.host(name)?;
        let Some(ciphers) = allowed(&host.target.destination, self.config()).await.as_deref().and_then(aes_first)
        else {
            return Ok(false);
        };
        let set = |ciphers: Option<String>| *host.ciphers.write().unwrap_or_else(PoisonError::into_inner) = ciphers;
        set(Some(ciphers));
        let fresh = self.reconnect(name).await;
        if fresh.is_err() {
            set(None);
        }
        fresh.map(|()| true)
    }
}

/// The ciphers that ssh(1) would offer there, by its own word (ssh(1), -G).
async fn allowed(destination: &SshDestination, config: Option<&Path>) -> Option<String> {
    let mut ssh = process::Command::new("ssh");
    ssh.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).arg("-G");
    if let Some(config) = config {
        ssh.arg("-F").arg(config);
    }
    let output =
        ssh.arg("--").arg(destination.as_str()).output().await.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("ciphers ")).map(|list| list.trim().to_owned())
}

/// The same list with AES at its head; `None` where it is there, or not in it.
fn aes_first(list: &str) -> Option<String> {
    let (aes, others): (Vec<&str>, Vec<&str>) = list.split(',').partition(|cipher| *cipher == AES_CIPHER);
    let first = others.first()?;
    let needed = !aes.is_empty() && list.starts_with(first) && !first.contains("-gcm@");
    needed.then(|| format!("{AES_CIPHER},{}", others.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_changes_and_only_where_it_must() {
        let usual = "chacha20-poly1305@openssh.com,aes128-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
        let ours = "aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com";
        assert_eq!(aes_first(usual).as_deref(), Some(ours));
        for as_it_is in
            [ours, "aes256-gcm@openssh.com,aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "", "any"]
        {
            assert_eq!(aes_first(as_it_is), None, "{as_it_is}");
        }
    }
}
