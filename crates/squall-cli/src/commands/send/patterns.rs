//! What is left out.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// `--include` and `--exclude`.
pub(super) struct Patterns {
    include: Globs,
    exclude: Globs,
}

struct Globs {
    any: GlobSet,
    directories: GlobSet,
}

impl Patterns {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self, String> {
        Ok(Self { include: Globs::new(include)?, exclude: Globs::new(exclude)? })
    }

    /// Whether what lies at `path`, from what was named on, is sent.
    pub(super) fn takes(&self, path: &Path, is_directory: bool) -> bool {
        self.include.matches(path, is_directory) || !self.exclude.matches(path, is_directory)
    }
}

impl Globs {
    fn new(patterns: &[String]) -> Result<Self, String> {
        let (mut any, mut directories) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for pattern in patterns {
            let (pattern, set) = match pattern.strip_suffix('/') {
                Some(pattern) => (pattern, &mut directories),
                None => (pattern.as_str(), &mut any),
            };
            // From the directory that is sent on, whose name comes first in the paths; or a name anywhere.
            let rooted = match pattern.strip_prefix('/') {
                Some(pattern) => format!("*/{pattern}"),
                None if pattern.contains('/') => format!("*/{pattern}"),
                None => format!("**/{pattern}"),
            };
            let glob = GlobBuilder::new(&rooted).literal_separator(true).build();
            set.add(glob.map_err(|error| format!("{pattern:?} is no glob: {}", error.kind()))?);
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| error.to_string());
        Ok(Self { any: build(any)?, directories: build(directories)? })
    }

    fn matches(&self, path: &Path, is_directory: bool) -> bool {
        self.any.is_match(path) || is_directory && self.directories.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(include: &[&str], exclude: &[&str], path: &str, is_directory: bool) -> bool {
        let all = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        !Patterns::new(&all(include), &all(exclude)).unwrap().takes(Path::new(path), is_directory)
    }

    #[test]
    fn globs_match_as_in_gitignore() {
        for (pattern, path, is_directory, expected) in [
            ("*.o", "project/a/b.o", false, true),
            ("*.o", "project/a.o", false, true),
            ("*.o", "project/a.ob", false, false),
            ("target/", "project/x/target", true, true),
            ("target/", "project/x/target", false, false),
            ("/build", "project/build", true, true),
            ("/build", "project/x/build", true, false),
            ("a/*.txt", "project/a/x.txt", false, true),
            ("a/*.txt", "project/b/a/x.txt", false, false),
            ("**/a/*.txt", "project/b/a/x.txt", false, true),
            ("a/*", "project/a/b/c", false, false),
        ] {
            assert_eq!(left_out(&[], &[pattern], path, is_directory), expected, "{pattern} {path}");
        }
        assert!(!left_out(&["keep.o"], &["*.o"], "project/keep.o", false));
        assert!(left_out(&["keep.o"], &["*.o"], "project/other.o", false));
        assert!(Patterns::new(&[], &["[".into()]).is_err_and(|error| error.starts_with("\"[\" is no glob")));
    }
}
