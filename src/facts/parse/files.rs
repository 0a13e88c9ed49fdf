//! Text files as `ask_file` of `file.sh` hands them over.

use sha2::Digest;
use sha2::Sha256;

use super::error::FactsError;
use super::frames::Frames;
use crate::facts::PathKind;
use crate::facts::TextFile;
use crate::model::RemotePath;

/// 64 hexadecimal digits, from `sha256 -q`.
///
/// # Errors
/// Anything else.
pub fn digest(path: &str, text: &str) -> Result<String, FactsError> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(FactsError::File { path: path.to_owned(), problem: "no SHA-256 of it".to_owned() })
}

/// What is at a path that was asked for.
///
/// # Errors
/// When there is no answer, or one of another kind.
pub fn kind(frames: &Frames, path: &str) -> Result<PathKind, FactsError> {
    let frame = frames.about("path", path)?.success()?;
    match frame.word().as_str() {
        "file" => Ok(PathKind::File),
        "directory" => Ok(PathKind::Directory),
        "other" => Ok(PathKind::Other),
        "link" => Ok(PathKind::Link),
        "absent" => Ok(PathKind::Absent),
        other => Err(FactsError::File { path: path.to_owned(), problem: format!("{other:?} is no kind of file") }),
    }
}

/// A file's text behind a line with its SHA-256, in one answer.
///
/// # Errors
/// A file that is not UTF-8, holds NUL bytes or changed while it was read.
pub fn with_digest(path: &str, output: &[u8]) -> Result<String, FactsError> {
    let fail = |problem: &str| FactsError::File { path: path.to_owned(), problem: problem.to_owned() };
    let end = output.iter().position(|b| *b == b'\n').unwrap_or(output.len());
    let (line, bytes) = (output.get(..end).unwrap_or_default(), output.get(end + 1..).unwrap_or_default());
    let sha256 = digest(path, &String::from_utf8_lossy(line))?;
    let own: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    if own != sha256 {
        return Err(fail("its text and its SHA-256 differ: it holds NUL bytes or changed while it was read"));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| fail("it is not UTF-8"))
}

/// A file's text, proven by its digest; `None` when there is no such file.
///
/// # Errors
/// A file that cannot be read, is not UTF-8, holds NUL bytes (which no shell keeps) or changed while it was read.
pub fn text_file(frames: &Frames, path: &RemotePath) -> Result<Option<TextFile>, FactsError> {
    if kind(frames, path.as_str())? != PathKind::File {
        return Ok(None);
    }
    let fail = |problem: &str| FactsError::File { path: path.to_string(), problem: problem.to_owned() };
    let bytes = frames.about("file", path.as_str())?.success()?.output.clone();
    let sha256 = digest(path.as_str(), &frames.about("digest", path.as_str())?.success()?.word())?;
    let own: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    if own != sha256 {
        return Err(fail("its text and its SHA-256 differ: it holds NUL bytes or changed while it was read"));
    }
    let text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8"))?;
    let mode = frames.about("mode", path.as_str())?.success()?.word();
    let words: Vec<&str> = mode.split(' ').collect();
    let [mode, uid, gid] = words.as_slice() else { return Err(fail("stat(1) does not tell its mode and owner")) };
    let number = |text: &str| text.parse::<u32>().map_err(|_| fail("its owner is no number"));
    if mode.is_empty() || mode.len() > 4 || !mode.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(fail("its mode is not octal"));
    }
    Ok(Some(TextFile { text, sha256, mode: (*mode).to_owned(), owner: (number(uid)?, number(gid)?) }))
}
