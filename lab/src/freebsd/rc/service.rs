//! service(8): runs a script of rc.d with a clean environment (contract 2.5).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::context::Context;

const DIRS: &[&str] = &["/etc/rc.d", "/usr/local/etc/rc.d"];

fn usage() -> i32 {
    eprintln!(
        "Usage:\nservice [-j <jail name or id>] -e\nservice [-j <jail name or id>] -R\nservice [-j <jail name or id>] [-v] -l | -r\nservice [-j <jail name or id>] [-v] <rc.d script> start|stop|etc.\nservice -h"
    );
    1
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The command.
pub fn run(_ctx: &Context, args: &[String]) -> i32 {
    match args {
        [flag] if flag == "-l" || flag == "-r" || flag == "-e" => {
            for dir in DIRS {
                let mut names: Vec<_> = std::fs::read_dir(dir)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(|entry| executable(&entry.path()))
                    .map(|entry| entry.path())
                    .collect();
                names.sort();
                for name in names {
                    match (flag.as_str(), name.file_name()) {
                        ("-l", Some(short)) => println!("{}", short.to_string_lossy()),
                        _ => println!("{}", name.display()),
                    }
                }
            }
            0
        }
        [jail, name, rest @ ..] if jail == "-j" && !rest.is_empty() => {
            status(Command::new("/usr/sbin/jexec").arg("-l").arg(name).arg("/usr/sbin/service").args(rest))
        }
        [name, verb @ ..] if !name.starts_with('-') && !verb.is_empty() => script(name, verb),
        _ => usage(),
    }
}

fn script(name: &str, verb: &[String]) -> i32 {
    let found = DIRS.iter().map(|dir| Path::new(dir).join(name)).find(|path| !name.contains('/') && executable(path));
    let Some(path) = found else {
        eprintln!(
            "{name} does not exist in /etc/rc.d or the local startup\ndirectories (/usr/local/etc/rc.d), or is not executable"
        );
        return 1;
    };
    let mut command = Command::new(path);
    command.args(verb).current_dir("/").env_clear();
    command.env("HOME", "/").env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin");
    for kept in ["LAB_STATE", "LAB_BY"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    status(&mut command)
}

fn status(command: &mut Command) -> i32 {
    match command.status() {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("service: {error}");
            1
        }
    }
}
