//! Which cipher streams are enciphered by.
//!
//! ssh(1) before OpenSSH 10 prefers ChaCha20 to AES. Where the processors at both ends have instructions for AES, that is
//! twice the work; where one has not, AES is several times as much.

use crate::effect::command::Command;
use crate::model::NodeName;

/// The cipher of AES that authenticates by itself (ssh_config(5), Ciphers).
pub const AES_CIPHER: &str = "aes128-gcm@openssh.com";

/// Seconds for the question.
const SHORT: u32 = 120;

/// Asks `host` whether its processor has instructions for AES: their drivers say what they do (aesni(4), which is in
/// GENERIC, and armv8crypto(4)). A processor without has no such variable.
#[must_use]
pub fn ask_aes(host: &NodeName) -> Command {
    Command::script(
        host,
        SHORT,
        "sysctl -n dev.aesni.0.%desc 2>/dev/null || sysctl -n dev.armv8crypto.0.%desc 2>/dev/null || :",
    )
}

/// Does the answer say so?
#[must_use]
pub fn has_aes(answer: &str) -> bool {
    answer.contains("AES-GCM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_says_what_the_processor_can() {
        assert!(has_aes("AES-CBC,AES-CCM,AES-GCM,AES-ICM,AES-XTS\n"));
        assert!(has_aes("AES-CBC,AES-XTS,AES-GCM\n"));
        assert!(!has_aes("") && !has_aes("sysctl: unknown oid 'dev.aesni.0.%desc'\n"));
    }
}
