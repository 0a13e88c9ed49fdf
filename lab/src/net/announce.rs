//! The gratuitous ARP request with which FreeBSD tells its neighbours of a new IPv4 address (contract 6.4; sys/netinet/if_ether.c arp_ifinit). It does nothing of the kind for IPv6.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

const ETHERTYPE_ARP: u16 = 0x0806;

/// Sends it: "who has ADDRESS, tell ADDRESS", from `mac`, to everybody.
pub fn announce(index: i32, mac: [u8; 6], address: Ipv4Addr) -> io::Result<()> {
    // SAFETY: a plain system call; the descriptor is ours.
    let fd = unsafe {
        libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, i32::from(ETHERTYPE_ARP.to_be()))
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made.
    let _socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let packet = packet(mac, address);
    // SAFETY: an all-zero sockaddr_ll is a valid one.
    let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = ETHERTYPE_ARP.to_be();
    to.sll_ifindex = index;
    to.sll_halen = 6;
    to.sll_addr[..6].copy_from_slice(&[0xff; 6]);
    // SAFETY: packet and address live for the call and have the sizes that are told.
    let sent = unsafe {
        libc::sendto(
            fd,
            packet.as_ptr().cast(),
            packet.len(),
            0,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// RFC 826: Ethernet and IPv4, a request; the target's hardware address is not known.
fn packet(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(mac);
    packet.extend(address.octets());
    packet.extend([0; 6]);
    packet.extend(address.octets());
    packet
}

/// Reads `02:16:32:51:72:0a`.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn sender_and_target_are_the_address() {
        let mac = super::mac("02:16:32:51:72:0a").expect("a MAC address");
        let packet = super::packet(mac, [192, 168, 123, 50].into());
        assert_eq!(packet.len(), 28);
        assert_eq!(
            (&packet[8..14], &packet[14..18], &packet[24..28]),
            (&mac[..], &[192, 168, 123, 50][..], &[192, 168, 123, 50][..])
        );
    }
}
