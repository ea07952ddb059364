//! Where this system keeps what is Squall's.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// What a node gathers.
    Data,
    /// What says who it is and whom it knows.
    Settings,
}

impl Kept {
    /// Squall's directory for it: what systemd gives a service (`$STATE_DIRECTORY`, since a service may not write to
    /// its configuration), else the user's, and `/var/lib/squall` for who has no home.
    /// <https://specifications.freedesktop.org/basedir-spec/latest/>
    pub(crate) fn default_path(self) -> PathBuf {
        self.path_by(|name| env::var_os(name), env::consts::OS)
    }

    fn path_by(self, variable: impl Fn(&str) -> Option<OsString>, system: &str) -> PathBuf {
        // A relative one is to be ignored, says the specification; an empty one is none.
        let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=>
        if let Some(state) = variable("STATE_DIRECTORY")
            && let Some(first) = env::split_paths(&state).find(|path| path.is_absolute())
        {
            return first;
        }
        let (named, in_home) = match self {
            Kept::Data => ("XDG_DATA_HOME", ".local/share"),
            Kept::Settings => ("XDG_CONFIG_HOME", ".config"),
        };
        let directory = match (directory(named), directory("HOME")) {
            (Some(directory), _) => directory,
            (None, Some(home)) if system == "macos" => home.join("Library/Application Support"),
            (None, Some(home)) => home.join(in_home),
            (None, None) => "/var/lib".into(),
        };
        directory.join("squall")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_directory_follows_from_the_environment() {
        let at = |kept: Kept, system, variables: &[(&str, &str)]| {
            let find =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            kept.path_by(find, system).to_str().unwrap().to_owned()
        };
        let home = ("HOME", "/home/ann");
        let (data, settings) = (Kept::Data, Kept::Settings);
        assert_eq!(at(data, "linux", &[home]), "/home/ann/.local/share/squall");
        assert_eq!(at(settings, "linux", &[home]), "/home/ann/.config/squall");
        assert_eq!(at(data, "macos", &[home]), "/home/ann/Library/Application Support/squall");
        assert_eq!(at(settings, "macos", &[home]), "/home/ann/Library/Application Support/squall");
        assert_eq!(at(data, "linux", &[home, ("XDG_DATA_HOME", "/data")]), "/data/squall");
        assert_eq!(at(settings, "linux", &[home, ("XDG_DATA_HOME", "/data")]), "/home/ann/.config/squall");
        assert_eq!(at(settings, "linux", &[home, ("XDG_CONFIG_HOME", "/etc/ann")]), "/etc/ann/squall");
        assert_eq!(at(data, "linux", &[home, ("XDG_DATA_HOME", "data")]), "/home/ann/.local/share/squall");
        assert_eq!(at(data, "linux", &[home, ("XDG_DATA_HOME", "")]), "/home/ann/.local/share/squall");
        for kept in [data, settings] {
            let state = ("STATE_DIRECTORY", "/var/lib/one:/var/lib/two");
            assert_eq!(at(kept, "linux", &[home, state]), "/var/lib/one");
            assert_eq!(at(kept, "linux", &[]), "/var/lib/squall");
            assert_eq!(at(kept, "linux", &[("HOME", "")]), "/var/lib/squall");
        }
    }
}
