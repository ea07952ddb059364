//! Whatever comes first on a secure connection: it is a greeting that reads as it was written, or the error names a
//! byte that is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_proto::secure::{Greeting, GreetingError, Parting};

fuzz_target!(|input: ([u8; Greeting::LEN], u64)| {
    let (bytes, code) = input;
    match Greeting::decode(&bytes) {
        Ok(greeting) => assert_eq!(greeting.encode(), bytes, "there is one writing of each"),
        Err(GreetingError::Kind(kind)) => assert!(kind > 1 && kind == bytes[0]),
        Err(GreetingError::NotZero { at, found }) => {
            assert!(bytes[0] == 0 && found != 0 && bytes[at] == found)
        }
        Err(other) => panic!("{other}"),
    }
    if let Some(parting) = Parting::of(code) {
        assert_eq!(u64::from(parting.code()), code);
        assert!(code < u64::from(Parting::FIRST_OF_PROTOCOL));
    }
});
