//! Nothing that is shown acts on a terminal, and what is harmless is shown as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_proto::text::sanitize;

fuzz_target!(|bytes: &[u8]| {
    let shown = sanitize(bytes).to_string();
    assert!(!shown.chars().any(acts), "{shown:?}");
    match str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(acts) => assert_eq!(shown, text),
        _ => assert_ne!(shown.as_bytes(), bytes),
    }
    for max_len in [0, 1, 7, 40] {
        let cut = sanitize(bytes).max_len(max_len).to_string();
        assert!(cut.chars().count() <= max_len + 1, "{cut:?}");
        if cut != shown {
            assert!(cut.strip_suffix('…').is_some_and(|start| shown.starts_with(start)), "{cut:?}");
        }
    }
});

fn acts(character: char) -> bool {
    let marks = [0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0xfeff];
    let code = u32::from(character);
    character.is_control()
        || marks.contains(&code)
        || (0x202a..=0x202e).contains(&code)
        || (0x2066..=0x2069).contains(&code)
}
