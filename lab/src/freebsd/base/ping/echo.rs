//! ICMP echo over raw sockets.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::socket::SockaddrStorage;

use super::Asked;
use crate::net::fibs;

/// A raw socket bound to one destination.
pub struct Echo {
    socket: OwnedFd,
    to: IpAddr,
    from: IpAddr,
    id: u16,
    size: usize,
}

/// An answer.
pub struct Reply {
    /// Its number.
    pub sequence: u16,
    /// Its length, ICMP header and data.
    pub length: usize,
    /// Time to live, where known.
    pub ttl: u8,
}

impl Echo {
    /// Opens the socket, in the FIB of this process.
    pub fn open(asked: &Asked) -> io::Result<Echo> {
        let (family, protocol) = if asked.address.is_ipv4() {
            (libc::AF_INET, libc::IPPROTO_ICMP)
        } else {
            (libc::AF_INET6, libc::IPPROTO_ICMPV6)
        };
        // SAFETY: a plain system call; the descriptor is ours.
        let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        fibs::mark_socket(&socket)?;
        let option = |level: i32, name: i32, value: i32| -> io::Result<()> {
            // SAFETY: the value lives for the call and has the size that is told.
            let done = unsafe {
                libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t)
            };
            if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        match (asked.address.is_ipv4(), asked.whole, asked.path_mtu) {
            (true, true, _) => option(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)?,
            (true, false, _) => option(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?,
            // Without -u every packet is cut to the minimal MTU, so that an MTU test without it always passes (contract 6.5).
            (false, _, false) => option(libc::IPPROTO_IPV6, libc::IPV6_MTU, 1280)?,
            (false, true, true) => option(libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)?,
            (false, false, true) => {}
        }
        if let Some(source) = asked.source {
            nix::sys::socket::bind(fd, &SockaddrStorage::from(SocketAddr::new(source, 0))).map_err(io::Error::from)?;
        }
        let from = asked.source.unwrap_or_else(|| source_towards(asked.address));
        Ok(Echo { socket, to: asked.address, from, id: std::process::id() as u16, size: asked.size })
    }

    /// The address that packets leave from.
    pub fn source(&self) -> IpAddr {
        self.from
    }

    /// Sends echo request `sequence`.
    pub fn send(&mut self, sequence: u16) -> io::Result<()> {
        let mut packet = vec![if self.to.is_ipv4() { 8u8 } else { 128 }, 0, 0, 0];
        packet.extend(self.id.to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend((0..self.size).map(|at| at as u8));
        if self.to.is_ipv4() {
            let sum = checksum(&packet).to_be_bytes();
            packet[2..4].copy_from_slice(&sum);
        }
        let to = SockaddrStorage::from(SocketAddr::new(self.to, 0));
        nix::sys::socket::sendto(self.socket.as_raw_fd(), &packet, &to, nix::sys::socket::MsgFlags::empty())?;
        Ok(())
    }

    /// Waits for an answer to one of ours; none: the time was up, or it was something else.
    pub fn receive(&mut self, limit: Duration) -> io::Result<Option<Reply>> {
        use std::os::fd::AsFd;
        let milliseconds = limit.as_millis().min(1000) as u16 + u16::from(!limit.subsec_micros().is_multiple_of(1000));
        let mut polled = [nix::poll::PollFd::new(self.socket.as_fd(), nix::poll::PollFlags::POLLIN)];
        if nix::poll::poll(&mut polled, nix::poll::PollTimeout::from(milliseconds))? == 0 {
            return Ok(None);
        }
        let mut buffer = vec![0u8; 65536];
        let (length, from) = nix::sys::socket::recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut buffer)?;
        let peer = from.and_then(|from| {
            from.as_sockaddr_in()
                .map(|v4| IpAddr::V4(v4.ip()))
                .or_else(|| from.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        });
        let packet = buffer.get(..length).unwrap_or_default();
        let (ttl, icmp) = match (self.to, packet.first()) {
            (IpAddr::V4(_), Some(first)) => {
                (packet.get(8).copied().unwrap_or(0), packet.get(usize::from(first & 15) * 4..).unwrap_or_default())
            }
            _ => (64, packet),
        };
        let expected = if self.to.is_ipv4() { 0 } else { 129 };
        match icmp {
            [kind, 0, _, _, id1, id2, seq1, seq2, ..]
                if *kind == expected && u16::from_be_bytes([*id1, *id2]) == self.id && peer == Some(self.to) =>
            {
                Ok(Some(Reply { sequence: u16::from_be_bytes([*seq1, *seq2]), length: icmp.len(), ttl }))
            }
            _ => Ok(None),
        }
    }
}

fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 =
        packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The kernel's choice, asked by connecting a socket that never sends.
fn source_towards(to: IpAddr) -> IpAddr {
    let any: IpAddr =
        if to.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
        fibs::mark_socket(&socket)?;
        socket.connect((to, 9))?;
        socket.local_addr()
    });
    asked.map(|address| address.ip()).unwrap_or(any)
}
