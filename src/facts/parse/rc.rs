//! `sysrc -a` and the files of rc.conf(5), contract 2.5.

use std::collections::BTreeMap;

use super::error;
use super::error::FactsError;
use super::frames::Frame;
use super::frames::Frames;
use crate::facts::RcConf;
use crate::model::RemotePath;

/// What rc.d/jail reads jail_list from when no file sets it.
const DEFAULT_FILE: &str = "/etc/rc.conf";

/// The parts of rc.conf that matter.
///
/// # Errors
/// When sysrc was not answered or failed, or a file's path is not usable.
pub fn rc_conf(frames: &Frames) -> Result<RcConf, FactsError> {
    let variables = variables(&frames.get("sysrc")?.success()?.text());
    // Files come in the order in which they are read: the last one wins.
    let enable = frames.all("rc-jail_enable").last().map(|f| f.success()).transpose()?;
    let list = frames.all("rc-jail_list").last().map(|f| f.success()).transpose()?;
    let path = list.map_or(DEFAULT_FILE, |f| &f.subject);
    let enable_path = enable.map_or(DEFAULT_FILE, |f| &f.subject);
    let exact = |f: &Frame| f.text().trim_end_matches('\n').to_owned();
    Ok(RcConf {
        jail_enable: enable.is_some_and(|f| yes(&f.word())),
        jail_list: list.map(|f| f.text().split_whitespace().map(str::to_owned).collect()).unwrap_or_default(),
        jail_list_text: list.map(exact),
        jail_enable_text: enable.map(exact),
        jail_enable_file: RemotePath::new(enable_path).map_err(|e| error::file(enable_path, e))?,
        jail_list_file: RemotePath::new(path).map_err(|e| error::file(path, e))?,
        variables,
    })
}

/// `checkyesno` of rc.subr(8).
fn yes(value: &str) -> bool {
    ["yes", "true", "on", "1"].iter().any(|y| value.eq_ignore_ascii_case(y))
}

/// `name: value` lines; what is not the start of a variable goes on with the last one's value.
#[must_use]
pub fn variables(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut last = None;
    for row in text.lines() {
        let start =
            row.split_once(':').filter(|(name, rest)| is_name(name) && (rest.is_empty() || rest.starts_with(' ')));
        match (start, &last) {
            (Some((name, value)), _) => {
                found.insert(name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned());
                last = Some(name.to_owned());
            }
            (None, Some(name)) => {
                if let Some(value) = found.get_mut(name) {
                    value.push('\n');
                    value.push_str(row);
                }
            }
            (None, None) => {}
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::recordings::stdout;

    #[test]
    fn variables_of_a_real_host() {
        let all = variables(&stdout("sysrc-f"));
        assert_eq!(all["ifconfig_vtnet0"], "inet 10.0.2.15/24");
        assert_eq!(all["gateway_enable"], "YES");
        assert_eq!(all["jail_enable"], "YES");
    }

    #[test]
    fn values_over_several_lines_and_empty_ones() {
        let all = variables("route_web: -host 192.168.123.50 -interface bridge0\n-fib 1\njail_list:\nx: a: b\n");
        assert_eq!(all["route_web"], "-host 192.168.123.50 -interface bridge0\n-fib 1");
        assert_eq!(all["jail_list"], "");
        assert_eq!(all["x"], "a: b");
    }

    #[test]
    fn yes_as_rc_subr_reads_it() {
        assert!(yes("YES") && yes("on") && !yes("NO") && !yes("NONE") && !yes(""));
    }
}
