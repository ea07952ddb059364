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

/// Those of its `socketserver` module.
const SOCKETSERVER: &str = "BaseServer TCPServer UDPServer UnixStreamServer UnixDatagramServer ForkingMixIn \
    ThreadingMixIn ForkingTCPServer ForkingUDPServer ForkingUnixStreamServer ForkingUnixDatagramServer \
    ThreadingTCPServer ThreadingUDPServer ThreadingUnixStreamServer ThreadingUnixDatagramServer \
    BaseRequestHandler StreamRequestHandler DatagramRequestHandler rfile wfile request client_address server setup \
    handle finish serve_forever handle_request shutdown server_close process_request finish_request verify_request \
    handle_error handle_timeout service_actions request_queue_size max_packet_size allow_reuse_address \
    address_family daemon_threads max_children";

#[test]
fn every_name_of_python_s_modules_has_one_row() {
    let (socket, socketserver) = GUIDE.split_once("\n## socketserver\n").expect("two tables");
    for (table, names) in [(socket, SOCKET), (socketserver, SOCKETSERVER)] {
        for name in names.split_whitespace() {
            let quoted = format!("`{name}`");
            let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
            let count = rows.filter(|names| names.split(", ").any(|other| other == quoted)).count();
            assert_eq!(count, 1, "{name}");
        }
    }
}
