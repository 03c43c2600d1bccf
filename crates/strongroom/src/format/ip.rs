//! IP addresses: four decimal numbers without leading zeros (RFC 6943, section 3.1.1, strict), or as in RFC 4291,
//! section 2.2.

use core::net::IpAddr;

pub(super) fn is_ip(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_either_version_without_port_prefix_or_zone() {
        for text in ["127.0.0.1", "0.0.0.0", "::1", "2001:DB8::1", "::ffff:10.0.0.1"] {
            assert!(is_ip(text));
        }
        for text in [
            "",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.4:80",
            "10.0.0.0/8",
            "fe80::1%eth0",
            "[::1]",
            "::1 ",
        ] {
            assert!(!is_ip(text));
        }
    }
}
