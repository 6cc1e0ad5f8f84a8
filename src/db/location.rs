//! Where the database is.

use super::DbError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the database is, parsed from `db_url` (`sqlite:///state.sqlite`, `postgresql://…`).
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    Sqlite(PathBuf),
    /// The whole URL, which may hold a password and is never shown as it is.
    Postgres(String),
}

impl Location {
    /// `basedir` is where relative SQLite paths start.
    ///
    /// What follows a `?` in an SQLite URL (0.8's `max_idle`, `serialize_access`) is tolerated and without effect.
    /// `{basedir}` in it is the folder too, as 0.8's manual writes it.
    pub fn parse(url: &str, basedir: &Path) -> Result<Location, DbError> {
        let wrong = |why: String| DbError::Location { url: shown(url), why };
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(wrong("it has no scheme".to_owned()));
        };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let path = path.split('?').next().unwrap_or_default();
                let Some(path) = path.strip_prefix('/') else {
                    return Err(wrong("an SQLite path starts after three slashes".to_owned()));
                };
                if path.is_empty() || path == ":memory:" {
                    return Err(wrong("a file is needed, as nothing could be kept without one".to_owned()));
                }
                let path = path.replace("{basedir}", &basedir.display().to_string());
                Ok(Location::Sqlite(basedir.join(path)))
            }
            "postgresql" | "postgres" if rest.starts_with("//") => Ok(Location::Postgres(url.to_owned())),
            "postgresql" | "postgres" => Err(wrong("two slashes follow the scheme".to_owned())),
            other => Err(wrong(format!("{other} is not supported"))),
        }
    }
}

/// For people: without the password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "{}", path.display()),
            Location::Postgres(url) => f.write_str(&shown(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// The URL with `…` for a password, in front of the host or among the arguments.
fn shown(url: &str) -> String {
    let (address, arguments) = match url.split_once('?') {
        Some((address, arguments)) => (address, Some(arguments)),
        None => (url, None),
    };
    let address = match address.rsplit_once('@') {
        Some((login, host)) => {
            let start = login.find("://").map_or(0, |at| at + 3);
            match login[start..].find(':') {
                Some(colon) => format!("{}:…@{host}", &login[..start + colon]),
                None => address.to_owned(),
            }
        }
        None => address.to_owned(),
    };
    match arguments {
        Some(arguments) if arguments.contains("password") => format!("{address}?…"),
        Some(arguments) => format!("{address}?{arguments}"),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Location, String> {
        Location::parse(url, Path::new("/srv/master")).map_err(|error| error.to_string())
    }

    #[test]
    fn sqlite_paths_start_at_the_base_folder_or_at_the_root() {
        let at = |path: &str| Ok(Location::Sqlite(PathBuf::from(path)));
        assert_eq!(parse("sqlite:///state.sqlite"), at("/srv/master/state.sqlite"));
        assert_eq!(parse("sqlite:////var/lib/state.sqlite"), at("/var/lib/state.sqlite"));
        assert_eq!(parse("sqlite:///state.sqlite?max_idle=300"), at("/srv/master/state.sqlite"));
        assert_eq!(parse("sqlite:///{basedir}/state.sqlite"), at("/srv/master/state.sqlite"));
    }

    #[test]
    fn both_spellings_of_postgresql_are_taken() {
        let url = "postgresql://ci@db.example.org/signalbox";
        assert_eq!(parse(url), Ok(Location::Postgres(url.to_owned())));
        assert!(matches!(parse("postgres://localhost/x"), Ok(Location::Postgres(_))));
    }

    #[test]
    fn others_are_refused_by_name() {
        assert!(parse("mysql://u:p@h/d").is_err_and(|error| error.contains("mysql is not supported")));
        assert!(parse("mysql://u:p@h/d").is_err_and(|error| !error.contains(":p@")));
        assert!(parse("state.sqlite").is_err_and(|error| error.contains("no scheme")));
        assert!(parse("sqlite://").is_err());
        assert!(parse("sqlite:///").is_err());
        assert!(parse("postgresql:db").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        let location = Location::Postgres("postgresql://ci:s3:c@ret@host/db?password=x".to_owned());
        assert_eq!(location.to_string(), "postgresql://ci:…@host/db?…");
        assert!(!format!("{location:?}").contains("ret@"));
    }
}
