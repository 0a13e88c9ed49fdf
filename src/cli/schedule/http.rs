//! `/metrics` and `/healthz` for whoever asks on this machine. It answers GET and HEAD, one request a connection, and
//! reads no more of a request than its head.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A request's head is not longer.
const LONGEST_HEAD: usize = 8 << 10;

/// Whoever has not asked by then is not going to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests at once.
const MOST: usize = 16;

/// A scheduler that has not looked for so long is stuck.
const STUCK: Duration = Duration::from_secs(180);

/// What is told; the scheduler renews it at every look.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    inner: Arc<Mutex<Option<Shown>>>,
}

#[derive(Debug, Clone)]
struct Shown {
    metrics: String,
    problems: Vec<String>,
    looked: Instant,
}

impl Board {
    pub(super) fn renew(&self, metrics: String, problems: Vec<String>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        *inner = Some(Shown { metrics, problems, looked: Instant::now() });
    }

    fn shown(&self) -> Option<Shown> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Listens; the address it got.
///
/// # Errors
/// A message for people.
pub(super) async fn listen(address: SocketAddr, board: Board) -> Result<SocketAddr, String> {
    if !address.ip().is_loopback() {
        return Err(format!(
            "--listen {address}: only addresses of this machine itself, such as 127.0.0.1:9877; nothing here asks who you are"
        ));
    }
    let listener = TcpListener::bind(address).await.map_err(|e| format!("--listen {address}: {e}"))?;
    let bound = listener.local_addr().map_err(|e| format!("--listen {address}: {e}"))?;
    let places = Arc::new(Semaphore::new(MOST));
    tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let board = board.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, serve(stream, board)).await;
                        drop(place);
                    });
                }
                // Out of file descriptors, or the like: a moment later there may be some.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    });
    Ok(bound)
}

async fn serve(mut stream: TcpStream, board: Board) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut part = [0_u8; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        let count = stream.read(&mut part).await?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    let (status, body) = answer(&head, board.shown().as_ref());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    );
    if !head.starts_with(b"HEAD ") {
        text.push_str(&body);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// Status and body.
fn answer(head: &[u8], shown: Option<&Shown>) -> (&'static str, String) {
    let line = head.split(|b| *b == b'\r' || *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !words.next().is_some_and(|v| v.starts_with("HTTP/1.")) {
        return ("400 Bad Request", "not a request\n".into());
    }
    if method != "GET" && method != "HEAD" {
        return ("405 Method Not Allowed", "GET and HEAD only\n".into());
    }
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match (path, shown) {
        ("/metrics" | "/healthz", None) => ("503 Service Unavailable", "not a look yet\n".into()),
        ("/metrics", Some(shown)) => ("200 OK", shown.metrics.clone()),
        ("/healthz", Some(shown)) => {
            let mut problems = shown.problems.clone();
            if shown.looked.elapsed() > STUCK {
                problems.push(format!("the scheduler has not looked for {} s", shown.looked.elapsed().as_secs()));
            }
            match problems.is_empty() {
                true => ("200 OK", "ok\n".into()),
                false => ("503 Service Unavailable", problems.join("\n") + "\n"),
            }
        }
        _ => ("404 Not Found", "there is /metrics and /healthz\n".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let shown = |problems: &[&str]| Shown {
            metrics: "x 1\n".into(),
            problems: problems.iter().map(|p| (*p).to_owned()).collect(),
            looked: Instant::now(),
        };
        let (fine, ill) = (shown(&[]), shown(&["nightly: a person has to look"]));
        let ask = |line: &str, shown: Option<&Shown>| {
            let (status, body) = answer(format!("{line}\r\nHost: x\r\n\r\n").as_bytes(), shown);
            format!("{status}: {body}")
        };
        assert_eq!(ask("GET /metrics HTTP/1.1", Some(&fine)), "200 OK: x 1\n");
        assert_eq!(ask("HEAD /healthz?x HTTP/1.0", Some(&fine)), "200 OK: ok\n");
        assert_eq!(
            ask("GET /healthz HTTP/1.1", Some(&ill)),
            "503 Service Unavailable: nightly: a person has to look\n"
        );
        assert!(ask("GET /healthz HTTP/1.1", None).starts_with("503"));
        assert!(ask("POST /metrics HTTP/1.1", Some(&fine)).starts_with("405"));
        assert!(ask("GET /../etc/passwd HTTP/1.1", Some(&fine)).starts_with("404"));
        for garbage in ["", "GET", "\u{0}\u{ff}", "GET /metrics"] {
            assert!(ask(garbage, Some(&fine)).starts_with("400"), "{garbage:?}");
        }
    }

    #[tokio::test]
    async fn only_on_this_machine() {
        let error = listen("192.0.2.1:0".parse().unwrap(), Board::default()).await.unwrap_err();
        assert!(error.contains("only addresses of this machine itself"), "{error}");
        let board = Board::default();
        board.renew("x 1\n".into(), vec![]);
        let address = listen("127.0.0.1:0".parse().unwrap(), board).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\nx 1\n"), "{said}");
    }
}
