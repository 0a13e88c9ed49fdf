//! The stream's form: a magic number, then records `type, length, checksum, payload`. Each checksum covers all records before it.

use std::io;
use std::io::Read;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Digest;
use sha2::Sha256;

use super::diff::Entry;
use super::tree;

const MAGIC: &[u8; 8] = b"LABZFS1\n";
/// No record is larger: what claims to be is no stream.
const LARGEST: usize = 1 << 24;
const SUM: usize = 8;

/// Begins a package (`send -R`): what the stream has of which dataset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Package {
    /// The sending dataset.
    pub top: String,
    /// Every dataset and the guids of all its snapshots that the sender has.
    pub datasets: Vec<(String, Vec<u64>)>,
    /// `-R` with `-i` or `-I`: removes on the other side what the sender no longer has, with `receive -F`.
    pub prune: bool,
    /// `-R`.
    pub recursive: bool,
}

/// Begins one snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The snapshot's name on the sending host.
    pub toname: String,
    /// Its guid.
    pub toguid: u64,
    /// When it was taken.
    pub creation: u64,
    /// The guid of the snapshot it starts from.
    pub fromguid: Option<u64>,
    /// It starts from another dataset's snapshot: becomes a clone.
    pub clone: bool,
    /// A volume.
    pub volume: bool,
    /// `-w` of an encrypted dataset.
    pub raw: Option<RawKey>,
    /// `largeblockok`, `embedok`, `compressok`, `rawok`.
    pub flags: Vec<String>,
    /// With `-p` and `-R`: the dataset's own properties.
    pub props: Option<Vec<(String, String)>>,
    /// With `-h`: the tags of its holds.
    pub holds: Vec<String>,
    /// From a token: the entry and byte to go on with.
    pub resume: Option<(u64, u64)>,
    /// The volume's size or the referenced bytes, as the sender counts.
    pub referenced: u64,
}

/// What a raw stream says about the key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawKey {
    /// Such as `aes-256-gcm`.
    pub suite: String,
    /// Such as `passphrase`.
    pub keyformat: String,
    /// Digest of the key.
    pub key: String,
}

/// A record.
#[derive(Debug)]
pub enum Record {
    /// A package begins.
    Package(Package),
    /// A snapshot begins.
    Begin(Box<Begin>),
    /// A step.
    Entry(Entry),
    /// Content of the step's file, at an offset.
    Data(u64, Vec<u8>),
    /// The snapshot is complete.
    End,
    /// The stream is complete.
    Close,
}

/// Why a stream cannot be read on.
#[derive(Debug)]
pub enum Broken {
    /// Nothing came at all.
    Empty,
    /// It is not a stream.
    Magic,
    /// It ended too early.
    Truncated,
    /// It was changed on the way.
    Checksum,
    /// The system says so.
    Io(io::Error),
}

/// Writes a stream.
pub struct Writer<W: Write> {
    to: W,
    sum: [u8; SUM],
    /// Bytes written.
    pub bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a stream.
    pub fn new(mut to: W) -> io::Result<Writer<W>> {
        to.write_all(MAGIC)?;
        Ok(Writer { to, sum: [0; SUM], bytes: MAGIC.len() as u64 })
    }

    fn record(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        self.sum = next(self.sum, kind, payload);
        let mut head = vec![kind];
        head.extend((payload.len() as u32).to_le_bytes());
        head.extend(self.sum);
        self.to.write_all(&head)?;
        self.to.write_all(payload)?;
        self.bytes += (head.len() + payload.len()) as u64;
        Ok(())
    }

    fn json(&mut self, kind: u8, value: &impl Serialize) -> io::Result<()> {
        self.record(kind, &serde_json::to_vec(value)?)
    }

    /// A package begins.
    pub fn package(&mut self, package: &Package) -> io::Result<()> {
        self.json(b'P', package)
    }

    /// A snapshot begins.
    pub fn begin(&mut self, begin: &Begin) -> io::Result<()> {
        self.json(b'B', begin)
    }

    /// A step.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.json(b'F', entry)
    }

    /// Content.
    pub fn data(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        let mut payload = offset.to_le_bytes().to_vec();
        payload.extend(content);
        self.record(b'D', &payload)
    }

    /// The snapshot is complete.
    pub fn end(&mut self) -> io::Result<()> {
        self.record(b'E', &[])?;
        self.to.flush()
    }

    /// The stream is complete.
    pub fn close(&mut self) -> io::Result<()> {
        self.record(b'Z', &[])?;
        self.to.flush()
    }
}

fn next(sum: [u8; SUM], kind: u8, payload: &[u8]) -> [u8; SUM] {
    let digest = Sha256::new().chain_update(sum).chain_update([kind]).chain_update(payload).finalize();
    let mut out = [0; SUM];
    out.copy_from_slice(&digest[..SUM]);
    out
}

/// Reads a stream.
pub struct Reader<R: Read> {
    from: R,
    sum: [u8; SUM],
    /// Bytes read.
    pub bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Checks the magic number.
    pub fn new(mut from: R) -> Result<Reader<R>, Broken> {
        let mut magic = [0; 8];
        match tree::fill(&mut from, &mut magic).map_err(Broken::Io)? {
            0 => Err(Broken::Empty),
            8 if magic == *MAGIC => Ok(Reader { from, sum: [0; SUM], bytes: 8 }),
            _ => Err(Broken::Magic),
        }
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Record, Broken> {
        let mut head = [0; 5 + SUM];
        self.exact(&mut head)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > LARGEST {
            return Err(Broken::Checksum);
        }
        let mut payload = vec![0; length];
        self.exact(&mut payload)?;
        let sum = next(self.sum, head[0], &payload);
        if sum != head[5..] {
            return Err(Broken::Checksum);
        }
        self.sum = sum;
        self.bytes += (head.len() + length) as u64;
        match head[0] {
            b'P' => Ok(Record::Package(json(&payload)?)),
            b'B' => Ok(Record::Begin(Box::new(json(&payload)?))),
            b'F' => Ok(Record::Entry(json(&payload)?)),
            b'D' if length >= 8 => {
                let content = payload.split_off(8);
                let offset = payload.try_into().map(u64::from_le_bytes).map_err(|_| Broken::Checksum)?;
                Ok(Record::Data(offset, content))
            }
            b'E' => Ok(Record::End),
            b'Z' => Ok(Record::Close),
            _ => Err(Broken::Checksum),
        }
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), Broken> {
        match tree::fill(&mut self.from, buffer).map_err(Broken::Io)? {
            read if read == buffer.len() => Ok(()),
            _ => Err(Broken::Truncated),
        }
    }
}

fn json<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Broken> {
    serde_json::from_slice(payload).map_err(|_| Broken::Checksum)
}
