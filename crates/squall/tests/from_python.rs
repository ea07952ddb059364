//! The guide for people who come from Python leaves out no name.

const GUIDE: &str = include_str!("../../../docs/from-python.md");

/// The names of Python's `socket` module that the guide answers, by table.
const SOCKET: &str = "bind listen accept connect connect_ex recv recv_into send sendall recvfrom recvfrom_into \
    sendto getpeername getsockname getsockopt setsockopt shutdown close detach ioctl setblocking settimeout \
    gettimeout fileno makefile family type proto \
    AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_TIPC SOCK_STREAM SOCK_DGRAM has_ipv6 error herror gaierror timeout \
    socket socketpair create_connection fromfd ssl getaddrinfo getnameinfo getfqdn gethostname gethostbyname \
    gethostbyname_ex gethostbyaddr getprotobyname getservbyname getservbyport ntohl ntohs htonl htons inet_aton \
    inet_ntoa inet_pton inet_ntop getdefaulttimeout setdefaulttimeout";

#[test]
fn every_name_of_the_socket_module_has_one_row() {
    for name in SOCKET.split_whitespace() {
        let row = format!("\n| `{name}` | ");
        assert_eq!(GUIDE.matches(&row).count(), 1, "{name}");
    }
}
