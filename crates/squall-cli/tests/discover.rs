//! `squall discover` and `squall serve --announce`: arguments, and what is told where there is nothing to
//! tell others. What goes over a network is tested between hosts (`tests/interop`).

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use support::{command, squall};

#[test]
fn what_is_typed_wrong_is_one_line() {
    for (arguments, says) in [
        (["discover", "--interface", "no-such0"], "there is no interface \"no-such0\""),
        (["discover", "--for", "0"], "a time limit of zero"),
        (["discover", "--for", "soon"], "write 250ms, 2s or 1m30s"),
        (["serve", "--name", ""], "\"\" is no name for a node: it has 1 to 40 bytes"),
        (["serve", "--name", "a\nb"], "is no name for a node"),
    ] {
        let ended = squall(&arguments);
        assert_eq!((ended.code, ended.text()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_node_on_loopback_says_that_it_announces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let services = "[[service]]\nname = \"time\"\non = [\"udp://127.0.0.1:0\"]\n";
    std::fs::write(&file, format!("announce = true\nname = \"kitchen\"\n{services}")).unwrap();
    let by_file = vec!["serve", "--config", file.to_str().unwrap()];
    let by_flag = vec!["serve", "time", "--on", "udp://127.0.0.1:0", "--announce"];
    for arguments in [by_file, by_flag] {
        let mut child = command(&arguments).stdin(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let says = "nothing to announce: every service listens on loopback";
        assert!(line.contains(says) && line.contains("WARN"), "{line}");
        let id = child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
    }
}
