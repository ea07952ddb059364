//! What a node runs, as the command line, the environment and a file say.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use squall::framing::Framing;
use squall::guard::Network;
use squall::{Model, Offload};
use squall_weather::Weather;

use crate::announce::parse_node_name;
use crate::chat::history::Place;
use crate::chat::{ChatConfig, FileChat};
use crate::files::{FileFiles, FilesConfig};
use crate::lossy::parse_drop;
use crate::units;

/// What a node runs. Fields that are `None` have their defaults; see [`Config::or`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The services; without any, those of [`Config::DEFAULT_SERVICES`] on their default addresses.
    pub services: Vec<ServiceConfig>,
    /// How handlers run; inline.
    pub model: Option<Model>,
    /// The time limit of a handler, under threads and processes, and of a command; a command has ten
    /// seconds without it, a handler none.
    pub deadline: Option<Duration>,
    /// Threads that receive datagrams; one for each processor.
    pub shards: Option<usize>,
    /// The weather in which requests (up) and answers (down) are lost on purpose; none.
    pub drop: Option<Weather>,
    /// What these losses follow from; by default a number that nobody chose, each worker process its own.
    pub drop_seed: Option<u64>,
    /// Networks whose addresses count as validated, besides loopback.
    pub trust_networks: Vec<Network>,
    /// Whether replies are joined into segmented sends; auto.
    pub gso: Option<Offload>,
    /// Whether the kernel merges datagrams on receipt; auto.
    pub gro: Option<Offload>,
    /// The receive buffer of each datagram socket, in bytes; 4 MiB.
    pub receive_buffer: Option<usize>,
    /// How long a connection may bring nothing; ten minutes.
    pub idle: Option<Duration>,
    /// Whether the limits on each peer's rate hold; they do, off loopback.
    pub rate_limit: Option<bool>,
    /// Whether the services that can be reached from other machines are announced on their networks; not.
    pub announce: Option<bool>,
    /// The node's name, as it is announced; the machine's.
    pub name: Option<String>,
    /// The directory of what the node keeps; the platform's for data of programs.
    pub data: Option<PathBuf>,
    /// Where the node takes its operator's orders; see [`ControlPlace`].
    pub control: Option<ControlPlace>,
    /// Where the chat keeps what is said, whatever its service says.
    pub history: Option<Place>,
}

/// One service of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    /// Its name: `time`, `length`, `stamp`, `reply`, `echo`, `exec`, `coap`, `chat` or
    /// `files`.
    pub name: String,
    /// Where it listens, as URIs; without any, on its default addresses.
    pub on: Vec<String>,
    /// How streams are cut into requests; as they are read.
    pub framing: Option<Framing>,
    /// `reply`, and `/reply` of `coap`: the text.
    pub text: Option<String>,
    /// `exec`: the shell command.
    pub command: Option<String>,
    /// `exec`: processes that stay and speak length-prefixed frames, instead of one for each request.
    pub pool: Option<usize>,
    /// `chat`: its settings.
    pub chat: ChatConfig,
    /// `files`: its settings.
    pub files: FilesConfig,
}

/// Where a node takes its operator's orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControlPlace {
    /// On a Unix socket where `squall ctl` looks for it, if the node runs `chat`.
    #[default]
    Usual,
    /// On a Unix socket at this path.
    Path(PathBuf),
    /// Nowhere.
    Nowhere,
}

impl FromStr for ControlPlace {
    type Err = String;

    /// `none`, a path, or `unix:` and a path.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:").unwrap_or(text) {
            "" => Err("there is no socket without a name; write none or a path".into()),
            "none" => Ok(ControlPlace::Nowhere),
            path if text.contains("://") => Err(format!("{path:?}: orders are taken on unix:/path alone")),
            path => Ok(ControlPlace::Path(path.into())),
        }
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is not what a configuration is.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
}

impl Config {
    /// What runs when nothing is named.
    pub const DEFAULT_SERVICES: [&'static str; 7] =
        ["time", "length", "stamp", "reply", "coap", "chat", "files"];

    /// Reads a TOML file.
    ///
    /// ```toml
    /// model = "threads:8"            # inline, threads:N, processes:N
    /// deadline = "2s"
    /// shards = 2
    /// drop = "10%"                   # or a weather that only loses: "burst=1%:25%"
    /// drop-seed = 7
    /// trust-networks = ["10.0.0.0/8"]
    /// gso = "auto"                   # auto, on, off; gro likewise
    /// receive-buffer = 4194304
    /// idle = "10m"
    /// rate-limit = true
    /// announce = true
    /// name = "kitchen"
    /// data = "/var/lib/squall"
    /// control = "/run/squall/kitchen.sock"
    ///
    /// [[service]]
    /// name = "stamp"
    /// on = ["udp://127.0.0.1:21567", "unix:/run/stamp.sock"]
    /// framing = "lines"              # as-read, lines, length-prefixed
    ///
    /// [[service]]
    /// name = "exec"
    /// on = ["udp://127.0.0.1:7000"]
    /// command = "wc -c"
    /// pool = 4
    ///
    /// [[service]]
    /// name = "reply"
    /// text = "pong"
    ///
    /// [[service]]
    /// name = "chat"
    /// [service.chat]
    /// history = "memory"             # none, memory or a file
    /// quiet = "10m"
    ///
    /// [[service]]
    /// name = "files"
    /// [service.files]
    /// dir = "/srv/uploads"
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and the line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text).map_err(|reason| ConfigError::Invalid { path: path.to_owned(), reason })
    }

    /// Reads the text of a TOML file.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        file.into_config()
    }

    /// Takes what is not set here from `other`. Services are taken as a whole.
    pub fn or(self, other: Config) -> Self {
        Self {
            services: if self.services.is_empty() { other.services } else { self.services },
            model: self.model.or(other.model),
            deadline: self.deadline.or(other.deadline),
            shards: self.shards.or(other.shards),
            drop: self.drop.or(other.drop),
            drop_seed: self.drop_seed.or(other.drop_seed),
            trust_networks: if self.trust_networks.is_empty() {
                other.trust_networks
            } else {
                self.trust_networks
            },
            gso: self.gso.or(other.gso),
            gro: self.gro.or(other.gro),
            receive_buffer: self.receive_buffer.or(other.receive_buffer),
            idle: self.idle.or(other.idle),
            rate_limit: self.rate_limit.or(other.rate_limit),
            announce: self.announce.or(other.announce),
            name: self.name.or(other.name),
            data: self.data.or(other.data),
            control: self.control.or(other.control),
            history: self.history.or(other.history),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    model: Option<String>,
    deadline: Option<String>,
    shards: Option<usize>,
    drop: Option<String>,
    drop_seed: Option<u64>,
    #[serde(default)]
    trust_networks: Vec<String>,
    gso: Option<String>,
    gro: Option<String>,
    receive_buffer: Option<usize>,
    idle: Option<String>,
    rate_limit: Option<bool>,
    announce: Option<bool>,
    name: Option<String>,
    data: Option<PathBuf>,
    control: Option<String>,
    #[serde(default)]
    service: Vec<FileService>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileService {
    name: String,
    #[serde(default)]
    on: Vec<String>,
    framing: Option<String>,
    text: Option<String>,
    command: Option<String>,
    pool: Option<usize>,
    chat: Option<FileChat>,
    files: Option<FileFiles>,
}

impl File {
    fn into_config(self) -> Result<Config, String> {
        let services = self.service.into_iter().map(FileService::into_config).collect::<Result<_, _>>()?;
        let networks = self
            .trust_networks
            .iter()
            .map(|network| network.parse::<Network>().map_err(|error| format!("trust-networks: {error}")));
        Ok(Config {
            services,
            model: read("model", self.model, units::parse_model)?,
            deadline: read("deadline", self.deadline, units::parse_time_limit)?,
            shards: self.shards,
            drop: read("drop", self.drop, parse_drop)?,
            drop_seed: self.drop_seed,
            trust_networks: networks.collect::<Result<_, _>>()?,
            gso: read("gso", self.gso, units::parse_offload)?,
            gro: read("gro", self.gro, units::parse_offload)?,
            receive_buffer: self.receive_buffer,
            idle: read("idle", self.idle, units::parse_time_limit)?,
            rate_limit: self.rate_limit,
            announce: self.announce,
            name: read("name", self.name, |name| parse_node_name(name).map_err(|error| error.to_string()))?,
            data: self.data,
            control: read("control", self.control, str::parse)?,
            history: None,
        })
    }
}

impl FileService {
    fn into_config(self) -> Result<ServiceConfig, String> {
        Ok(ServiceConfig {
            on: self.on,
            framing: read("framing", self.framing, units::parse_framing)?,
            text: self.text,
            command: self.command,
            pool: self.pool,
            chat: match (self.chat, self.name.as_str()) {
                (None, _) => ChatConfig::default(),
                (Some(chat), "chat") => chat.into_config()?,
                (Some(_), name) => return Err(format!("service.chat: service {name:?} is no chat")),
            },
            files: match (self.files, self.name.as_str()) {
                (None, _) => FilesConfig::default(),
                (Some(files), "files") => files.into_config()?,
                (Some(_), name) => return Err(format!("service.files: service {name:?} takes no files")),
            },
            name: self.name,
        })
    }
}

pub(crate) fn read<T>(
    key: &str,
    value: Option<String>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    value.map(|value| parse(&value).map_err(|error| format!("{key}: {error}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::plain::Pattern;

    #[test]
    fn a_file_says_all_that_a_command_line_can() {
        let text = r#"
            model = "threads:8"
            deadline = "2s"
            drop = "10%"
            drop-seed = 7
            trust-networks = ["10.0.0.0/8"]
            gso = "off"
            [[service]]
            name = "exec"
            on = ["udp://127.0.0.1:7000"]
            command = "wc -c"
            pool = 4
        "#;
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.model, Some(Model::threads(8)));
        assert_eq!(config.deadline, Some(Duration::from_secs(2)));
        assert_eq!((config.drop.clone(), config.drop_seed), (parse_drop("up.loss=10%").ok(), Some(7)));
        assert_eq!(config.gso, Some(Offload::Off));
        assert_eq!(config.services[0].command.as_deref(), Some("wc -c"));
        let chat =
            "[[service]]\nname = \"chat\"\n[service.chat]\nhistory = \"none\"\nrate = \"5:9\"\nkeep = \"7d\"";
        let chat = Config::from_toml(chat).unwrap().services.remove(0).chat;
        assert_eq!(chat.history, Some(Place::Nothing));
        assert_eq!(chat.rate, "5:9".parse().ok());
        assert_eq!(chat.keep, Some(Duration::from_secs(7 * 86_400)));
        let flags = Config { drop: Weather::preset("half"), ..Config::default() };
        let merged = flags.or(config);
        assert_eq!(merged.drop, Weather::preset("half"), "a flag beats the file");
        assert_eq!((merged.drop_seed, merged.gso), (Some(7), Some(Offload::Off)));
    }

    #[test]
    fn the_file_of_the_guide_can_be_read() {
        let guide = include_str!("../../../docs/configuration.md");
        let file = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let config = Config::from_toml(file).unwrap();
        assert_eq!(config.services.len(), 5);
        let rate = |text: &str| text.parse().ok();
        let chat = &config.services[3].chat;
        assert_eq!((chat.rate, chat.prefix_rate, chat.rooms), (rate("20:60"), rate("200:600"), Some(1024)));
        assert_eq!(config.receive_buffer, Some(4 * 1024 * 1024));
        let files = &config.services[4].files;
        assert_eq!((files.pattern.clone(), files.uploads), (Some(Pattern::default()), Some(1024)));
        assert_eq!((files.idle, files.space), (Some(Duration::from_secs(60)), Some(10 << 30)));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (text, says) in [
            ("modle = \"inline\"", "modle"),
            ("model = \"fork\"", "\"fork\" is no model"),
            ("drop = \"200%\"", "drop: \"200%\""),
            ("drop = \"delay=1s\"", "drop: a node only loses"),
            ("[[service]]\non = []", "name"),
            ("trust-networks = [\"10.0.0.1/8\"]", "trust-networks"),
            ("shards = [", "line 1"),
            ("name = \"\"", "name: \"\" is no name for a node"),
            (
                "control = \"tcp://localhost\"",
                "control: \"tcp://localhost\": orders are taken on unix:/path alone",
            ),
            (
                "[[service]]\nname = \"chat\"\n[service.chat]\nkeep = \"1.5d\"",
                "keep: \"1.5d\" is no number of days",
            ),
            ("[[service]]\nname = \"chat\"\n[service.chat]\nrate = \"0\"", "rate: \"0\" is no number"),
            ("[[service]]\nname = \"chat\"\n[service.chat]\nmembers = 0", "members: 0 leaves nobody"),
            (
                "[[service]]\nname = \"chat\"\n[service.chat]\nmember-hours = 0",
                "member-hours: 0 is no number",
            ),
            (
                "[[service]]\nname = \"chat\"\n[service.chat]\nroom = \"two words\"",
                "room: \"two words\" is no room",
            ),
            ("[[service]]\nname = \"time\"\n[service.chat]\nrooms = 1", "service \"time\" is no chat"),
            ("[[service]]\nname = \"chat\"\n[service.chat]\nroms = 1", "roms"),
            ("[[service]]\nname = \"files\"\n[service.files]\nuploads = 0", "uploads: 0 leaves nobody"),
            (
                "[[service]]\nname = \"files\"\n[service.files]\npattern = \"../{time}\"",
                "pattern: \"../{time}\": it is no name for a file",
            ),
            ("[[service]]\nname = \"time\"\n[service.files]\nidle = \"1s\"", "\"time\" takes no files"),
        ] {
            let error = Config::from_toml(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
