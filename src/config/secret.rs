use super::{Problems, Section};
use std::fmt;
use std::path::{Path, PathBuf};

/// A value that never prints, in `Debug` neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The secrets providers of the configuration, asked by `%(secret:name)s`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Secrets {
    /// Folders with one file per secret, in the order of the configuration.
    folders: Vec<PathBuf>,
}

impl Secrets {
    /// Secrets that are files of this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Secrets {
        Secrets { folders: vec![folder.into()] }
    }

    /// The secret of this name, without the line end of its file. Read anew each time, so that it can be changed
    /// without a restart. A name that is not a plain file name has no secret.
    pub fn get(&self, name: &str) -> Option<Secret> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return None;
        }
        self.folders.iter().find_map(|folder| {
            let text = std::fs::read_to_string(folder.join(name)).ok()?;
            Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
        })
    }

    /// Takes in one of `c['secretsProviders']`.
    pub(super) fn read(&mut self, section: &Section, problems: &mut Problems) {
        let mut options = section.read(problems);
        if let Some(folder) = options.required_text("dirname") {
            self.folders.push(PathBuf::from(folder));
        }
        options.finish();
    }

    /// Relative folders are meant from the folder of the master.cfg.
    pub(super) fn below(mut self, base: &Path) -> Secrets {
        self.folders.iter_mut().for_each(|folder| *folder = base.join(&folder));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_files_and_never_print() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hush\n").unwrap();
        let secrets = Secrets::in_folder(folder.path());
        let secret = secrets.get("token").unwrap();
        assert_eq!(secret.reveal(), "hush");
        assert!(!format!("{secret:?} {secrets:?}").contains("hush"));
        assert_eq!(secrets.get("../token"), None);
        assert_eq!(secrets.get("other"), None);
    }
}
