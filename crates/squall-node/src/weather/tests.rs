use super::*;

fn read(text: &str) -> String {
    match read_weather(text) {
        Ok(weather) => weather.to_string(),
        Err((at, reason)) => panic!("{reason} at {:?} in {text}", &text[at..]),
    }
}

#[test]
fn the_file_of_the_documentation_can_be_read() {
    let source = include_str!("../weather.rs");
    let file = source.split("```toml\n").nth(1).and_then(|rest| rest.split("/// ```").next()).unwrap();
    let file = file.replace("/// ", "").replace("///", "");
    let lte = Weather::preset("lte").unwrap().changed("loss=2%,mtu=1400,mtu-icmp=no,up.rate=1mbit").unwrap();
    let lte = lte.changed("up.rule=size:1000-1500 every:3 drop").unwrap().to_string();
    let storm = Weather::preset("storm").unwrap().to_string();
    assert_eq!(read(&file), format!("{lte}@10s:{storm}@20s:up.loss=100%@30s:repeat"));
}

#[test]
fn values_are_texts_numbers_and_truths() {
    assert_eq!(read(""), "clear");
    assert_eq!(read("loss = 0.01\nqueue = 6_000\nrate = \"1mbit\""), "loss=1%,rate=1mbit,queue=6KB");
    assert_eq!(
        read("down.delay = \"1s\"\ndelay = \"2s\"\nweather = \"half\""),
        "up.delay=2s,down.delay=1s,up.loss=50%"
    );
    assert_eq!(read("[[rule]]\nprefix = \"a b,\"\nloss = \"0%\""), "rule=prefix:0x6120622c loss:0%");
    assert_eq!(
        read("[[rule]]\nprefix = \"0xff\"\ndrop = true\ndirection = \"down\""),
        "down.rule=prefix:0xff drop"
    );
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("w.toml");
    for (text, line, says) in [
        ("loss = \"1%\"\nlos = \"1%\"", 2, "there is no key \"los\"; loss is near"),
        ("\n\nloss = \"200%\"", 3, "loss=200%: it must be a probability"),
        ("[up]\ndown.loss = 1", 2, "neither a text nor a number"),
        ("[up]\nup = 1", 2, "there is no key \"up.up\""),
        ("up = 1", 1, "this must be a table"),
        ("queue = 6000", 1, "up: a queue needs a rate"),
        ("loss = [", 1, ""),
        ("loss = \"1%\"\nloss = \"2%\"", 2, "duplicate"),
        ("weather = \"nice\"", 1, "\"nice\" is no preset"),
        ("[[at]]\nloss = \"1%\"", 1, "a time is missing"),
        ("[[at]]\ntime = \"2s\"\n[[at]]\ntime = \"2s\"", 4, "must rise"),
        ("[[at]]\ntime = \"0s\"", 2, "over 0"),
        ("[[at]]\ntime = \"soon\"", 2, "\"soon\" is no time span"),
        ("[[at]]\ntime = \"2s\"\n[repeat]\ntime = \"1s\"", 4, "after the last [[at]]"),
        ("[repeat]\ntime = \"1s\"\nloss = \"1%\"", 3, "no key \"loss\" here"),
        ("at = 5", 1, "[[at]]"),
        ("[[rule]]\nsize = 5\ndirection = \"left\"\ndrop = true", 3, "neither up, down nor both"),
        ("[[rule]]\nsize = 5", 1, "rule: \"size:5\": it does nothing"),
        ("[[rule]]\nsize = \"5 drop\"", 2, "blank"),
        ("[[rule]]\ndrop = 3", 2, "true or false"),
        ("mtu = 0x578", 1, "neither a text nor a number"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = parse_weather(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}:{line}: ", path.display())), "{text}: {message}");
        assert!(message.contains(says) && !message.contains('\n'), "{text}: {message}");
    }
}

#[test]
fn a_weather_is_a_preset_a_text_or_a_file() {
    assert_eq!(parse_weather("half").unwrap(), Weather::preset("half").unwrap());
    assert_eq!(parse_weather("half,down.loss=1%").unwrap().to_string(), "up.loss=50%,down.loss=1%");
    let error = parse_weather("los=1%").unwrap_err().to_string();
    assert!(error.starts_with("weather \"los=1%\": there is no key \"los\""), "{error}");
    let error = parse_weather("/nowhere/w.toml").unwrap_err().to_string();
    assert!(error.starts_with("cannot read the weather /nowhere/w.toml: "), "{error}");
}
