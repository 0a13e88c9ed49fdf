//! Resume tokens: `1-CHECK-LENGTH-HEX` as ZFS has them, with JSON in the hex part.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use super::model::Partial;
use super::store::Store;
use super::store::write_aside;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The number of the entry to go on with.
    pub object: u64,
    /// The byte of its content to go on with.
    pub offset: u64,
    /// Bytes received so far.
    pub bytes: u64,
    /// The guid of the snapshot.
    pub toguid: u64,
    /// Its name on the sending host.
    pub toname: String,
    /// The guid it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fromguid: Option<u64>,
    /// `largeblockok`, `embedok`, `compressok`, `rawok`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// How far a receive has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The number of the entry in hand.
    pub object: u64,
    /// Bytes of its content that are in place.
    pub offset: u64,
    /// Bytes received so far.
    pub bytes: u64,
}

impl Progress {
    /// What was noted for that receive; the beginning when nothing was.
    pub fn load(path: &Path) -> Progress {
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Notes it.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        write_aside(path, &serde_json::to_vec(self)?)
    }
}

/// The token of an interrupted receive.
pub fn of(store: &Store, partial: &Partial) -> String {
    let progress = Progress::load(&store.progress(partial.id));
    encode(&Token {
        object: progress.object,
        offset: progress.offset,
        bytes: progress.bytes,
        toguid: partial.toguid,
        toname: partial.toname.clone(),
        fromguid: partial.fromguid,
        flags: partial.flags.clone(),
    })
}

fn check(text: &[u8]) -> String {
    hex(&Sha256::digest(text)[..5])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a token.
pub fn encode(token: &Token) -> String {
    let text = serde_json::to_vec(token).unwrap_or_default();
    format!("1-{}-{:x}-{}", check(&text), text.len(), hex(&text))
}

/// Reads a token; the error is the text ZFS prints after `cannot resume send: `.
pub fn decode(text: &str) -> Result<Token, &'static str> {
    const CORRUPT: &str = "resume token is corrupt (invalid checksum)";
    let mut parts = text.splitn(4, '-');
    let (version, sum, _length, body) = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some("1"), Some(sum), Some(body)) = (version, sum, body) else {
        return Err("resume token is corrupt (invalid format)");
    };
    let bytes: Option<Vec<u8>> = (0..body.len())
        .step_by(2)
        .map(|at| body.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let bytes = bytes.ok_or("resume token is corrupt (not in hexadecimal)")?;
    if check(&bytes) != sum {
        return Err(CORRUPT);
    }
    serde_json::from_slice(&bytes).map_err(|_| CORRUPT)
}
