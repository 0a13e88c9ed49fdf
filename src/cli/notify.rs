//! Tells somebody how moves ended: a program that reads JSON, or an HTTP POST of it by curl(1). Whoever cannot be told
//! changes nothing about the moves.

use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::cli::output;
use crate::playbook::batch::Notify;
use crate::playbook::batch::NotifyWay;
use crate::playbook::batch::Occasion;
use crate::ui::sanitize;

/// How long somebody may take to be told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells everybody who wants to know of it, at the same time.
pub(super) async fn tell(list: &[Notify], occasion: Occasion, said: &Value) {
    let wanted = list.iter().filter(|n| n.on.is_empty() || n.on.contains(&occasion));
    let text = said.to_string();
    join_all(wanted.map(|notify| async {
        let (mut command, input, name) = way(&notify.way, &text);
        let told = match tokio::time::timeout(PATIENCE, run(&mut command, &input)).await {
            Ok(told) => told,
            Err(_) => Err(format!("not done after {} s", PATIENCE.as_secs())),
        };
        if let Err(error) = told {
            output::complain(&format!("{name} was not told: {}", sanitize::block(&error)));
        }
    }))
    .await;
}

/// The program, its standard input, and what to call it. Neither the URL, which may hold a secret, nor the text is in its
/// arguments, which everybody on this machine can read.
fn way(way: &NotifyWay, text: &str) -> (Command, String, String) {
    match way {
        NotifyWay::Command(words) => {
            let (program, arguments) = words.split_first().map_or(("/bin/sh", &[][..]), |(p, a)| (p.as_str(), a));
            let mut command = Command::new(program);
            command.args(arguments);
            (command, text.to_owned(), format!("`{}`", sanitize::line(&words.join(" "))))
        }
        NotifyWay::Post(url) => {
            let mut command = Command::new("curl");
            command.args(["--disable", "--config", "-"]);
            let host = url.split('/').nth(2).unwrap_or_default();
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            (command, curl(url, text), format!("{} (by curl(1))", sanitize::line(host)))
        }
    }
}

/// A configuration file of curl(1): values in double quotes, with backslashes before quotes and backslashes. JSON on one
/// line has no line ends.
fn curl(url: &str, text: &str) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "url = \"{}\"\nheader = \"Content-Type: application/json\"\ndata-raw = \"{}\"\nsilent\nshow-error\nfail\nmax-time = 25\nmax-redirs = 0\noutput = \"/dev/null\"\n",
        quoted(url),
        quoted(text)
    )
}

async fn run(command: &mut Command, input: &str) -> Result<(), String> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read it is its own business.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} {}", output.status, sanitize::tail(&output.stderr, 5)).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_reads_is_the_url_and_the_json() {
        let said = serde_json::json!({ "reason": "it \"failed\" \\ twice\nand more" }).to_string();
        let text = curl("https://example.org/a\"b", &said);
        assert!(text.contains(r#"url = "https://example.org/a\"b""#), "{text}");
        assert!(text.contains(r#"data-raw = "{\"reason\":\"it \\\"failed\\\" \\\\ twice\\nand more\"}""#), "{text}");
        assert_eq!(text.lines().count(), 9);
    }

    #[tokio::test]
    async fn a_post_arrives_as_it_was_meant() {
        use std::io::Read;
        use std::io::Write;
        if std::process::Command::new("curl").arg("--version").output().is_err() {
            let _ = writeln!(std::io::stderr(), "SKIPPED a_post_arrives_as_it_was_meant: it needs curl(1)");
            return;
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=a%22b", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut all, mut piece) = (Vec::new(), [0; 4096]);
            while !all.ends_with(b"}") {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&all));
                all.extend_from_slice(&piece[..read]);
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8(all).unwrap()
        });
        let said = serde_json::json!({ "reason": "\"x\" \\ @file\nü" });
        tell(&[Notify { on: vec![], way: NotifyWay::Post(url) }], Occasion::Moved, &said).await;
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /hook?key=a%22b "), "{request}");
        assert!(request.contains("Content-Type: application/json\r\n"), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), said);
    }

    #[tokio::test]
    async fn a_program_reads_the_json_and_a_failure_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let words = ["/bin/sh", "-c", &format!("cat > {}", file.display())].map(str::to_owned).to_vec();
        let all = [Notify { on: vec![Occasion::Failed], way: NotifyWay::Command(words) }];
        tell(&all, Occasion::Moved, &serde_json::json!({ "jail": "web" })).await;
        assert!(!file.exists());
        tell(&all, Occasion::Failed, &serde_json::json!({ "jail": "web" })).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"jail":"web"}"#);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no >&2; exit 3"]);
        assert!(run(&mut command, "").await.unwrap_err().contains("no"));
    }
}
