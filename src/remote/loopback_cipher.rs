//! Tests of the cipher of a connection, against an sshd of our own that writes down what was agreed.

use std::fs;

use crate::effect::cipher::AES_CIPHER;
use crate::model::NodeName;
use crate::remote::loopback::Sshd;
use crate::remote::loopback::script;

/// What the client and the sshd agreed on for each connection so far.
fn agreed(sshd: &Sshd) -> Vec<String> {
    let log = fs::read_to_string(sshd.file("log")).unwrap();
    let ciphers = log.lines().filter_map(|line| line.split_once("kex: client->server cipher: "));
    ciphers.map(|(_, rest)| rest.split_whitespace().next().unwrap().to_owned()).collect()
}

/// The user's configuration, with a list of his own.
fn configure(sshd: &Sshd, ciphers: &str) {
    let path = sshd.file("config");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("Ciphers {ciphers}\n{text}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn aes_comes_first_and_stays_so_for_the_connections_that_follow() {
    let Some(sshd) = Sshd::start("LogLevel DEBUG1") else { return };
    configure(&sshd, &format!("aes256-ctr,{AES_CIPHER}"));
    let hosts = sshd.hosts().await;
    let a = NodeName::new("a").unwrap();
    assert!(hosts.prefer_aes(&a).await.unwrap());
    hosts.reconnect(&a).await.unwrap();
    assert_eq!(hosts.run(&script("a", "echo it works")).await.unwrap().text(), "it works\n");
    let agreed = agreed(&sshd);
    // Both hosts as configured; then twice the one of them.
    assert_eq!(agreed, ["aes256-ctr", "aes256-ctr", AES_CIPHER, AES_CIPHER]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_does_not_allow_is_not_used() {
    let Some(sshd) = Sshd::start("LogLevel DEBUG1") else { return };
    configure(&sshd, "aes256-ctr,aes128-ctr");
    let hosts = sshd.hosts().await;
    assert!(!hosts.prefer_aes(&NodeName::new("a").unwrap()).await.unwrap());
    assert_eq!(agreed(&sshd), ["aes256-ctr", "aes256-ctr"]);
}
