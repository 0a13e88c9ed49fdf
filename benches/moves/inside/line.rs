//! A slow line, as ssh's ProxyCommand: every byte arrives half a round trip later.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

/// Each way, so that a round trip takes 50 ms longer.
const LATER: Duration = Duration::from_millis(25);

/// Standard input and output, to `host` and `port` and back.
pub fn relay(host: &str, port: &str) {
    let there = TcpStream::connect(format!("{host}:{port}")).expect("the host listens");
    drop(there.set_nodelay(true));
    let back = there.try_clone().expect("a socket has a second handle");
    let end = there.try_clone().expect("a socket has a third handle");
    std::thread::spawn(move || {
        later(std::io::stdin(), there);
        drop(end.shutdown(Shutdown::Write));
    });
    later(back, std::io::stdout());
}

/// Passes everything on, late.
fn later(mut from: impl Read + Send + 'static, mut to: impl Write) {
    let (tell, told) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        while let Ok(count) = from.read(&mut buffer)
            && count > 0
        {
            if tell.send((Instant::now() + LATER, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    for (due, bytes) in told {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}
