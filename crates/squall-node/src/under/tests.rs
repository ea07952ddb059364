use std::net::{Ipv4Addr, Ipv6Addr};

use squall::Time;
use squall::socket::hosts::Offloads;
use squall_weather::{Decision, Direction, Packet, Weather};

use super::icmp;
use super::ip::{self, Parts};
use super::segments::{self, Train};
use super::way::{Hands, Item, Way};

const V4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 2));
const V6: (Ipv6Addr, Ipv6Addr) =
    (Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

/// An IPv4 packet with "don't fragment", or an IPv6 one, around what the transport has.
fn packet(is_v4: bool, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; if is_v4 { 20 } else { 40 }];
    if is_v4 {
        (packet[0], packet[8], packet[9]) = (0x45, 64, protocol);
        packet[4..6].copy_from_slice(&0xfffe_u16.to_be_bytes());
        packet[6] = 0x40;
        packet[12..16].copy_from_slice(&V4.0.octets());
        packet[16..20].copy_from_slice(&V4.1.octets());
    } else {
        (packet[0], packet[6], packet[7]) = (0x60, protocol, 64);
        packet[8..24].copy_from_slice(&V6.0.octets());
        packet[24..40].copy_from_slice(&V6.1.octets());
    }
    packet.extend_from_slice(transport);
    ip::set_length(&mut packet);
    packet
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut udp = vec![0x04, 0xd2, 0, 7];
    udp.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    udp
}

/// TCP with 12 bytes of options, FIN, PSH, ACK and CWR, near the end of the sequence numbers.
fn train(is_v4: bool, payload: &[u8], segment: u16) -> (Vec<u8>, Offloads) {
    let mut tcp = vec![0; 32];
    tcp[0..4].copy_from_slice(&[0x04, 0xd2, 0, 80]);
    tcp[4..8].copy_from_slice(&(u32::MAX - 10).to_be_bytes());
    (tcp[12], tcp[13]) = (8 << 4, 0x80 | 0x10 | 0x08 | 0x01);
    tcp.extend_from_slice(payload);
    let packet = packet(is_v4, ip::TCP, &tcp);
    let checksum_start = if is_v4 { 20 } else { 40 };
    let offloads = Offloads {
        flags: Offloads::NEEDS_CHECKSUM,
        segmentation: Offloads::ECN | if is_v4 { Offloads::TCP4 } else { Offloads::TCP6 },
        headers: checksum_start + 32,
        segment,
        checksum_start,
        checksum_offset: 16,
    };
    (packet, offloads)
}

/// Whether the checksums of IP and of the transport fit what the packet holds.
fn checks(packet: &[u8]) -> bool {
    let parts = Parts::of(packet).unwrap();
    let header = packet[0] >> 4 != 4 || ip::fold(ip::add(0, &packet[..parts.transport])) == 0xffff;
    let transport = &packet[parts.transport..];
    let pseudo_header = match parts.protocol {
        ip::ICMP => 0,
        protocol => ip::pseudo_header(packet, protocol, transport.len()),
    };
    header && ip::fold(ip::add(pseudo_header, transport)) == 0xffff
}

#[test]
fn the_checksum_is_the_one_of_the_rfc() {
    // RFC 1071, section 3.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(ip::fold(ip::add(0, &bytes)), 0xddf2);
    assert_eq!(ip::fold(ip::add(0, &[1, 2, 3])), 0x0402, "an odd byte has a zero behind it");
    assert_eq!(ip::fold(ip::add(0, &[0xff; 65_534])), 0xffff);
}

#[test]
fn the_parts_of_a_packet_are_found() {
    for is_v4 in [true, false] {
        let start = if is_v4 { 20 } else { 40 };
        let datagram = packet(is_v4, ip::UDP, &udp(b"hello"));
        let parts = Parts::of(&datagram).unwrap();
        assert_eq!((parts.transport, parts.payload, parts.protocol), (start, start + 8, ip::UDP));
        assert_eq!((parts.source.port(), parts.destination.port()), (1234, 7));
        assert_eq!(&datagram[parts.vulnerable(&datagram)], b"hello");
        let (segment, _) = train(is_v4, b"", 1000);
        let parts = Parts::of(&segment).unwrap();
        assert_eq!(parts.payload, segment.len());
        assert_eq!(
            parts.vulnerable(&segment),
            start..segment.len(),
            "without payload, the transport's headers"
        );
    }
    // Hop-by-hop options, then a fragment header of a later fragment.
    let mut extended =
        packet(false, 0, &[44, 0, 1, 4, 0, 0, 0, 0, ip::UDP, 0, 0, 8, 0, 0, 0, 1, 9, 9, 9, 9, 9]);
    let parts = Parts::of(&extended).unwrap();
    assert_eq!((parts.transport, parts.payload, parts.first_fragment), (56, 56, false));
    assert_eq!(parts.source.port(), 0);
    extended[40 + 8 + 3] = 0;
    assert_eq!(Parts::of(&extended).map(|parts| parts.first_fragment), Some(true));
}

#[test]
fn no_packet_however_short_or_odd_makes_it_panic() {
    let mut random = numbers(1);
    let (tcp4, offloads) = train(true, &[7; 100], 40);
    let (tcp6, _) = train(false, &[7; 100], 40);
    for original in [packet(true, ip::UDP, &udp(b"x")), packet(false, ip::UDP, &udp(b"x")), tcp4, tcp6] {
        for _ in 0..20_000 {
            let mut bytes = original.clone();
            bytes.truncate(random() as usize % (original.len() + 1));
            for _ in 0..random() % 4 {
                let index = random() as usize % bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(index) {
                    *byte = random() as u8;
                }
            }
            if let Some(parts) = Parts::of(&bytes) {
                assert!(parts.vulnerable(&bytes).end <= bytes.len());
            }
            let mut out = vec![0; icmp::LONGEST_ANSWER];
            icmp::too_big(&bytes, 1400, super::hosts::ROUTER, &mut out);
            if !ip::may_not_be_cut(&bytes) && Parts::of(&bytes).is_some() {
                ip::fragment(&bytes, 68, |_| {});
                ip::fragment(&bytes, usize::MAX, |_| {});
            }
            segments::complete(&mut bytes.clone(), &mut { offloads });
            if let Some(train) = Train::of(&bytes, &offloads) {
                for index in 0..train.segments() {
                    train.cut(&bytes, index, 1, &mut vec![0; train.size(index, 1)]);
                }
            }
        }
    }
}

fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

#[test]
fn a_train_is_cut_into_what_would_have_been_on_the_wire() {
    let payload: Vec<u8> = (0..250).collect();
    for is_v4 in [true, false] {
        let (whole, offloads) = train(is_v4, &payload, 100);
        let train = Train::of(&whole, &offloads).unwrap();
        assert_eq!(train.segments(), 3);
        let headers = whole.len() - payload.len();
        let mut got = Vec::new();
        for index in 0..3 {
            let mut bytes = vec![0xee; train.size(index, 1)];
            let mut open = train.cut(&whole, index, 1, &mut bytes);
            assert_eq!((open.segmentation, open.segment), (0, 0));
            segments::complete(&mut bytes, &mut open);
            assert_eq!(open, Offloads::default());
            assert!(checks(&bytes), "segment {index}");
            let tcp = &bytes[headers - 32..];
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            assert_eq!(sequence, (u32::MAX - 10).wrapping_add(index as u32 * 100));
            assert_eq!(
                tcp[13],
                [0x80 | 0x10, 0x10, 0x10 | 0x08 | 0x01][index],
                "CWR first; FIN and PSH last"
            );
            if is_v4 {
                assert_eq!(bytes[4..6], 0xfffe_u16.wrapping_add(index as u16).to_be_bytes());
            }
            got.extend_from_slice(&bytes[headers..]);
        }
        assert_eq!(got, payload);
    }
}

#[test]
fn a_part_of_a_train_is_a_train() {
    let (whole, offloads) = train(true, &[5; 450], 100);
    let train = Train::of(&whole, &offloads).unwrap();
    let mut bytes = vec![0; train.size(2, 3)];
    let open = train.cut(&whole, 2, 3, &mut bytes);
    assert_eq!(bytes.len(), 52 + 250);
    let rest = Train::of(&bytes, &open).unwrap();
    assert_eq!((rest.segments(), open.segmentation), (3, Offloads::TCP4), "CWR was in the first");
    // Cut again it gives what the whole gives.
    for index in 0..3 {
        let mut again = vec![0; rest.size(index, 1)];
        let mut once = vec![0; train.size(index + 2, 1)];
        rest.cut(&bytes, index, 1, &mut again);
        train.cut(&whole, index + 2, 1, &mut once);
        assert_eq!(again, once, "segment {index}");
    }
}

#[test]
fn a_packet_that_is_one_is_no_train() {
    let (whole, offloads) = train(true, &[5; 450], 100);
    assert!(Train::of(&whole, &Offloads { segmentation: 0, ..offloads }).is_none());
    assert!(Train::of(&whole, &Offloads { segment: 0, ..offloads }).is_none());
    assert!(Train::of(&whole[..52], &offloads).is_none(), "without payload");
    assert!(Train::of(&whole[..30], &offloads).is_none(), "cut off in its headers");
}

#[test]
fn an_open_checksum_is_completed() {
    for is_v4 in [true, false] {
        let mut datagram = packet(is_v4, ip::UDP, &udp(b"hello, world"));
        let start = if is_v4 { 20 } else { 40 };
        let sum = ip::fold(ip::pseudo_header(&datagram, ip::UDP, datagram.len() - start));
        datagram[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
        let mut open = Offloads {
            flags: Offloads::NEEDS_CHECKSUM,
            checksum_start: start as u16,
            checksum_offset: 6,
            ..Offloads::default()
        };
        assert!(!checks(&datagram));
        segments::complete(&mut datagram, &mut open);
        assert!(checks(&datagram));
        segments::complete(&mut datagram, &mut open);
        assert!(checks(&datagram), "what is complete stays so");
    }
}

#[test]
fn the_sender_of_a_packet_that_is_too_big_is_told_the_mtu() {
    let routers = super::hosts::ROUTER;
    let mut out = vec![0; icmp::LONGEST_ANSWER];
    let datagram = packet(true, ip::UDP, &udp(&[9; 1400]));
    let length = icmp::too_big(&datagram, 1280, routers, &mut out).unwrap();
    let answer = &out[..length];
    assert!(checks(answer));
    let parts = Parts::of(answer).unwrap();
    assert_eq!((parts.source.ip(), parts.destination.ip()), (routers.0.into(), V4.0.into()));
    assert_eq!((answer[20..22].to_vec(), &answer[26..28]), (vec![3, 4], &1280_u16.to_be_bytes()[..]));
    assert_eq!(answer[28..], datagram[..28]);

    let datagram = packet(false, ip::UDP, &udp(&[9; 1400]));
    let length = icmp::too_big(&datagram, 1280, routers, &mut out).unwrap();
    let answer = &out[..length];
    assert_eq!(length, 1280);
    assert!(checks(answer));
    assert_eq!((answer[40..42].to_vec(), &answer[44..48]), (vec![2, 0], &1280_u32.to_be_bytes()[..]));
    assert_eq!(answer[48..], datagram[..1280 - 48]);
    // An error about an error could go on for ever.
    let about = answer.to_vec();
    assert_eq!(icmp::too_big(&about, 1000, routers, &mut out), None);
}

#[test]
fn a_packet_that_may_be_cut_is_cut_as_a_router_does() {
    let payload: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let mut datagram = packet(true, ip::UDP, &udp(&payload));
    assert!(ip::may_not_be_cut(&datagram));
    datagram[6] = 0;
    ip::set_length(&mut datagram);
    assert!(!ip::may_not_be_cut(&datagram));
    let mut pieces = Vec::new();
    ip::fragment(&datagram, 1400, |piece| pieces.push(piece.to_vec()));
    let mut whole = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        assert!(piece.len() <= 1400);
        assert_eq!(ip::fold(ip::add(0, &piece[..20])), 0xffff);
        let field = u16::from_be_bytes([piece[6], piece[7]]);
        assert_eq!(usize::from(field & 0x1fff) * 8, whole.len());
        assert_eq!(field & 0x2000 != 0, index < pieces.len() - 1, "more fragments");
        assert_eq!(Parts::of(piece).unwrap().first_fragment, index == 0);
        whole.extend_from_slice(&piece[20..]);
    }
    assert_eq!((pieces.len(), &whole[..]), (3, &datagram[20..]));
    // A fragment of a fragment keeps its place.
    let mut again = Vec::new();
    ip::fragment(&pieces[1], 700, |piece| again.push(piece.to_vec()));
    let fields: Vec<u16> = again.iter().map(|piece| u16::from_be_bytes([piece[6], piece[7]])).collect();
    assert_eq!(fields, [0x2000 | 172, 0x2000 | (172 + 85), 0x2000 | (172 + 170)]);
}

/// What a way makes of a packet that is sent at zero: what is under way with its times, and the rest.
fn carry(weather: &str, bytes: &[u8], offloads: Offloads) -> (Vec<(Time, Item)>, Way, Hands) {
    let weather: Weather = weather.parse().unwrap();
    let mut way = Way::new(Direction::Up, weather.link(Direction::Up, 1).into());
    let mut hands = Hands::default();
    let mut buffer = hands.buffers.take(super::buffers::LONGEST);
    buffer[..bytes.len()].copy_from_slice(bytes);
    way.accept(Time::ZERO, buffer, bytes.len(), &offloads, &mut hands);
    let mut out = Vec::new();
    while let Some(at) = way.queue.poll_timeout() {
        out.push((at, way.queue.pop(at).unwrap()));
    }
    (out, way, hands)
}

fn bytes(item: &Item) -> &[u8] {
    &item.bytes[..item.length as usize]
}

#[test]
fn a_train_that_arrives_whole_is_handed_over_as_it_came() {
    let (whole, offloads) = train(true, &[5; 4000], 1000);
    let (out, way, _) = carry("delay=25ms", &whole, offloads);
    let [(at, item)] = &out[..] else { panic!("{} packets", out.len()) };
    assert_eq!((*at, bytes(item), item.offloads), (Time::from_nanos(25_000_000), &whole[..], offloads));
    let carried = way.result();
    assert_eq!((carried.weather.forwarded, carried.weather.bytes), (4, 4 * 1052));
    assert_eq!(carried.sent_bytes, 4 * 1052, "as on the wire, with the headers of each segment");
}

#[test]
fn segments_leave_a_bottleneck_one_after_the_other() {
    let (whole, offloads) = train(true, &[5; 3500], 1000);
    let (out, ..) = carry("rate=8mbit,delay=1ms", &whole, offloads);
    // A byte each microsecond.
    let times: Vec<u64> = out.iter().map(|(at, _)| at.as_nanos() / 1000).collect();
    assert_eq!(times, [2052, 3104, 4156, 4708]);
    assert!(out.iter().all(|(_, item)| item.offloads.segmentation == 0));
}

#[test]
fn what_is_lost_of_a_train_is_missing_and_the_rest_stays_together() {
    let payload: Vec<u8> = (0..50_000_u32).map(|index| (index / 1000) as u8).collect();
    let (whole, offloads) = train(false, &payload, 1000);
    let (out, way, _) = carry("loss=20%", &whole, offloads);
    let carried = way.result();
    assert!(carried.weather.loss > 2 && carried.weather.forwarded > 25, "{carried:?}");
    assert!(out.len() < carried.weather.forwarded as usize, "some stay together");
    let headers = whole.len() - payload.len();
    let mut seen = Vec::new();
    for (_, item) in &out {
        let packet = bytes(item);
        let sequence = u32::from_be_bytes(packet[44..48].try_into().unwrap()).wrapping_sub(u32::MAX - 10);
        assert_eq!(u32::from(packet[headers]) * 1000, sequence, "the payload is where it belongs");
        seen.extend(packet[headers..].chunks(1000).map(|segment| segment[0]));
    }
    // The same seed, asked segment by segment.
    let mut link = "loss=20%".parse::<Weather>().unwrap().link(Direction::Up, 1);
    let mut arrives = |index: &u8| {
        let payload = &payload[usize::from(*index) * 1000..][..1000];
        let packet = Packet { size: headers + 1000, payload, peer: None };
        matches!(link.decide(Time::ZERO, &packet), Decision::Delivered(_))
    };
    assert_eq!(seen, (0..50).filter(|index| arrives(index)).collect::<Vec<u8>>());
}

#[test]
fn a_wrong_bit_is_one_that_the_checksum_tells() {
    for (is_v4, count) in [(true, 4), (false, 4)] {
        let (whole, offloads) = train(is_v4, &[5; 4000], 1000);
        let (out, way, _) = carry("corrupt=100%", &whole, offloads);
        assert_eq!((out.len(), way.result().weather.corrupted), (count, 4));
        for (_, item) in &out {
            assert_eq!(item.offloads, Offloads::default());
            assert!(!checks(bytes(item)));
        }
    }
}

#[test]
fn a_train_that_is_too_big_is_answered_once() {
    let (whole, offloads) = train(true, &[5; 4500], 1400);
    let (out, way, hands) = carry("mtu=1300", &whole, offloads);
    // Its last segment is short and passes.
    assert_eq!((out.len(), hands.answers.len(), way.result().weather.too_big), (1, 1, 3));
    assert!(checks(bytes(&hands.answers[0])));
    let (out, _, hands) = carry("mtu=1300,mtu-icmp=no", &whole, offloads);
    assert_eq!((out.len(), hands.answers.len()), (1, 0), "a black hole");
}

#[test]
fn a_copy_is_a_packet_of_its_own() {
    let datagram = packet(true, ip::UDP, &udp(b"hello"));
    let (out, way, _) = carry("duplicate=100%", &datagram, Offloads::default());
    assert_eq!(out.iter().map(|(_, item)| bytes(item)).collect::<Vec<_>>(), [&datagram[..], &datagram[..]]);
    assert_eq!(way.result().weather.duplicated, 1);
}
