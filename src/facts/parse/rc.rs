//! `sysrc -a` and the files of rc.conf(5), contract 2.5.

use std::collections::BTreeMap;

use super::error;
use super::error::FactsError;
use super::frames::Frame;
use super::frames::Frames;
use crate::configuration::rc_conf::is_yes;
use crate::facts::RcAssignment;
use crate::facts::RcConf;
use crate::facts::RcForm;
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
        jail_enable: enable.is_some_and(|f| is_yes(&f.word())),
        jail_list: list.map(|f| f.text().split_whitespace().map(str::to_owned).collect()).unwrap_or_default(),
        jail_list_text: list.map(exact),
        jail_enable_text: enable.map(exact),
        jail_enable_file: RemotePath::new(enable_path).map_err(|e| error::file(enable_path, e))?,
        jail_list_file: RemotePath::new(path).map_err(|e| error::file(path, e))?,
        variables,
        assignments: assignments(frames)?,
    })
}

/// `FORM VARIABLE FILE` lines; a host that was not asked has none.
fn assignments(frames: &Frames) -> Result<Vec<RcAssignment>, FactsError> {
    let Some(frame) = frames.all("rc-assignments").last() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (index, row) in frame.success()?.text().lines().enumerate() {
        let mut words = row.splitn(3, ' ');
        let form = match words.next() {
            Some("plain") => RcForm::Plain,
            Some("refers") => RcForm::Refers,
            Some("continued") => RcForm::Continued,
            _ => return Err(error::line("rc-assignments", index, row, "no form of an assignment")),
        };
        let (Some(variable), Some(file)) = (words.next().filter(|name| is_name(name)), words.next()) else {
            return Err(error::line("rc-assignments", index, row, "no variable and file"));
        };
        let file = RemotePath::new(file).map_err(|e| error::file(file, e))?;
        found.push(RcAssignment { variable: variable.to_owned(), file, form });
    }
    Ok(found)
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
    use std::fs;

    use super::*;
    use crate::facts::parse::script_tests::path;
    use crate::facts::parse::script_tests::run;
    use crate::facts::questions;
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
    fn assignments_with_their_files() {
        let frames = |output: &str| {
            let text =
                format!("jailferry facts 1\nrc-assignments 0 0 {}\n{output}\n0\n\nend 0 0 0\n\n0\n\n", output.len());
            Frames::parse(text.as_bytes()).unwrap()
        };
        let told =
            assignments(&frames("refers jail_list /etc/rc.conf.d/jail/list\ncontinued x /etc/rc.conf\n")).unwrap();
        let first = RcAssignment {
            variable: "jail_list".into(),
            file: RemotePath::new("/etc/rc.conf.d/jail/list").unwrap(),
            form: RcForm::Refers,
        };
        assert_eq!((&told[0], told[1].form, told.len()), (&first, RcForm::Continued, 2));
        for wrong in ["odd x /etc/rc.conf\n", "plain x\n", "plain 'x /etc/rc.conf\n", "plain x etc\n"] {
            assert!(assignments(&frames(wrong)).is_err(), "{wrong}");
        }
        let nothing = Frames::parse(b"jailferry facts 1\nend 0 0 0\n\n0\n\n").unwrap();
        assert_eq!(assignments(&nothing), Ok(vec![]));
    }

    #[test]
    fn assignments_of_rc_conf_that_are_not_one_plain_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rc.conf.local");
        let text = "jail_list=\"web \\\n    db\"\n\tjail_enable=YES # $x\nroute_a='-net $1'; x=1\nroute_b=\"$b c\"\n\
                    route_c=\"a\nroute=\"\nroute_d=a\\ b\nroute_e=$(cat /x)\nroute_f=\"a\\\"$x\"\nroute_g=$x\nroute_g=\"x 'y' y\"\n\
                    #route_h=\"$x\"\nroutes=\"$x\"\nroute_i=`x`\n";
        fs::write(&file, text).unwrap();
        let script = format!("{}rc_forms '^(jail_.*|route_.)$' /nowhere {} | sort", questions::RC, path(&file));
        let told = String::from_utf8(run(&script)).unwrap().replace(&format!(" {}", file.display()), "");
        let wanted = [
            "continued jail_list",
            "continued route_c",
            "plain jail_enable",
            "plain route_a",
            "plain route_d",
            "plain route_g",
            "refers route_b",
            "refers route_e",
            "refers route_f",
            "refers route_i",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
    }
}
