//! `squall lookup`, completions and manual pages.

mod support;

use support::squall;

#[test]
fn an_address_is_its_own_answer() {
    squall(&["lookup", "127.1"]).is(0, "127.0.0.1\n", "");
}

#[test]
fn the_loopback_host_has_its_address_and_the_family_is_kept_to() {
    let ended = squall(&["lookup", "-4", "localhost"]);
    ended.is(0, "127.0.0.1\n", "");
    let ended = squall(&["lookup", "-4", "--json", "localhost"]);
    let [answer] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!((&answer["query"], &answer["kind"]), (&"localhost".into(), &"host".into()));
    assert_eq!(answer["addresses"], serde_json::json!(["127.0.0.1"]));
}

#[test]
fn several_questions_stand_before_their_answers() {
    squall(&["lookup", "127.1", "127.2"]).is(0, "127.1\t127.0.0.1\n127.2\t127.0.0.2\n", "");
}

#[test]
fn what_is_missing_ends_with_1_and_the_rest_is_answered() {
    let ended = squall(&["lookup", "a..b", "127.1"]);
    ended.is(1, "127.1\t127.0.0.1\n", "squall: no such name: host \"a..b\"\n");
    let ended = squall(&["lookup", "--json", "a..b"]);
    let [answer] = &ended.json()[..] else { panic!("{ended:?}") };
    assert_eq!(answer["error"], "no such name: host \"a..b\"");
    assert_eq!(answer["temporary"], false);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
}

#[test]
fn services_and_protocols_are_looked_up_as_the_library_does() {
    use squall::socket::{Kind, names};
    // A machine may lack the files; then the answer is that there is no such thing.
    let port = names::service_port("domain", Kind::Datagram).ok().map(|port| format!("{port}\n"));
    let name = names::service_name(53, Kind::Datagram).ok().map(|name| format!("{name}\n"));
    let number = names::protocol_number("udp").ok().map(|number| format!("{number}\n"));
    for (arguments, expected) in [
        (["lookup", "--service", "domain/udp"], port),
        (["lookup", "--service", "53/udp"], name),
        (["lookup", "--protocol", "udp"], number),
    ] {
        let ended = squall(&arguments);
        let code = if expected.is_some() { 0 } else { 1 };
        assert_eq!((ended.code, ended.text()), (Some(code), expected.unwrap_or_default().as_str()));
    }
    let ended = squall(&["lookup", "--service", "no-such-service"]);
    ended.is(1, "", "squall: no such service: \"no-such-service\" over udp or tcp\n");
}

#[test]
fn the_interfaces_are_listed_with_the_loopback_one_among_them() {
    let ended = squall(&["lookup", "--interfaces", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let has_loopback_address = |interface: &serde_json::Value| {
        let addresses = interface["addresses"].as_array().unwrap();
        addresses.iter().any(|known| known["address"] == "127.0.0.1" && known["prefix"] == 8)
    };
    assert!(ended.json().iter().any(has_loopback_address), "{ended:?}");
    let text = squall(&["lookup", "--interfaces"]);
    assert!(text.text().contains("\n  127.0.0.1/8\n"), "{text:?}");
}

#[test]
fn without_a_question_this_machine_says_its_name() {
    let name = squall::socket::names::host_name().unwrap();
    let ended = squall(&["lookup"]);
    assert_eq!((ended.code, ended.text().lines().next()), (Some(0), Some(name.as_str())));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = squall(&["completions", shell]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.text().contains("lookup") && ended.text().contains("jitter"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    squall(&["man", folder.path().to_str().unwrap()]).is(0, "", "");
    for page in ["squall.1", "squall-ask.1", "squall-lookup.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
    assert!(squall(&["man"]).text().contains(".TH squall 1"));
}
