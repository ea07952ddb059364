//! `squall ask coap://…`: arguments, output, exit codes.

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use squall::coap::block::{Block, BlockSize};
use squall::coap::message::{Message, Type};
use squall::coap::options::number;
use squall::coap::server::{Resource, Server as Machine, ServerConfig};
use squall::coap::writer::{Header, Reliability, Writer};
use squall::{Method, Refusal, Reply, Request, Running, Server, Service, Status};
use support::{squall, squall_with};

struct Coap {
    _running: Running,
    uri: String,
}

impl Coap {
    fn new() -> Self {
        let echo = |request: &Request<'_>, reply: &mut Reply<'_>| {
            reply.write(format!("{} ", request.target.method()).as_bytes())?;
            reply.write(request.payload)
        };
        let format = |request: &Request<'_>, reply: &mut Reply<'_>| {
            let (format, accept) = (request.target.content_format(), request.target.accept());
            reply.write(format!("{format:?} {accept:?}").as_bytes())
        };
        let no = |_: &Request<'_>, reply: &mut Reply<'_>| -> Result<(), Refusal> {
            reply.status(Status::FORBIDDEN);
            reply.write(b"not \x1bfor you")
        };
        let bytes = |_: &Request<'_>, reply: &mut Reply<'_>| reply.write(b"\xff\0");
        let ticks = AtomicU32::new(0);
        let tick = move |_: &Request<'_>, reply: &mut Reply<'_>| {
            reply.write(format!("tick {}", ticks.fetch_add(1, Ordering::Relaxed)).as_bytes())
        };
        let resources = vec![
            Resource::new("", |_: &Request<'_>, reply: &mut Reply<'_>| reply.write(b"root")),
            Resource::new("echo", echo).methods(&Method::ALL).title("An echo").text(),
            Resource::new("format", format),
            Resource::new("no", no),
            Resource::new("bytes", bytes),
            Resource::new("tick", tick).observable(Duration::from_millis(20)),
        ];
        let machine = Machine::new(&ServerConfig::default(), resources, 7);
        let service = Service::protocol("coap", machine).at("udp://127.0.0.1:0").unwrap();
        let running = Server::new().service(service).shards(1).start().unwrap();
        let uri = format!("coap://{}", running.local_addrs()[0]);
        Self { _running: running, uri }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.uri)
    }
}

#[test]
fn a_resource_is_printed_as_it_is() {
    let coap = Coap::new();
    squall(&["ask", &coap.at("/echo")]).is(0, "GET ", "");
    squall(&["ask", &coap.uri]).is(0, "root", "");
    assert_eq!(squall(&["ask", &coap.at("/bytes")]).stdout, b"\xff\0");
    squall(&["ask", &coap.at("/bytes"), "--hex"]).is(0, "ff00\n", "");
}

#[test]
fn what_is_sent_is_posted_unless_a_method_is_named() {
    let coap = Coap::new();
    let echo = coap.at("/echo");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from a file").unwrap();
    let path = format!("@{}", file.path().display());
    squall(&["ask", &echo, "a text"]).is(0, "POST a text", "");
    squall(&["ask", &echo, "--payload", "a text"]).is(0, "POST a text", "");
    squall(&["ask", &echo, "--payload", &path, "--method", "put"]).is(0, "PUT from a file", "");
    squall(&["ask", &echo, "--method", "FETCH", "x"]).is(0, "FETCH x", "");
    squall_with(&["ask", &echo, "--payload", "-"], b"one\ntwo\n").is(0, "POST one\ntwo\n", "");
    squall_with(&["ask", &echo, "--stdin", "--method", "patch"], b"all").is(0, "PATCH all", "");
    squall_with(&["ask", &echo], b"nobody reads this").is(0, "GET ", "");
    squall(&["ask", &echo, "--non", "x"]).is(0, "POST x", "");
}

#[test]
fn a_long_payload_goes_in_blocks_and_a_long_answer_comes_in_blocks() {
    let coap = Coap::new();
    let text = "0123456789".repeat(1000);
    let ended =
        squall_with(&["ask", &coap.at("/echo"), "--stdin", "--block-size", "256", "--json"], text.as_bytes());
    let [answer] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!(answer["text"], format!("POST {text}"));
    assert!(answer["messages"].as_u64().unwrap() >= 79);
}

#[test]
fn what_is_too_long_to_be_sent_is_refused_with_the_limit() {
    let coap = Coap::new();
    let echo = coap.at("/echo");
    let text = "x".repeat((1 << 20) + 1);
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), text).unwrap();
    let payload = format!("@{}", path.path().display());
    let says = format!("squall: {echo}: 4.13 Request Entity Too Large (at most 1048576 bytes)\n");
    squall(&["ask", &echo, "--payload", &payload]).is(1, "", &says);
    let [answer] = &squall(&["ask", &echo, "--payload", &payload, "--json"]).json()[..] else { panic!() };
    assert_eq!(answer["limit"], 1_048_576);
}

#[test]
fn formats_have_names_and_numbers() {
    let coap = Coap::new();
    let format = coap.at("/format");
    squall(&["ask", &format, "--content-format", "application/json", "--accept", "0", "x"]).is(
        0,
        "Some(50) Some(0)",
        "",
    );
    let ended = squall(&["ask", &format, "--accept", "text/no-such"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("\"text/no-such\" is no Content-Format"), "{}", ended.stderr);
}

#[test]
fn an_error_of_the_servers_is_told_in_one_line_and_ends_with_1() {
    let coap = Coap::new();
    let no = coap.at("/no");
    squall(&["ask", &no]).is(1, "", &format!("squall: {no}: 4.03 Forbidden: not \\x1bfor you\n"));
    let ended = squall(&["ask", &no, "--json"]);
    let [answer] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!((ended.code, &answer["code"]), (Some(1), &"4.03".into()));
    assert_eq!(answer["error"], format!("{no}: 4.03 Forbidden"));
}

#[test]
fn states_are_shown_line_by_line() {
    let coap = Coap::new();
    let ended = squall(&["ask", &coap.at("/tick"), "--observe=3"]);
    assert_eq!((ended.code, ended.text().lines().count(), ended.stderr.as_str()), (Some(0), 3, ""));
    assert!(ended.text().lines().all(|line| line.starts_with("tick ")), "{ended:?}");
    let ended = squall(&["ask", &coap.at("/tick"), "--observe", "--for", "200ms"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.text().lines().count() >= 2, "{ended:?}");
    let few = squall(&["ask", &coap.at("/tick"), "--observe=1000000", "--for", "200ms"]);
    let shown = few.text().lines().count();
    assert_eq!(few.code, Some(69), "{few:?}");
    assert!(shown >= 2, "{few:?}");
    assert!(few.stderr.contains(&format!("{shown} of 1000000 states of ")), "{}", few.stderr);
    let once = squall(&["ask", &coap.at("/echo"), "--observe=2"]);
    assert_eq!((once.code, once.text()), (Some(0), "GET \n"));
    assert!(once.stderr.contains("cannot be observed"), "{}", once.stderr);
}

#[test]
fn links_are_shown_one_a_line() {
    let coap = Coap::new();
    let ended = squall(&["ask", &coap.at("/.well-known/core")]);
    let echo = ended.text().lines().find(|line| line.starts_with("/echo ")).expect("/echo");
    assert!(echo.contains("  title=An echo"), "{echo}");
    assert!(
        ended.text().lines().any(|line| line.starts_with("/tick ") && line.contains("  obs")),
        "{ended:?}"
    );
}

#[test]
fn a_ping_tells_whether_the_server_is_there() {
    let coap = Coap::new();
    let ended = squall(&["ask", &coap.uri, "--ping"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.text().starts_with(&format!("{}/ is alive, ", coap.uri)), "{ended:?}");
    let [pong] = &squall(&["ask", &coap.uri, "--ping", "--json"]).json()[..] else { panic!("no answer") };
    assert_eq!((&pong["alive"], &pong["server"]), (&true.into(), &coap.uri.as_str().into()));
}

#[test]
fn a_silent_server_ends_with_69_at_the_promised_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}", silent.local_addr().unwrap());
    let started = Instant::now();
    let ended = squall(&["ask", &uri, "--timeout", "3500ms", "--method", "post", "--json"]);
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(3500) && elapsed < Duration::from_secs(20), "{elapsed:?}");
    let [failure] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!(ended.code, Some(69));
    // After 0 and 2 to 3 s.
    assert_eq!((&failure["messages"], &failure["executed"]), (&2.into(), &"unknown".into()));
    let seconds = failure["seconds"].as_f64().unwrap();
    assert!((3.5..20.0).contains(&seconds), "{seconds}");
}

#[test]
fn clients_of_a_silent_server_do_not_wait_in_step() {
    // RFC 7252 §4.2: ACK_RANDOM_FACTOR.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://{}", silent.local_addr().unwrap());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let uri = uri.clone();
            std::thread::spawn(move || squall(&["ask", &uri, "--tries", "1", "--json"]))
        })
        .collect();
    let mut waits: Vec<f64> = clients
        .into_iter()
        .map(|client| client.join().unwrap().json()[0]["seconds"].as_f64().unwrap())
        .collect();
    waits.sort_by(f64::total_cmp);
    assert!(waits[0] >= 2.0, "{waits:?}");
    assert!(waits[7] - waits[0] > 0.1, "{waits:?}");
}

const LINKS: &[u8] = b"</time>;obs;title=\"The time, of day\",</echo>,</scratch>;rt=squall.scratch";

/// Begins a member of a group on the loopback interface, which answers with the first block of [`LINKS`] and, to
/// those who bring its Echo, with the rest of them if it `goes_on`. Another member answers with all of its list.
/// Gives the group's URI, and the name of the interface.
fn group(goes_on: bool) -> (String, &'static str) {
    let lo = if squall::socket::interface_index("lo").is_ok() { "lo" } else { "lo0" };
    let member = UdpSocket::bind("0.0.0.0:0").unwrap();
    member.join_multicast_v4(&Ipv4Addr::new(239, 255, 80, 91), &Ipv4Addr::LOCALHOST).unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let uri = format!("coap://239.255.80.91:{}/.well-known/core", member.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = member.recv_from(&mut buffer) {
            let request = Message::parse(&buffer[..length]).unwrap();
            let is_group = request.message_type() == Type::NonConfirmable;
            let number = match Block::of(request.options(), number::BLOCK2).unwrap() {
                Some(block) => block.number(),
                None => 0,
            };
            if !is_group {
                assert_eq!(request.options().get(number::ECHO), Some(b"fresh".as_slice()));
            }
            let header = if is_group {
                Header::separate(Reliability::NonConfirmable, 7, request.token(), Status::CONTENT)
            } else {
                Header::piggybacked(request.id(), request.token(), Status::CONTENT)
            };
            if is_group || goes_on {
                let size = BlockSize::at_most(32);
                let rest = &LINKS[number as usize * 32..];
                let block = Block::new(number, rest.len() > 32, size).unwrap();
                let mut datagram = Vec::new();
                let mut writer = Writer::new(&mut datagram, header).unwrap();
                writer.uint(number::CONTENT_FORMAT, 40).unwrap();
                writer.option(number::BLOCK2, &block.value()).unwrap();
                writer.option(number::ECHO, b"fresh").unwrap();
                writer.payload(&rest[..rest.len().min(32)]).unwrap();
                member.send_to(&datagram, from).unwrap();
            }
            if is_group {
                let mut datagram = Vec::new();
                let mut writer = Writer::new(&mut datagram, header).unwrap();
                writer.uint(number::CONTENT_FORMAT, 40).unwrap();
                writer.payload(b"</other>").unwrap();
                other.send_to(&datagram, from).unwrap();
            }
        }
    });
    (uri, lo)
}

#[test]
fn the_answers_of_a_groups_members_are_whole_and_stand_behind_their_names() {
    let (uri, lo) = group(true);
    let ended = squall(&["ask", &uri, "--interface", lo, "--for", "1s"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let mut answers: Vec<&str> = ended.text().trim_end().split("\n\n").collect();
    // In the order in which they came.
    answers.sort_by_key(|answer| answer.lines().count());
    let [other, member] = answers[..] else { panic!("{ended:?}") };
    assert!(other.starts_with("from 127.0.0.1:") && other.ends_with("\n/other"), "{other}");
    assert!(member.starts_with("from 127.0.0.1:"), "{member}");
    let names: Vec<_> = member.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["/time", "/echo", "/scratch"]);
    let ended = squall(&["ask", &uri, "--interface", lo, "--for", "1s", "--json"]);
    let answers = ended.json();
    let member = answers.iter().find(|answer| answer["text"] != "</other>").unwrap();
    assert_eq!(member["text"], str::from_utf8(LINKS).unwrap());
    assert!(member["server"].as_str().unwrap().starts_with("coap://127.0.0.1:"));
    assert!(answers.iter().all(|answer| answer.get("truncated").is_none()), "{answers:?}");
}

#[test]
fn a_members_answer_whose_rest_does_not_come_is_marked() {
    let (uri, lo) = group(false);
    let ended = squall(&["ask", &uri, "--interface", lo, "--for", "500ms"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.text().contains("/other\n"), "{ended:?}");
    assert!(ended.stderr.contains(": the rest of this answer did not come in time"), "{}", ended.stderr);
    let answers = squall(&["ask", &uri, "--interface", lo, "--for", "500ms", "--json"]).json();
    let cut: Vec<_> = answers.iter().filter(|answer| answer["truncated"] == true).collect();
    assert_eq!((answers.len(), cut.len()), (2, 1), "{answers:?}");
    assert_eq!(cut[0]["text"], str::from_utf8(&LINKS[..32]).unwrap());
}

#[test]
fn verbose_tells_of_each_message() {
    let coap = Coap::new();
    let ended = squall(&["ask", &coap.at("/echo?a=%0a"), "-v"]);
    for part in [
        ": CON 0x",
        " GET token ",
        " Uri-Path=echo",
        " Uri-Query=a=\\n",
        ": ACK 0x",
        " 2.05 Content",
        "Content-Format=0",
        " and 4 bytes",
    ] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert_eq!(ended.text(), "GET ");
}

#[test]
fn what_is_typed_wrong_ends_with_2_in_one_line() {
    for (arguments, says) in [
        (&["coap://"][..], "there is no host"),
        (&["coap:host"], "does not begin with coap://"),
        (&["coap://h/#x"], "no part behind #"),
        (&["coap://h:0/"], "no number from 1 to 65535"),
        (&["localhost", "--observe"], "--observe goes with coap:// addresses"),
        (&["localhost", "--method", "get"], "--method goes with coap:// addresses"),
        (&["localhost", "--also", "coap://h"], "cannot answer for another"),
        (&["coap://127.0.0.1", "--also", "udp://127.0.0.1:1"], "does not begin with coap://"),
        (&["coap://127.0.0.1", "--method", "steal"], "there is no such method"),
        (&["coap://127.0.0.1", "--observe", "--method", "put"], "goes with get and fetch"),
        (&["coap://127.0.0.1", "--observe=0"], "without a COUNT"),
        (&["coap://127.0.0.1", "--observe", "3"], "write --observe=3"),
        (&["coap://127.0.0.1", "--payload", "@/no/such/file"], "cannot read \"/no/such/file\""),
        (&["coap://127.0.0.1", "--for", "1s"], "--for goes with --observe"),
        (&["coap://127.0.0.1", "--block-size", "100"], "is no block size"),
        (&["coap://127.0.0.1", "--interface", "lo"], "--interface goes with multicast"),
        (&["coap://224.0.1.187", "--interface", "no-such"], "there is no interface \"no-such\""),
        (&["coap://127.0.0.1", "--ping", "text"], "cannot be used with"),
        (&["coap://127.0.0.1", "--payload", "a", "text"], "cannot be used with"),
        (&["coap://127.0.0.1", "--from", "unixgram:/tmp/x"], "a Unix path is no address"),
    ] {
        let ended = squall(&[&["ask"], arguments].concat());
        assert_eq!((ended.code, ended.text()), (Some(2), ""), "{arguments:?} {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}
