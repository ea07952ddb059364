//! The network interfaces of this machine.

use squall::IpFamily;
use squall::socket::{self, Interface, InterfaceFlags};

use super::LookupError;
use super::answer::{Answer, InterfaceAddress};

pub(super) fn all(family: IpFamily) -> Result<Vec<Answer>, LookupError> {
    Ok(socket::interfaces()?.into_iter().map(|interface| answer(interface, family)).collect())
}

fn answer(interface: Interface, family: IpFamily) -> Answer {
    let is_wanted = |known: &&socket::InterfaceAddress| family.has(&known.address);
    let addresses = interface.addresses.iter().filter(is_wanted).map(|known| InterfaceAddress {
        address: known.address.to_string(),
        prefix: known.prefix,
        netmask: known.netmask().to_string(),
        broadcast: known.broadcast.map(|address| address.to_string()),
        zone: (known.zone != 0).then(|| interface.name.clone()),
    });
    Answer::Interface {
        addresses: addresses.collect(),
        index: interface.index,
        mtu: interface.mtu,
        flags: flags(interface.flags),
        name: interface.name,
    }
}

fn flags(flags: InterfaceFlags) -> Vec<&'static str> {
    [
        (if flags.up { "up" } else { "down" }, true),
        ("no link", flags.up && !flags.running),
        ("loopback", flags.loopback),
        ("broadcast", flags.broadcast),
        ("multicast", flags.multicast),
        ("point-to-point", flags.point_to_point),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect()
}
