//! The client outside: asks every 10 ms until its standard input ends, and tells the longest time between two answers.
//!
//! It asks over one connection while that answers; when it does not, over a fresh one every 10 ms until one of them does.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::inside::answer::END;
use crate::inside::answer::KEPT;

/// Between two questions.
const EVERY: Duration = Duration::from_millis(10);

/// Behind the last answer, until another connection is tried.
const QUIET: Duration = Duration::from_millis(30);

/// How long a connection may take. Those that are lost are asked again by the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// When which host answered, in order.
type Answers = Arc<Mutex<Vec<(Instant, String)>>>;

/// Asks `address`; prints `answered` and, at the end, `MICROSECONDS HOSTS`, as `1234567 spare>big`.
pub fn ask(address: &str) {
    let address: SocketAddr = address.parse().expect("an address and a port");
    let answers = Answers::default();
    let asking = answers.clone();
    std::thread::spawn(move || {
        loop {
            if !is_fresh(&asking) {
                let answers = asking.clone();
                std::thread::spawn(move || over_one(address, &answers));
            }
            std::thread::sleep(EVERY);
        }
    });
    while locked(&answers).is_empty() {
        std::thread::sleep(EVERY);
    }
    println!("answered");
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    let answers = locked(&answers);
    let gaps = answers.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0));
    let mut hosts: Vec<&str> = Vec::new();
    for (_, host) in answers.iter() {
        if hosts.last() != Some(&host.as_str()) {
            hosts.push(host);
        }
    }
    println!("{} {}", gaps.max().unwrap_or_default().as_micros(), hosts.join(">"));
}

fn locked(answers: &Answers) -> std::sync::MutexGuard<'_, Vec<(Instant, String)>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_fresh(answers: &Answers) -> bool {
    locked(answers).last().is_some_and(|(when, _)| when.elapsed() < QUIET)
}

/// Asks over one connection as long as it answers, unless another does already.
fn over_one(address: SocketAddr, answers: &Answers) -> Option<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    drop(stream.set_nodelay(true));
    let mut first = true;
    loop {
        stream.write_all(&[KEPT, b"HTTP/1.0\r\n\r\n"].concat()).ok()?;
        let mut page = String::new();
        while !page.ends_with(END) {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
            page.push_str(std::str::from_utf8(piece.get(..count)?).ok()?);
        }
        let host = page.lines().find_map(|line| line.strip_prefix("host="))?.to_owned();
        let spare = first && is_fresh(answers);
        locked(answers).push((Instant::now(), host));
        if spare {
            return None;
        }
        first = false;
        std::thread::sleep(EVERY);
    }
}
