//! Gets a CoAP resource: `coap_get coap://192.0.2.1 /time`. With a number behind it, so many states of the resource.

use squall::coap::{ClientRequest, CoapAnswer, CoapClient};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (server, path, states) = match &arguments[..] {
        [server, path] => (server, path, None),
        [server, path, states] => (server, path, Some(states.parse()?)),
        _ => return Err("usage: coap_get coap://HOST PATH [STATES]".into()),
    };
    let mut client = CoapClient::new(server)?;
    let show = |answer: &CoapAnswer| {
        println!("{}: {}", answer.status(), String::from_utf8_lossy(answer.payload()));
    };
    match states {
        None => show(&client.get(path)?),
        Some(states) => {
            for state in client.observe(ClientRequest::get().path(path)?)?.take(states) {
                show(&state?);
            }
        }
    }
    Ok(())
}
