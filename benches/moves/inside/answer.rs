//! The jail's service: answers like the testbed's page, from one process, and writes as fast as it is told.
//!
//! inetd with a shell a request, the testbed's own, costs some ten processes each: asked a hundred times a second it
//! would be the load that is measured.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// Bytes of one file.
const FILE: usize = 1 << 20;

/// So many files are written one after the other, and then anew.
const FILES: usize = 64;

/// Pieces a second.
const PIECES: usize = 10;

/// Bytes a second to write; nothing when it is not there.
pub const RATE: &str = "/www/rate";

/// Asks for the bare page, and keeps the connection.
pub const KEPT: &[u8] = b"GET /kept ";

/// The end of the page.
pub const END: &str = "count=0\n";

/// Starts the service and returns, as a daemon does.
pub fn begin() {
    let own = std::env::current_exe().expect("a program has a path");
    let mut service = Command::new(own);
    service.arg("in-jail-for-ever").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(service.spawn().expect("it starts"));
}

/// The service.
pub fn serve() {
    let listener = TcpListener::bind("[::]:80").expect("port 80 is free");
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let page = format!("jail={}\nhost={}\n{END}", read("/www/name").trim(), read("/var/run/host").trim());
    let rate: usize = read(RATE).trim().parse().unwrap_or(0);
    if rate > 0 {
        std::thread::spawn(move || write(rate));
    }
    for stream in listener.incoming().flatten() {
        let page = page.clone();
        std::thread::spawn(move || answer(stream, &page));
    }
}

/// One request, or, of a client that asks for [`KEPT`], one after the other.
fn answer(mut stream: TcpStream, page: &str) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    drop(stream.set_nodelay(true));
    let length = page.len();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
    let reply = format!("{head}Connection: close\r\n\r\n{page}");
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            request.extend_from_slice(piece.get(..count)?);
        }
        if !request.starts_with(KEPT) {
            return stream.write_all(reply.as_bytes()).ok();
        }
        stream.write_all(page.as_bytes()).ok()?;
    }
}

/// Writes that many bytes a second, each file anew when its turn comes.
fn write(rate: usize) {
    drop(fs::create_dir_all("/data/written"));
    let piece = vec![b'x'; rate / PIECES];
    let mut due = Instant::now();
    for number in (0..FILES).cycle() {
        let Ok(mut file) = fs::File::create(format!("/data/written/{number}")) else { return };
        let mut written = 0;
        while written < FILE {
            if file.write_all(&piece).is_err() {
                return;
            }
            written += piece.len();
            due += Duration::from_secs(1) / u32::try_from(PIECES).expect("small");
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
