//! Many datagrams with one system call.
//!
//! Storage belongs to the caller and is reused. On Linux the calls are
//! [recvmmsg(2)](https://man7.org/linux/man-pages/man2/recvmmsg.2.html) and
//! [sendmmsg(2)](https://man7.org/linux/man-pages/man2/sendmmsg.2.html); the portable back end makes one call for
//! each datagram.
#![allow(
    clippy::unnecessary_cast,
    reason = "the widths of the structures' fields differ between C libraries"
)]

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::address::RawAddress;
use crate::ancillary::{self, Ancillary, CONTROL_SIZE, Control, Writer};
use crate::{Address, UnixAddress};

/// Room for a batch of received datagrams. Any number of sockets can share one.
pub struct ReceiveBatch {
    /// `slots` buffers of `size` bytes, `stride` apart.
    buffers: Box<[u8]>,
    size: usize,
    stride: usize,
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[MessageHeader]>,
    received: usize,
}

// SAFETY: the raw pointers in `iovecs` and `headers` point into the boxes beside them, which move with
// the structure, and are followed only by `receive`, which borrows it exclusively.
unsafe impl Send for ReceiveBatch {}

/// A received datagram, or a train of them with one segment size.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The bytes; those of several datagrams when `ancillary.segment_size` is less than their length.
    pub payload: &'a [u8],
    /// Who sent it.
    pub from: Address,
    /// Whether the datagram was longer than the buffer and the rest is lost (`MSG_TRUNC`).
    pub truncated: bool,
    /// What else the kernel said.
    pub ancillary: Ancillary,
}

impl<'a> Message<'a> {
    /// The datagrams, one by one.
    pub fn segments(&self) -> Segments<'a> {
        let size = self.ancillary.segment_size.unwrap_or(self.payload.len()).max(1);
        Segments { rest: Some(self.payload), size }
    }
}

/// The datagrams of a [`Message`]; an empty one is one, too.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: Option<&'a [u8]>,
    size: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (segment, rest) = rest.split_at(self.size.min(rest.len()));
        self.rest = (!rest.is_empty()).then_some(rest);
        Some(segment)
    }
}

impl ReceiveBatch {
    /// Room for `slots` datagrams of up to `size` bytes each. The system gives memory only for what is
    /// written; 65,536 bytes hold any datagram and any train of them.
    pub fn new(slots: usize, size: usize) -> Self {
        // Buffers a power of two apart share the same few sets of the processor's caches.
        let stride = size.next_multiple_of(64) + 64;
        let mut buffers = vec![0; slots * stride].into_boxed_slice();
        let mut names = vec![RawAddress::default(); slots].into_boxed_slice();
        let mut controls = vec![Control::EMPTY; slots].into_boxed_slice();
        let mut iovecs: Box<[libc::iovec]> = buffers
            .chunks_exact_mut(stride)
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: size })
            .collect();
        let headers = (0..slots)
            .map(|slot| {
                let mut header = MessageHeader::default();
                let message = header.message();
                message.msg_name = (&raw mut names[slot].storage).cast();
                message.msg_namelen = RawAddress::FULL;
                message.msg_iov = &raw mut iovecs[slot];
                message.msg_iovlen = 1;
                message.msg_control = controls[slot].0.as_mut_ptr().cast();
                message.msg_controllen = CONTROL_SIZE as _;
                header
            })
            .collect();
        Self { buffers, size, stride, names, controls, iovecs, headers, received: 0 }
    }

    /// How many datagrams fit.
    pub fn slots(&self) -> usize {
        self.iovecs.len()
    }

    /// Takes up to `limit` datagrams that wait at `socket`, without waiting for more, in place of what
    /// the batch held before.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; a pending error of the socket; the system's.
    pub fn receive(&mut self, socket: impl AsFd, limit: usize) -> io::Result<usize> {
        self.clear();
        self.receive_more(socket, limit)
    }

    /// Takes up to `limit` datagrams that wait at `socket` behind those that the batch holds, and as many
    /// as it has room for: what several sockets have makes one batch. Returns how many came.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); what the batch held stays.
    pub fn receive_more(&mut self, socket: impl AsFd, limit: usize) -> io::Result<usize> {
        let start = self.received;
        let end = start + limit.min(self.slots() - start);
        if start == end {
            return Ok(0);
        }
        let count = receive_messages(socket.as_fd(), &mut self.headers[start..end])?;
        self.received += count;
        for (header, name) in
            self.headers[start..self.received].iter().zip(&mut self.names[start..self.received])
        {
            name.len = header.message_ref().msg_namelen;
        }
        Ok(count)
    }

    /// How many datagrams, or trains of them, the batch holds.
    pub fn len(&self) -> usize {
        self.received
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.received == 0
    }

    /// Forgets what the batch holds.
    pub fn clear(&mut self) {
        for (header, name) in self.headers[..self.received].iter_mut().zip(&mut self.names) {
            // The kernel overwrote the lengths of the slots that it used.
            let message = header.message();
            message.msg_namelen = RawAddress::FULL;
            message.msg_controllen = CONTROL_SIZE as _;
            message.msg_flags = 0;
            name.storage.ss_family = 0;
        }
        self.received = 0;
    }

    /// The datagrams of the last [`receive`](Self::receive), in the order of arrival. One from an
    /// address of an unknown family is left out.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        (0..self.received).filter_map(|slot| self.get(slot))
    }

    /// The bytes of the datagram number `slot` alone, for whoever has seen the rest; none in a slot that
    /// holds no datagram.
    pub fn payload(&self, slot: usize) -> &[u8] {
        if slot >= self.received {
            return &[];
        }
        let start = slot * self.stride;
        &self.buffers[start..start + self.headers[slot].len().min(self.size)]
    }

    /// The datagram number `slot` of the last [`receive`](Self::receive).
    pub fn get(&self, slot: usize) -> Option<Message<'_>> {
        if slot >= self.received {
            return None;
        }
        let message = self.headers[slot].message_ref();
        Some(Message {
            payload: self.payload(slot),
            from: self.names[slot].parse().ok()?,
            truncated: message.msg_flags & libc::MSG_TRUNC != 0,
            ancillary: ancillary::parse(&self.controls[slot], message.msg_controllen as usize),
        })
    }
}

/// A datagram to be sent, or a train of them.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The bytes.
    pub payload: &'a [u8],
    /// To whom; `None` on a connected socket.
    pub to: Option<Address>,
    /// The local address to send from, where the socket is bound to none. Its port is not looked at.
    pub source: Option<SocketAddr>,
    /// Cuts the payload into datagrams of this size (`UDP_SEGMENT`): at most 64 of them and 65,507
    /// bytes together, none longer than the path MTU.
    pub segment_size: Option<u16>,
}

/// Headers for a batch of datagrams that are sent. Any number of sockets can share one.
pub struct SendBatch {
    names: Box<[RawAddress]>,
    controls: Box<[Control]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[MessageHeader]>,
}

// SAFETY: the raw pointers are written and followed within one call of `send` and never after it.
unsafe impl Send for SendBatch {}

impl SendBatch {
    /// Headers for `slots` datagrams or trains a call.
    pub fn new(slots: usize) -> Self {
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            names: vec![RawAddress::default(); slots].into_boxed_slice(),
            controls: vec![Control::EMPTY; slots].into_boxed_slice(),
            iovecs: vec![empty; slots].into_boxed_slice(),
            headers: (0..slots).map(|_| MessageHeader::default()).collect(),
        }
    }

    /// How many datagrams or trains go with one call.
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Sends what `messages` gives, up to the batch's slots, with one call and without waiting, and
    /// returns how many went. When the call stopped in the middle, sending the rest tells why. A
    /// socket of the family IPv6 wants `v6_socket`, so that IPv4 addresses are mapped for it.
    ///
    /// # Errors
    /// That of the first message: `WouldBlock` when the send buffer is full; the system's.
    pub fn send<'a>(
        &mut self,
        socket: impl AsFd,
        v6_socket: bool,
        messages: impl Iterator<Item = Outgoing<'a>>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for (slot, outgoing) in (0..self.headers.len()).zip(messages) {
            self.set(slot, &outgoing, v6_socket)?;
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        send_messages(socket.as_fd(), &mut self.headers[..count])
    }

    fn set(&mut self, slot: usize, outgoing: &Outgoing<'_>, v6_socket: bool) -> io::Result<()> {
        // The kernel does not write through the pointer of a message that is sent.
        let base = outgoing.payload.as_ptr().cast_mut().cast();
        self.iovecs[slot] = libc::iovec { iov_base: base, iov_len: outgoing.payload.len() };
        let mut writer = Writer::new(&mut self.controls[slot]);
        if let Some(source) = outgoing.source {
            let interface = match source {
                SocketAddr::V6(v6) => v6.scope_id(),
                SocketAddr::V4(_) => 0,
            };
            writer.source(source.ip(), interface, v6_socket);
        }
        if let Some(size) = outgoing.segment_size {
            #[cfg(all(target_os = "linux", not(squall_portable)))]
            writer.segment_size(size);
            #[cfg(not(all(target_os = "linux", not(squall_portable))))]
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("no segmented sends ({size})")));
        }
        let control_len = writer.len();
        let message = self.headers[slot].message();
        message.msg_iov = &raw mut self.iovecs[slot];
        message.msg_iovlen = 1;
        match outgoing.to {
            Some(Address::Unix(unix)) if unix == UnixAddress::UNNAMED => {
                return Err(io::Error::new(io::ErrorKind::NotConnected, "an unnamed peer has no address"));
            }
            Some(address) => {
                for_family(address, v6_socket).write_to(&mut self.names[slot]);
                message.msg_name = (&raw mut self.names[slot].storage).cast();
                message.msg_namelen = self.names[slot].len;
            }
            None => {
                message.msg_name = std::ptr::null_mut();
                message.msg_namelen = 0;
            }
        }
        if control_len > 0 {
            message.msg_control = self.controls[slot].0.as_mut_ptr().cast();
        } else {
            message.msg_control = std::ptr::null_mut();
        }
        message.msg_controllen = control_len as _;
        Ok(())
    }
}

/// Whether this back end can send a train of datagrams with one header (`UDP_SEGMENT`).
pub const SEGMENTED_SENDS: bool = cfg!(all(target_os = "linux", not(squall_portable)));

/// An IPv4 address as an IPv6 socket takes it.
fn for_family(address: Address, v6_socket: bool) -> Address {
    match address {
        Address::Ip(SocketAddr::V4(v4)) if v6_socket => {
            Address::Ip(SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()))
        }
        address => address,
    }
}

#[cfg(all(target_os = "linux", not(squall_portable)))]
use linux::{MessageHeader, receive_messages, send_messages};
#[cfg(not(all(target_os = "linux", not(squall_portable))))]
use portable::{MessageHeader, receive_messages, send_messages};

#[cfg(all(target_os = "linux", not(squall_portable)))]
mod linux {
    use super::*;

    #[repr(transparent)]
    pub(super) struct MessageHeader(libc::mmsghdr);

    impl Default for MessageHeader {
        fn default() -> Self {
            // SAFETY: all zero is a valid mmsghdr.
            Self(unsafe { mem::zeroed() })
        }
    }

    impl MessageHeader {
        pub(super) fn message(&mut self) -> &mut libc::msghdr {
            &mut self.0.msg_hdr
        }

        pub(super) fn message_ref(&self) -> &libc::msghdr {
            &self.0.msg_hdr
        }

        pub(super) fn len(&self) -> usize {
            self.0.msg_len as usize
        }
    }

    pub(super) fn receive_messages(fd: BorrowedFd<'_>, headers: &mut [MessageHeader]) -> io::Result<usize> {
        // The timeout stays null: the kernel checks it only after a datagram has come.
        let timeout = std::ptr::null_mut();
        let flags = libc::MSG_DONTWAIT;
        let count = headers.len() as libc::c_uint;
        // SAFETY: each header's pointers are good for the lengths beside them, as their owner holds
        // name, buffer and control for every slot; MessageHeader is transparent to mmsghdr.
        let result = unsafe {
            libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, flags as _, timeout)
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    pub(super) fn send_messages(fd: BorrowedFd<'_>, headers: &mut [MessageHeader]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let count = headers.len() as libc::c_uint;
        // SAFETY: as above; payloads outlive the call by the caller's borrow.
        let result =
            unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr().cast(), count, flags as _) };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

#[cfg(not(all(target_os = "linux", not(squall_portable))))]
mod portable {
    use super::*;

    pub(super) struct MessageHeader {
        message: libc::msghdr,
        len: usize,
    }

    impl Default for MessageHeader {
        fn default() -> Self {
            // SAFETY: all zero is a valid msghdr.
            Self { message: unsafe { mem::zeroed() }, len: 0 }
        }
    }

    impl MessageHeader {
        pub(super) fn message(&mut self) -> &mut libc::msghdr {
            &mut self.message
        }

        pub(super) fn message_ref(&self) -> &libc::msghdr {
            &self.message
        }

        pub(super) fn len(&self) -> usize {
            self.len
        }
    }

    pub(super) fn receive_messages(fd: BorrowedFd<'_>, headers: &mut [MessageHeader]) -> io::Result<usize> {
        for (count, header) in headers.iter_mut().enumerate() {
            // SAFETY: the header's pointers are good for the lengths beside them.
            let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header.message, libc::MSG_DONTWAIT) };
            match usize::try_from(len) {
                Ok(len) => header.len = len,
                Err(_) if count > 0 => return Ok(count),
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(headers.len())
    }

    pub(super) fn send_messages(fd: BorrowedFd<'_>, headers: &mut [MessageHeader]) -> io::Result<usize> {
        for (count, header) in headers.iter().enumerate() {
            // SAFETY: as above; payloads outlive the call by the caller's borrow.
            let sent =
                unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header.message, libc::MSG_DONTWAIT) };
            if sent < 0 {
                return if count > 0 { Ok(count) } else { Err(io::Error::last_os_error()) };
            }
        }
        Ok(headers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Kind, Socket};

    fn bound(address: &str) -> (Socket, SocketAddr) {
        let address: SocketAddr = address.parse().unwrap();
        let socket =
            Socket::open(if address.is_ipv4() { Family::V4 } else { Family::V6 }, Kind::Datagram).unwrap();
        socket.bind(address).unwrap();
        let local = socket.local_address().unwrap().ip().unwrap();
        (socket, local)
    }

    fn to(address: SocketAddr, payload: &[u8]) -> Outgoing<'_> {
        Outgoing { payload, to: Some(address.into()), source: None, segment_size: None }
    }

    #[test]
    fn a_batch_goes_and_comes_in_order_with_empty_datagrams() {
        let (server, address) = bound("127.0.0.1:0");
        let (client, from) = bound("127.0.0.1:0");
        let payloads: [&[u8]; 3] = [b"one", b"", b"three"];
        let mut sending = SendBatch::new(8);
        assert_eq!(sending.send(&client, false, payloads.map(|p| to(address, p)).into_iter()).unwrap(), 3);
        let mut batch = ReceiveBatch::new(8, 64);
        assert_eq!(batch.receive(&server, 8).unwrap(), 3);
        let got: Vec<_> = batch.iter().map(|received| (received.payload, received.from)).collect();
        assert_eq!(got, payloads.map(|payload| (payload, Address::Ip(from))));
        let error = batch.receive(&server, 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(batch.iter().count(), 0, "an old batch is not seen twice");
    }

    #[test]
    fn one_batch_takes_what_several_sockets_have_until_it_is_full() {
        let ((one, to_one), (other, to_other)) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let (client, _) = bound("127.0.0.1:0");
        let messages = [to(to_one, b"one"), to(to_other, b"two"), to(to_other, b"three"), to(to_other, b"4")];
        SendBatch::new(4).send(&client, false, messages.into_iter()).unwrap();
        let mut batch = ReceiveBatch::new(3, 64);
        assert_eq!(batch.receive_more(&one, 1).unwrap(), 1);
        let error = batch.receive_more(&one, 1).unwrap_err();
        assert_eq!((error.kind(), batch.len()), (io::ErrorKind::WouldBlock, 1));
        assert_eq!(batch.receive_more(&other, 8).unwrap(), 2, "as many as it has room for");
        assert_eq!(batch.receive_more(&other, 8).unwrap(), 0);
        let got: Vec<_> = batch.iter().map(|received| received.payload).collect();
        assert_eq!(got, [b"one".as_slice(), b"two", b"three"]);
        assert_eq!(batch.receive(&other, 8).unwrap(), 1, "in place of what it held");
        assert_eq!(batch.get(0).unwrap().payload, b"4");
    }

    #[test]
    fn a_datagram_longer_than_its_slot_says_that_it_was_cut() {
        let (server, address) = bound("127.0.0.1:0");
        let (client, _) = bound("127.0.0.1:0");
        SendBatch::new(1).send(&client, false, [to(address, b"12345")].into_iter()).unwrap();
        let mut batch = ReceiveBatch::new(1, 4);
        batch.receive(&server, 1).unwrap();
        let received = batch.get(0).unwrap();
        assert_eq!((received.payload, received.truncated), (b"1234".as_slice(), true));
    }

    #[test]
    fn the_error_of_the_first_message_is_told_and_those_before_an_error_are_sent() {
        let (server, address) = bound("127.0.0.1:0");
        let (client, _) = bound("127.0.0.1:0");
        let huge = vec![0; 70_000];
        let messages = [to(address, b"good"), to(address, &huge), to(address, b"late")];
        let mut sending = SendBatch::new(8);
        assert_eq!(sending.send(&client, false, messages.into_iter()).unwrap(), 1);
        let error = sending.send(&client, false, messages.into_iter().skip(1)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        assert_eq!(sending.send(&client, false, messages.into_iter().skip(2)).unwrap(), 1);
        let mut batch = ReceiveBatch::new(8, 64);
        assert_eq!(batch.receive(&server, 8).unwrap(), 2);
    }

    #[test]
    fn segments_are_cut_by_size_with_a_shorter_last_one() {
        let ancillary = Ancillary { segment_size: Some(4), ..Ancillary::default() };
        let from = Address::Unix(UnixAddress::UNNAMED);
        let train = Message { payload: b"aaaabbbbcc", from, truncated: false, ancillary };
        assert_eq!(train.segments().collect::<Vec<_>>(), [b"aaaa".as_slice(), b"bbbb", b"cc"]);
        let empty = Message { payload: b"", ..train };
        assert_eq!(empty.segments().collect::<Vec<_>>(), [b""]);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(squall_portable)))]
    fn a_segmented_send_arrives_as_a_train_where_it_is_asked_for() {
        let (server, address) = bound("127.0.0.1:0");
        crate::socket::set_option(server.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1_i32).unwrap();
        let (client, _) = bound("127.0.0.1:0");
        let train = Outgoing { segment_size: Some(3), ..to(address, b"aaabbbcc") };
        SendBatch::new(1).send(&client, false, [train].into_iter()).unwrap();
        let mut batch = ReceiveBatch::new(4, 65_536);
        batch.receive(&server, 4).unwrap();
        let received = batch.get(0).unwrap();
        assert_eq!(received.segments().collect::<Vec<_>>(), [b"aaa".as_slice(), b"bbb", b"cc"]);
    }
}
