//! Puts a stream's steps into a directory, and notes how far it came.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use super::diff::Entry;
use super::diff::Op;
use super::token::Progress;
use super::tree;

/// Progress is noted each time this many bytes or entries came.
const NOTE_BYTES: u64 = 1 << 20;
const NOTE_ENTRIES: u64 = 256;

/// The work in hand.
pub struct Unpack {
    dir: PathBuf,
    base: Option<PathBuf>,
    note: PathBuf,
    noted: Progress,
    /// How far it is.
    pub progress: Progress,
    open: Option<(File, Entry)>,
    resumed: bool,
}

impl Unpack {
    /// Goes on in `dir` where `note` says.
    pub fn new(dir: PathBuf, base: Option<PathBuf>, note: PathBuf, resume: Option<(u64, u64)>) -> Unpack {
        let mut progress = Progress::load(&note);
        if let Some((object, offset)) = resume {
            progress.object = object;
            progress.offset = offset;
        }
        Unpack { dir, base, note, noted: progress, progress, open: None, resumed: resume.is_some() }
    }

    /// Inside of the directory, or an error: a stream is not to be trusted with `..`.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        match path.components().all(|part| matches!(part, Component::Normal(_))) {
            true => Ok(self.dir.join(path)),
            false => Err(io::Error::other("invalid path in stream")),
        }
    }

    /// A step.
    pub fn entry(&mut self, entry: Entry) -> io::Result<()> {
        self.close()?;
        let path = self.place(&entry.path)?;
        let resumed = std::mem::take(&mut self.resumed) && self.progress.offset > 0;
        let meta = entry.meta.clone().ok_or_else(|| io::Error::other("entry without metadata"));
        match entry.op {
            Op::Remove => tree::remove(&path)?,
            Op::Make => {
                let meta = meta?;
                tree::make(&path, &meta)?;
                if !meta.is_dir() {
                    tree::apply(&path, &meta)?;
                }
            }
            Op::Dir => tree::apply(&path, &meta?)?,
            Op::File | Op::Delta if resumed => {
                self.open = Some((File::options().write(true).open(&path)?, entry));
                return Ok(());
            }
            Op::File | Op::Delta => {
                // What is there is a link to the base's file: never written, but replaced.
                tree::remove(&path)?;
                if let (Op::Delta, Some(base)) = (entry.op, &self.base) {
                    fs::copy(base.join(&entry.path), &path)?;
                }
                let file = File::options().write(true).create(true).truncate(false).open(&path)?;
                self.open = Some((file, entry));
                return Ok(());
            }
        }
        self.done()
    }

    /// Content of the step's file.
    pub fn data(&mut self, offset: u64, content: &[u8]) -> io::Result<()> {
        let Some((file, _)) = &self.open else {
            return Err(io::Error::other("content without a file"));
        };
        file.write_all_at(content, offset)?;
        self.progress.offset = offset + content.len() as u64;
        self.progress.bytes += content.len() as u64;
        self.note(false)
    }

    /// The file in hand is complete.
    pub fn close(&mut self) -> io::Result<()> {
        let Some((file, entry)) = self.open.take() else {
            return Ok(());
        };
        if let Some(meta) = &entry.meta {
            file.set_len(meta.size)?;
            tree::apply(&self.dir.join(&entry.path), meta)?;
        }
        self.done()
    }

    fn done(&mut self) -> io::Result<()> {
        self.progress.object += 1;
        self.progress.offset = 0;
        self.note(false)
    }

    /// Notes how far it is, now and then or at once.
    pub fn note(&mut self, now: bool) -> io::Result<()> {
        let far = self.progress.bytes >= self.noted.bytes + NOTE_BYTES
            || self.progress.object >= self.noted.object + NOTE_ENTRIES;
        if now || far {
            self.progress.save(&self.note)?;
            self.noted = self.progress;
        }
        Ok(())
    }
}
