//! What ICMP and ICMPv6 messages say, in words.

use std::io;
use std::net::IpAddr;

use squall_socket::ReportedError;

/// Whether the message is "destination unreachable" for another reason than the datagram's size: from the target's
/// own host it says that the datagram got there.
pub(super) fn is_unreachable(offender: &IpAddr, error: &ReportedError) -> bool {
    match offender {
        IpAddr::V4(_) => error.icmp_type == 3 && error.icmp_code != 4,
        IpAddr::V6(_) => error.icmp_type == 1,
    }
}

/// Whether the message is "fragmentation needed" or "packet too big".
pub(super) fn is_too_big(offender: &IpAddr, error: &ReportedError) -> bool {
    match offender {
        IpAddr::V4(_) => (error.icmp_type, error.icmp_code) == (3, 4),
        IpAddr::V6(_) => error.icmp_type == 2,
    }
}

/// The message in the words of [RFC 792](https://www.rfc-editor.org/rfc/rfc792),
/// [RFC 1812 §5.2.7.1](https://www.rfc-editor.org/rfc/rfc1812#section-5.2.7.1) and
/// [RFC 4443](https://www.rfc-editor.org/rfc/rfc4443).
pub(super) fn words(offender: &IpAddr, error: &ReportedError) -> String {
    let known = match (offender, error.icmp_type, error.icmp_code) {
        (IpAddr::V4(_), 3, 0 | 6 | 11) => "network unreachable",
        (IpAddr::V4(_), 3, 1 | 7 | 8 | 12) => "host unreachable",
        (IpAddr::V4(_), 3, 2) => "protocol unreachable",
        (IpAddr::V4(_), 3, 3) | (IpAddr::V6(_), 1, 4) => "port unreachable",
        (IpAddr::V4(_), 3, 9 | 10 | 13) | (IpAddr::V6(_), 1, 1) => "administratively prohibited",
        (IpAddr::V4(_), 11, _) | (IpAddr::V6(_), 3, _) => "time to live exceeded on the way",
        (IpAddr::V6(_), 1, 0) => "no route",
        (IpAddr::V6(_), 1, 2) => "beyond the scope of the source address",
        (IpAddr::V6(_), 1, 3) => "address unreachable",
        (IpAddr::V6(_), 1, 5 | 6) => "rejected by its policy",
        _ => return io::Error::from_raw_os_error(error.errno).to_string(),
    };
    known.to_owned()
}
