use alloc::vec;

use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, OptionsError> {
    Ok(Options::parse(bytes)?.0.iter().map(|field| (field.number, field.value.to_vec())).collect())
}

#[test]
fn deltas_and_lengths_of_every_width_are_read() {
    let long = vec![b'x'; 269];
    let mut bytes = vec![0x01, b'a', 0xd1, 0, b'b', 0xe1, 0, 0, b'c', 0x0d, 0];
    bytes.extend_from_slice(&long[..13]);
    bytes.extend_from_slice(&[0x0e, 0, 0]);
    bytes.extend_from_slice(&long);
    let expected = vec![
        (0, b"a".to_vec()),
        (13, b"b".to_vec()),
        (282, b"c".to_vec()),
        (282, long[..13].to_vec()),
        (282, long.clone()),
    ];
    assert_eq!(parse(&bytes), Ok(expected));
}

#[test]
fn what_is_malformed_says_what_and_where() {
    let table: [(&[u8], Problem, usize); 14] = [
        (&[0xf0], Problem::ReservedDelta, 0),
        (&[0xf1, 1], Problem::ReservedDelta, 0),
        (&[0x00, 0x0f], Problem::ReservedLength, 1),
        (&[0xd0], Problem::HeaderTruncated, 0),
        (&[0xe0, 1], Problem::HeaderTruncated, 0),
        (&[0x0d], Problem::HeaderTruncated, 0),
        (&[0x0e, 1], Problem::HeaderTruncated, 0),
        (&[0xdd, 1], Problem::HeaderTruncated, 0),
        (&[0x02, 1], Problem::ValueTruncated, 0),
        (&[0x0e, 0xff, 0xff, 1], Problem::ValueTruncated, 0),
        (&[0xff], Problem::MarkerWithoutPayload, 0),
        (&[0x10, 0xff], Problem::MarkerWithoutPayload, 1),
        // 65,804 by itself, and 65,535 in two steps and one more.
        (&[0xe0, 0xff, 0xff], Problem::NumberOverflow, 0),
        (&[0xe0, 0xfe, 0xf2, 0x10], Problem::NumberOverflow, 3),
    ];
    for (bytes, problem, at) in table {
        assert_eq!(parse(bytes), Err(OptionsError { problem, at }), "{bytes:02x?}");
    }
    assert_eq!(parse(&[0xe0, 0xfe, 0xf2]), Ok(vec![(65_535, vec![])]), "the highest number is one");
}

#[test]
fn a_marker_ends_the_options_and_may_stand_in_a_value() {
    let (options, payload) = Options::parse(&[0x11, 0xff, 0xff, 0xff, 0x00]).unwrap();
    assert_eq!(options.get(1), Some([0xff].as_slice()));
    assert_eq!(payload, [0xff, 0x00]);
}

#[test]
fn an_option_out_of_form_is_not_recognised() {
    // (number, value lengths, whether it can be had, whether it is refused)
    let table: [(u16, &[usize], bool, bool); 14] = [
        (number::URI_HOST, &[0], false, true),
        (number::URI_HOST, &[1], true, false),
        (number::URI_HOST, &[256], false, true),
        (number::URI_HOST, &[1, 1], true, true),
        (number::IF_NONE_MATCH, &[0], true, false),
        (number::IF_NONE_MATCH, &[1], false, true),
        (number::URI_PATH, &[0, 255, 1], true, false),
        (number::URI_PATH, &[1, 256], true, true),
        (number::ACCEPT, &[2], true, false),
        (number::ACCEPT, &[3], false, true),
        (number::BLOCK1, &[4], false, true),
        (number::CONTENT_FORMAT, &[3], false, false),
        (number::CONTENT_FORMAT, &[1, 1], true, false),
        (number::OBSERVE, &[4], false, false),
    ];
    for (number, lengths, had, refused) in table {
        let mut encoded = Vec::new();
        let mut last = 0;
        for length in lengths {
            append(&mut encoded, last, number, &vec![0; *length]);
            last = number;
        }
        let (options, _) = Options::parse(&encoded).unwrap();
        assert_eq!(options.contains(number), had, "{number} {lengths:?}");
        assert_eq!(options.unrecognized_critical(|_| true).is_some(), refused, "{number} {lengths:?}");
    }
}

#[test]
fn only_critical_options_must_be_known() {
    let mut options = OptionsBuf::new();
    options.push(2048, b"x").unwrap();
    assert_eq!(options.as_options().unrecognized_critical(|_| false), None);
    options.push(9, b"x").unwrap();
    let found = options.as_options().unrecognized_critical(|number| number != 9);
    assert_eq!(found.map(|field| field.number), Some(9));
}

#[test]
fn numbers_tell_how_an_option_is_to_be_treated() {
    // The columns C, U and N of RFC 7252's table 4.
    for (number, critical, not_forwarded, no_cache_key) in [
        (number::IF_MATCH, true, false, false),
        (number::URI_HOST, true, true, false),
        (number::ETAG, false, false, false),
        (number::MAX_AGE, false, true, false),
        (number::ACCEPT, true, false, false),
        (number::SIZE1, false, false, true),
        (number::ECHO, false, false, true),
        (number::REQUEST_TAG, false, false, false),
    ] {
        assert_eq!(is_critical(number), critical, "{number}");
        assert_eq!(is_unsafe(number), not_forwarded, "{number}");
        assert_eq!(is_no_cache_key(number), no_cache_key, "{number}");
    }
}

#[test]
fn the_buffer_takes_nothing_that_a_reader_would_refuse() {
    let mut options = OptionsBuf::new();
    options.push(number::URI_QUERY, b"q").unwrap().push(number::URI_PATH, b"a").unwrap();
    options.push(number::URI_PATH, b"b").unwrap().push_uint(number::ACCEPT, 0).unwrap();
    let before = options.clone();
    let repeated = OptionError::Repeated { number: number::ACCEPT };
    assert_eq!(options.push_uint(number::ACCEPT, 1).unwrap_err(), repeated);
    options.push(number::SIZE1, b"").unwrap();
    assert_eq!(options.push_uint(number::ACCEPT, 1).unwrap_err(), repeated);
    options.remove(number::SIZE1);
    let length = OptionError::Length { number: number::URI_PATH, length: 256 };
    assert_eq!(options.push(number::URI_PATH, &[0; 256]).unwrap_err(), length);
    let huge = OptionError::Length { number: 65_000, length: 65_805 };
    assert_eq!(options.push(65_000, &[0; 65_805]).unwrap_err(), huge);
    assert_eq!(options, before);
    let fields: Vec<_> = options.as_options().iter().map(|field| (field.number, field.value)).collect();
    assert_eq!(fields, [(11, b"a".as_slice()), (11, b"b"), (15, b"q"), (17, b"")]);
}

#[test]
fn numbers_are_as_short_as_they_can_be() {
    for (number, bytes) in
        [(0, &[] as &[u8]), (1, &[1]), (255, &[255]), (256, &[1, 0]), (u32::MAX, &[255, 255, 255, 255])]
    {
        assert_eq!(&*UintValue::new(number), bytes);
        assert_eq!(Field { number: 0, value: bytes }.uint(), Some(number));
    }
    assert_eq!(Field { number: 0, value: &[0, 0, 0, 7] }.uint(), Some(7), "zeroes before it are read");
    assert_eq!(Field { number: 0, value: &[0, 0, 0, 0, 7] }.uint(), None);
}

proptest! {
    #[test]
    fn what_is_put_together_is_read_again(
        fields in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)), 0..9),
    ) {
        let mut options = OptionsBuf::new();
        let mut taken = Vec::new();
        for (number, value) in fields {
            if options.push(number, &value).is_ok() {
                taken.push((number, value));
            }
        }
        taken.sort_by_key(|(number, _)| *number);
        prop_assert_eq!(parse(options.as_options().encoded()), Ok(taken));
    }

    #[test]
    fn no_bytes_upset_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok((options, payload)) = Options::parse(&bytes) {
            let total: usize = options.iter().map(|field| field.value.len()).sum();
            prop_assert!(total + payload.len() <= bytes.len());
        }
    }
}
