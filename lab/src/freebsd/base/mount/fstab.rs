//! fstab(5).

use std::fs;
use std::io;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What.
    pub source: String,
    /// Where.
    pub dir: String,
    /// Type.
    pub fstype: String,
    /// Options, such as `ro`.
    pub opts: Vec<String>,
}

/// Reads a fstab; `\040` stands for a space.
pub fn read(path: &str) -> io::Result<Vec<Line>> {
    let text = fs::read_to_string(path)?;
    let field = |text: &str| text.replace("\\040", " ").replace("\\011", "\t");
    let line = |line: &str| {
        let mut fields = line.split('#').next().unwrap_or_default().split_whitespace();
        Some(Line {
            source: field(fields.next()?),
            dir: field(fields.next()?),
            fstype: fields.next()?.to_string(),
            opts: fields.next().unwrap_or("rw").split(',').map(str::to_string).collect(),
        })
    };
    Ok(text.lines().filter_map(line).collect())
}
