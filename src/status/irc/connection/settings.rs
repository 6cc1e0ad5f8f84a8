//! How a server is reached, and who we are to it.

use super::super::Config;
use crate::config::{Options, Secret};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything a connection needs to know; one whose settings are equal need not be made anew.
///
/// Channels are not among them: the bot asks for those, and may change its mind while connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub nick: String,
    /// What NickServ is told, and SASL's PLAIN. Never sent as PASS.
    pub password: Option<Secret>,
    pub access: Access,
    /// `None` draws 1 to 5 s anew for each try.
    pub lost_delay: Option<Duration>,
    /// `None` draws 45 to 60 s anew for each try.
    pub failed_delay: Option<Duration>,
    pub limits: Limits,
}

/// What a server asks for before it lets us in, and how we know that it is the right one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// For PASS.
    pub server_password: Option<Secret>,
    pub sasl: Sasl,
    /// `None` speaks in the clear.
    pub tls: Option<Tls>,
}

/// How we log in while registering.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Sasl {
    #[default]
    No,
    /// With the password; as this account, which is the nick where it is `None`.
    Plain { user: Option<String> },
    /// With our certificate.
    External,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// Whether the certificate must be one for the host, from an authority we know.
    pub verify: bool,
    /// Authorities beside those of the system.
    pub ca_file: Option<PathBuf>,
    pub identity: Option<Identity>,
}

/// Our own certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// How fast we speak, and how long we wait. Not among the options; tests make haste with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// So many lines may be sent at once,
    pub burst: u32,
    /// and then one for each of these.
    pub per_line: Duration,
    /// For the name, the connection and the handshake of TLS together.
    pub connect: Duration,
    /// From then until the server has taken us in.
    pub register: Duration,
    /// For NickServ; after this we go on without being identified.
    pub identify: Duration,
    /// Hearing nothing for so long, we ask whether the server is there;
    pub quiet: Duration,
    /// hearing nothing for so long after that, it is not.
    pub answer: Duration,
    /// Between tries to get our nick back, and to be known by services that were away.
    pub regain: Duration,
    /// Before a channel we were thrown out of is joined again; doubles.
    pub rejoin: Duration,
    /// Before a channel that was refused is tried again; doubles.
    pub refused: Duration,
}

impl Default for Limits {
    /// Slow enough for the flood limits of all servers in wide use.
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            burst: 4,
            per_line: seconds(2),
            connect: seconds(30),
            register: seconds(60),
            identify: seconds(15),
            quiet: seconds(90),
            answer: seconds(60),
            regain: seconds(60),
            rejoin: seconds(5),
            refused: seconds(60),
        }
    }
}

impl Settings {
    /// Without TLS or any password.
    pub fn plain(host: &str, port: u16, nick: &str) -> Settings {
        Settings {
            host: host.to_owned(),
            port,
            nick: nick.to_owned(),
            password: None,
            access: Access::default(),
            lost_delay: None,
            failed_delay: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What the connection is made by; files are meant from the folder Signalbox runs in.
    pub fn settings(&self, basedir: &Path) -> Settings {
        Settings {
            password: self.password.clone(),
            access: self.access.below(basedir),
            lost_delay: self.lost_delay,
            failed_delay: self.failed_delay,
            ..Settings::plain(&self.host, self.port, &self.nick)
        }
    }
}

impl Access {
    /// Reads the options that only the connection heeds, and their company.
    pub fn read(options: &mut Options<'_, '_>, use_ssl: bool) -> Access {
        let server_password = options.secret("serverPassword");
        let tls = Tls::read(options, use_ssl);
        let sasl = Sasl::read(options, tls.as_ref());
        Access { server_password, sasl, tls }
    }

    fn below(&self, basedir: &Path) -> Access {
        let tls = self.tls.as_ref().map(|tls| Tls {
            verify: tls.verify,
            ca_file: tls.ca_file.as_ref().map(|file| basedir.join(file)),
            identity: tls.identity.as_ref().map(|identity| Identity {
                cert_file: basedir.join(&identity.cert_file),
                key_file: basedir.join(&identity.key_file),
            }),
        });
        Access { tls, ..self.clone() }
    }
}

impl Tls {
    fn read(options: &mut Options<'_, '_>, use_ssl: bool) -> Option<Tls> {
        let verify = options.flag("sslVerify", true);
        let [ca_file, cert_file, key_file] =
            ["caFile", "certFile", "keyFile"].map(|name| (name, options.text(name).map(PathBuf::from)));
        if !use_ssl {
            for (name, _) in [&ca_file, &cert_file, &key_file].into_iter().filter(|(_, file)| file.is_some()) {
                options.problem(name, "has no effect without useSSL=True");
            }
            return None;
        }
        let identity = match (cert_file.1, key_file.1) {
            (Some(cert_file), Some(key_file)) => Some(Identity { cert_file, key_file }),
            // A file may hold both.
            (Some(file), None) => Some(Identity { cert_file: file.clone(), key_file: file }),
            (None, Some(_)) => {
                options.problem("keyFile", "needs certFile beside it");
                None
            }
            (None, None) => None,
        };
        Some(Tls { verify, ca_file: ca_file.1, identity })
    }
}

impl Sasl {
    fn read(options: &mut Options<'_, '_>, tls: Option<&Tls>) -> Sasl {
        let user = options.text("saslUser");
        let sasl = match options.value("useSASL") {
            None | Some(Value::Bool(false)) => Sasl::No,
            Some(Value::Bool(true)) => Sasl::Plain { user: user.clone() },
            Some(Value::String(word)) if word.eq_ignore_ascii_case("PLAIN") => Sasl::Plain { user: user.clone() },
            Some(Value::String(word)) if word.eq_ignore_ascii_case("EXTERNAL") => Sasl::External,
            Some(_) => {
                options.problem("useSASL", "must be True, False or \"EXTERNAL\"");
                Sasl::No
            }
        };
        match &sasl {
            Sasl::Plain { .. } if options.value("password").is_none() => {
                options.problem("useSASL", "needs a password");
            }
            Sasl::External if tls.is_none_or(|tls| tls.identity.is_none()) => {
                options.problem("useSASL", "\"EXTERNAL\" needs useSSL=True and a certFile");
            }
            Sasl::No | Sasl::External if user.is_some() => {
                options.problem("saslUser", "has no effect without useSASL=True");
            }
            Sasl::No | Sasl::Plain { .. } | Sasl::External => {}
        }
        sasl
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Section};
    use serde_json::json;

    fn read(mut more: Value) -> (Option<Config>, String) {
        let mut options = json!({ "host": "irc.example.org", "nick": "bb", "channels": ["#c"] });
        let all = options.as_object_mut().unwrap();
        all.append(more.as_object_mut().unwrap());
        let mut problems = Problems::default();
        let config = Config::read(&Section::new("status.IRC", "master.cfg:1", options), &mut problems);
        (config, problems.to_string())
    }

    fn settings(more: Value) -> Settings {
        let (config, problems) = read(more);
        assert_eq!(problems, "");
        config.unwrap().settings(Path::new("/base"))
    }

    #[test]
    fn the_port_is_that_of_tls_where_tls_is_used() {
        assert_eq!(settings(json!({})).port, 6667);
        assert_eq!(settings(json!({ "useSSL": true })).port, 6697);
        assert_eq!(settings(json!({ "useSSL": true, "port": 6667 })).port, 6667);
    }

    #[test]
    fn certificates_are_checked_unless_told_otherwise() {
        let tls = settings(json!({ "useSSL": true, "caFile": "ca.pem", "certFile": "/own.pem" })).access.tls.unwrap();
        assert!(tls.verify);
        assert_eq!(tls.ca_file, Some(PathBuf::from("/base/ca.pem")));
        let own = PathBuf::from("/own.pem");
        assert_eq!(tls.identity, Some(Identity { cert_file: own.clone(), key_file: own }));
        assert!(!settings(json!({ "useSSL": true, "sslVerify": false })).access.tls.unwrap().verify);
    }

    #[test]
    fn sasl_needs_what_it_logs_in_with() {
        let plain = settings(json!({ "useSASL": true, "password": "hush", "saslUser": "builds" }));
        assert_eq!(plain.access.sasl, Sasl::Plain { user: Some("builds".to_owned()) });
        assert!(!format!("{plain:?}").contains("hush"));
        let external = settings(json!({ "useSASL": "EXTERNAL", "useSSL": true, "certFile": "own.pem" }));
        assert_eq!(external.access.sasl, Sasl::External);
        for (options, problem) in [
            (json!({ "useSASL": true }), "needs a password"),
            (json!({ "useSASL": "EXTERNAL" }), "needs useSSL=True and a certFile"),
            (json!({ "useSASL": 7 }), "must be True, False or"),
            (json!({ "saslUser": "x" }), "has no effect without useSASL=True"),
            (json!({ "caFile": "x" }), "has no effect without useSSL=True"),
            (json!({ "keyFile": "x", "useSSL": true }), "needs certFile beside it"),
        ] {
            let problems = read(options).1;
            assert!(problems.contains(problem), "{problems}");
        }
    }
}
