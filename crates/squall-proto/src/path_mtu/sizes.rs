//! Which size is asked about next.

/// What is known of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The largest size that passes.
    pub(super) passes: u32,
    /// The smallest size that does not, or that is not sent.
    pub(super) bound: u32,
    /// Whether a size was tried and did not pass.
    pub(super) is_bound_tried: bool,
    /// The size that a router named last.
    pub(super) named: Option<u32>,
    /// `BASE_PLPMTU`.
    pub(super) base: u32,
}

/// The next size to ask about; `None` when nothing lies between what passes and what does not.
pub(super) fn next(known: &Known) -> Option<u32> {
    let Known { passes, bound, .. } = *known;
    let is_open = |size: &u32| passes < *size && *size < bound;
    if passes + 1 >= bound {
        return None;
    }
    if let Some(named) = known.named.filter(is_open) {
        return Some(named);
    }
    if known.named == Some(passes) {
        // The router's word is tried from above, too.
        return Some(passes + 1);
    }
    if is_open(&known.base) {
        return Some(known.base);
    }
    if !known.is_bound_tried {
        return Some(bound - 1);
    }
    if COMMON.binary_search(&passes).is_ok() {
        // Often the end; and what passes costs one round trip, what does not costs several waits.
        return Some(passes + 1);
    }
    let first = COMMON.partition_point(|size| *size <= passes);
    let end = COMMON.partition_point(|size| *size < bound);
    if first < end {
        return Some(COMMON[first + (end - first) / 2]);
    }
    Some(passes + (bound - passes) / 2)
}

/// MTUs that links and tunnels have, so that most searches end after a few probes.
const COMMON: [u32; 31] = [
    296,  // slow serial lines (RFC 1191 §7.1)
    508,  // ARCNET
    576,  // what every IPv4 host takes (RFC 791)
    1006, // SLIP
    1280, // the least of IPv6 (RFC 8200 §5), and many tunnels
    1330, 1358, 1380, // IPsec and GRE one over the other, mobile networks
    1400, // tunnels that are set by hand
    1412, 1420, // WireGuard over IPv6 and Ethernet
    1428, 1436, 1440, // WireGuard over IPv4, mobile networks
    1450, // VXLAN over IPv4
    1454, 1460, 1464, 1472, 1476, // PPPoE of access providers, clouds, GRE
    1480, // IP in IP
    1488, 1492, // PPPoE (RFC 2516)
    1500, // Ethernet
    2304, // IEEE 802.11
    4352, // FDDI
    8500, 8900, 9000, 9001, // jumbo frames
    9216,
];

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { passes: 68, bound: 1501, is_bound_tried: false, named: None, base: 1228 };

    #[test]
    fn the_base_size_comes_first_then_the_largest_then_what_links_have() {
        assert_eq!(next(&KNOWN), Some(1228));
        assert_eq!(next(&Known { passes: 1228, ..KNOWN }), Some(1500));
        let tried = Known { passes: 1228, bound: 1500, is_bound_tried: true, ..KNOWN };
        assert_eq!(next(&tried), Some(1440), "the middle of the common ones");
        assert_eq!(next(&Known { passes: 1440, ..tried }), Some(1441));
        assert_eq!(
            next(&Known { passes: 1493, ..tried }),
            Some(1496),
            "between 1492 and 1500 none is common"
        );
        assert_eq!(next(&Known { passes: 1499, ..tried }), None);
    }

    #[test]
    fn the_size_that_a_router_names_goes_before_all_others_and_is_tried_from_above() {
        let named = Known { named: Some(1333), bound: 1500, is_bound_tried: true, ..KNOWN };
        assert_eq!(next(&named), Some(1333));
        assert_eq!(next(&Known { passes: 1333, ..named }), Some(1334));
        assert_eq!(next(&Known { passes: 1334, bound: 1336, ..named }), Some(1335));
    }

    #[test]
    fn the_common_sizes_ascend() {
        assert!(COMMON.is_sorted_by(|one, next| one < next));
    }
}
