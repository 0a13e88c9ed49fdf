//! Runs the hooks of a plan: programs on this machine, scripts on hosts.

use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tokio::process::Command;

use crate::plan::hooks::Call;
use crate::plan::hooks::HookCall;
use crate::remote::Hosts;
use crate::ui::sanitize;
use crate::ui::text;

/// Lines of its output that are kept.
const LINES: usize = 20;

/// Runs one to its end.
///
/// # Errors
/// Its title, and what went wrong.
pub async fn run(call: &HookCall, hosts: &Hosts) -> Result<String, String> {
    let started = Instant::now();
    let said = match &call.what {
        Call::Here(words) => here(call, words).await,
        Call::There(command) => match hosts.run(command).await {
            Ok(output) => Ok(sanitize::tail(&output.stdout, LINES)),
            Err(error) => Err(error.to_string()),
        },
    };
    let title = sanitize::line(&call.title());
    match said {
        Ok(said) => {
            let took = text::duration(text::milliseconds(started.elapsed()));
            let said = if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim_end()) };
            Ok(format!("{title}: done in {took}{said}"))
        }
        Err(error) => Err(format!("{title}: {error}")),
    }
}

async fn here(call: &HookCall, words: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("there is nothing to run".to_owned()) };
    let mut command = Command::new(program);
    // Not in our process group: Ctrl-C is for the run, which ends the hook by its time.
    command.args(arguments).envs(&call.environment).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let limit = Duration::from_secs(u64::from(call.timeout));
    let output = match tokio::time::timeout(limit, command.output()).await {
        Err(_) => return Err(format!("not done after {} s, ended", call.timeout)),
        Ok(Err(error)) => return Err(format!("{program}: {error}")),
        Ok(Ok(output)) => output,
    };
    let said = [sanitize::tail(&output.stdout, LINES), sanitize::tail(&output.stderr, LINES)];
    let said = said.iter().filter(|s| !s.trim().is_empty()).map(|s| s.trim_end()).collect::<Vec<_>>().join("\n");
    if output.status.success() { Ok(said) } else { Err(format!("{}\n{said}", output.status).trim_end().to_owned()) }
}
