//! The address of a client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue};

/// The key for counting a client's failed authentications: its IPv4 address, or the /64 of its IPv6 address, within
/// which anyone can have any number. Clients with an unknown address share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(Option<IpAddr>);

impl ClientAddress {
    /// The address that the outermost of this many trusted proxies saw; without proxies, that of the connection.
    pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions, proxies: usize) -> Self {
        let peer = || extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        forwarded(headers, proxies).or_else(peer).map_or(Self(None), Self::of_ip)
    }

    pub(crate) fn of_ip(address: IpAddr) -> Self {
        Self(Some(network(address)))
    }
}

/// Each proxy appends the address that it saw, so only the last entries can be trusted: the client itself may have
/// written those before them.
fn forwarded(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    // As bytes: whatever else the client wrote there, the last entries are the proxies' own.
    let values: Vec<&[u8]> = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes).collect();
    let entries = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    let entry = std::str::from_utf8(entries.into_iter().nth(proxies.checked_sub(1)?)?).ok()?.trim();
    let ip = entry.parse().ok();
    ip.or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_hide_no_entry_of_a_proxy() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.9"));
        let mixed = HeaderValue::from_bytes(b"\xff, 198.51.100.3").unwrap();
        headers.append("x-forwarded-for", mixed);
        assert_eq!(forwarded(&headers, 1), Some("198.51.100.3".parse().unwrap()));
    }

    fn address(proxies: usize, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 80))));
        ClientAddress::of(&headers, &extensions, proxies).0.unwrap().to_string()
    }

    #[test]
    fn only_what_trusted_proxies_appended_counts() {
        let forwarded = ["198.51.100.1, 198.51.100.2", "198.51.100.3"];
        assert_eq!(address(0, &forwarded), "192.0.2.1");
        assert_eq!(address(1, &forwarded), "198.51.100.3");
        assert_eq!(address(2, &forwarded), "198.51.100.2");
        assert_eq!(address(4, &forwarded), "192.0.2.1");
        assert_eq!(address(1, &["x"]), "192.0.2.1");
        assert_eq!(address(1, &["198.51.100.1:8080"]), "198.51.100.1");
    }

    #[test]
    fn an_ipv6_address_counts_by_its_network() {
        assert_eq!(address(1, &["2001:db8:0:1:2:3:4:5"]), "2001:db8:0:1::");
        assert_eq!(address(1, &["[2001:db8:0:1::9]:80"]), "2001:db8:0:1::");
        assert_eq!(address(1, &["::ffff:198.51.100.1"]), "198.51.100.1");
    }
}
