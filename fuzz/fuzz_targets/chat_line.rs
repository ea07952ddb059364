//! Whatever members and hubs send: a line of a hub reads as it was written, and what a member says is clean.
#![no_main]

use libfuzzer_sys::fuzz_target;
use squall_proto::chat::wire::{Key, Line, Name, RoomName, Said, is_speaker, lines, speaker_key};
use squall_proto::text::clean;

fuzz_target!(|bytes: &[u8]| {
    for said in lines(bytes) {
        match said {
            Said::Text { text, .. } => {
                assert!(!text.is_empty());
                assert_eq!(clean(text.as_bytes()), text, "what is relayed is clean");
                assert!(!text.contains(['\n', '\r', '\0', '\u{1b}', '\u{202e}']));
                let _ = speaker_key(&text);
            }
            Said::Command(command) => {
                // A command is what it says that it is.
                let line = command.to_string();
                let again: Vec<_> = lines(line.as_bytes()).collect();
                assert_eq!(again, [Said::Command(command)], "{line}");
            }
            Said::Wrong(error) => {
                let told = error.to_string();
                assert!(told.len() < 256 && clean(told.as_bytes()) == told, "{told:?}");
            }
            Said::Quit | Said::Heartbeat(_) => {}
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        let once = Line::parse(line);
        let written = once.to_string();
        // Shares are written to the thousandth, so that the first writing may round.
        assert_eq!(Line::parse(&written).to_string(), written);
    }
    if let Ok(name) = Name::new(text) {
        assert!(RoomName::new(text).is_ok() && is_speaker(text));
        assert_eq!(Key::of(&text.to_lowercase()), name.key(), "case makes no other name");
        assert!(!text.contains([' ', ':', '~', '#', '*', '!', '/']));
    }
});
