//! nc(1): `-z` probes, a connection between TCP and our standard input and output, and `-lU`.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::getopt::Options;
use super::getopt::getopt;
use crate::context::Context;
use crate::net::tcp;

/// nc(1).
pub fn nc(_ctx: &Context, args: &[String]) -> i32 {
    let Some(options) = getopt("nc", "46DdEe:FhI:i:klMNnO:P:p:rSs:T:tUuV:vw:X:x:z", args) else { return usage() };
    let result = match options.operands.as_slice() {
        [path] if options.has('l') && options.has('U') => listen_at(path),
        [port] if options.has('l') => listen(&options, "", port),
        [host, port] if options.has('l') => listen(&options, host, port),
        [host, ports] => return dial(&options, host, ports),
        _ => return usage(),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("nc: {}", super::reason(&error));
            1
        }
    }
}

fn dial(options: &Options, host: &str, ports: &str) -> i32 {
    let limit = options.value('w').and_then(|value| value.parse().ok()).map(Duration::from_secs);
    let (low, high) = ports.split_once('-').unwrap_or((ports, ports));
    let (Ok(low), Ok(high)) = (low.parse::<u16>(), high.parse::<u16>()) else {
        eprintln!("nc: port number invalid: {ports}");
        return 1;
    };
    let source = match options.value('s').map(|text| text.parse()) {
        None => None,
        Some(Ok(source)) => Some(source),
        Some(Err(_)) => {
            eprintln!("nc: getaddrinfo: hostname nor servname provided, or not known");
            return 1;
        }
    };
    let mut status = 1;
    for port in low..=high {
        let Ok(addresses) = (host, port).to_socket_addrs() else {
            eprintln!("nc: getaddrinfo: hostname nor servname provided, or not known");
            return 1;
        };
        let family =
            |address: &SocketAddr| (!options.has('4') || address.is_ipv4()) && (!options.has('6') || address.is_ipv6());
        for address in addresses.filter(family) {
            match tcp::connect_from(source, address, limit) {
                Ok(stream) => {
                    status = 0;
                    if options.has('v') || options.has('z') {
                        eprintln!("Connection to {host} {port} port [tcp/{}] succeeded!", service(port));
                    }
                    if !options.has('z') {
                        let idle = stream.set_read_timeout(limit);
                        return i32::from(idle.and_then(|()| between(options, stream)).is_err());
                    }
                    break;
                }
                Err(error) if options.has('v') => {
                    eprintln!("nc: connect to {host} port {port} (tcp) failed: {}", super::reason(&error))
                }
                Err(_) => {}
            }
        }
    }
    status
}

fn listen(options: &Options, host: &str, port: &str) -> io::Result<()> {
    let host = if host.is_empty() { if options.has('6') { "::" } else { "0.0.0.0" } } else { host };
    let port: u16 = port.parse().map_err(|_| io::Error::other(format!("port number invalid: {port}")))?;
    let listener = TcpListener::bind((host, port))?;
    loop {
        let (stream, _) = listener.accept()?;
        between(options, stream)?;
        if !options.has('k') {
            return Ok(());
        }
    }
}

/// One connection, by a file's name.
fn listen_at(path: &str) -> io::Result<()> {
    let (mut stream, _) = UnixListener::bind(path)?.accept()?;
    io::copy(&mut stream, &mut io::stdout().lock()).map(drop)
}

fn between(options: &Options, stream: TcpStream) -> io::Result<()> {
    let mut sender = stream.try_clone()?;
    let end = options.has('N');
    if !options.has('d') {
        std::thread::spawn(move || {
            let sent = io::copy(&mut io::stdin().lock(), &mut sender);
            if end && sent.is_ok() {
                let _closed_already = sender.shutdown(Shutdown::Write);
            }
        });
    }
    let mut receiver = stream;
    let mut buffer = [0u8; 65536];
    loop {
        match receiver.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                io::stdout().write_all(&buffer[..length])?;
                io::stdout().flush()?;
            }
            // -w is for an idle connection as well, and that is no failure (netcat.c, readwrite: "timeout happened").
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn service(port: u16) -> String {
    let wanted = format!("{port}/tcp");
    let text = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == wanted).then(|| name.to_string())
    });
    name.unwrap_or_else(|| "*".into())
}

fn usage() -> i32 {
    eprintln!(
        "usage: nc [-46DdEFhklMNnrStUuvz] [-e policy] [-I length] [-i interval] [-O length]\n\t  [-P proxy_username] [-p source_port] [-s source] [-T ToS]\n\t  [-V rtable] [-w timeout] [-X proxy_protocol]\n\t  [-x proxy_address[:port]] [destination] [port]"
    );
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w_ends_a_connection_on_which_nothing_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let silent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Until the other side goes.
            stream.read(&mut [0]).unwrap()
        });
        let args = ["-d", "-w", "1", "127.0.0.1", &port].map(str::to_owned);
        let options = getopt("nc", "dw:", &args).unwrap();
        assert_eq!(dial(&options, "127.0.0.1", &port), 0);
        assert_eq!(silent.join().unwrap(), 0);
    }
}
