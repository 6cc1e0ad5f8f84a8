//! The far end of commands that speak to a running Signalbox: its address, a login, and how answers are shown.

use super::{Failure, password};
use crate::config::Secret;
use awc::http::header::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io;
use url::Url;

/// How much is read of an answer that tells why not.
pub const ANSWER_LIMIT: usize = 64 << 10;

/// How much of it is shown.
const SHOWN: usize = 300;

pub const USER_AGENT: &str = concat!("signalbox/", env!("CARGO_PKG_VERSION"));

/// Of what is at this path there. What was given is not repeated where somebody may have put a password into it.
pub fn address(master: &str, path: &[&str]) -> Result<Url, Failure> {
    const EXPECTED: &str = "expected HOST:PORT or http://HOST:PORT/PREFIX";
    let wrong = |why: String| Failure::Argument { option: "master", why };
    let expected = || wrong(EXPECTED.to_owned());
    if master.contains('@') {
        return Err(wrong("a user and a password do not go here, but have options of their own".to_owned()));
    }
    let whole = match master.split_once("://") {
        Some(("http", _)) => master.to_owned(),
        Some(("https", _)) => {
            return Err(wrong(
                "https cannot be used, as this version of the command has no TLS; use http://".to_owned(),
            ));
        }
        Some(_) => return Err(expected()),
        None => {
            let port = master.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            port.and_then(Result::ok).ok_or_else(expected)?;
            format!("http://{master}")
        }
    };
    let mut url = Url::parse(&whole).map_err(|cause| wrong(format!("{cause}; {EXPECTED}")))?;
    if url.port() == Some(0) || url.query().is_some() || url.fragment().is_some() {
        return Err(expected());
    }
    url.path_segments_mut().expect("every http address has a path").pop_if_empty().extend(path);
    Ok(url)
}

/// A login as HTTP Basic.
pub fn basic(user: &str, password: &Secret) -> HeaderValue {
    let encoded = format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal())));
    let mut value = HeaderValue::from_str(&encoded).expect("base64 has no letter that a header must not have");
    value.set_sensitive(true);
    value
}

/// A password that was not given with its option: from a variable of the environment, or asked for. Neither is to be
/// seen in the list of processes.
pub fn missing_password(option: &'static str, variable: &str, whose: &str) -> Result<Secret, Failure> {
    let wrong = |why: String| Failure::Argument { option, why };
    let mut password = std::env::var(variable).ok();
    if password.is_none() && password::can_ask() {
        let asked = password::ask(&format!("Password of {whose}: "));
        password = asked.map_err(|cause| wrong(format!("no password: {cause}")))?;
    }
    let password = password.filter(|password| !password.is_empty()).ok_or_else(|| {
        wrong(format!("the password is missing; give it here, set {variable}, or type it on a terminal"))
    })?;
    Ok(Secret::new(password))
}

/// Whether the connection failed in the middle of the answer, rather than that the answer is none.
pub fn is_broken_off(cause: &dyn std::error::Error) -> bool {
    cause.source().is_some_and(|source| source.is::<io::Error>())
}

/// Fit for a line of a terminal.
pub fn shown(text: &[u8]) -> String {
    plain(String::from_utf8_lossy(text).trim()).chars().take(SHOWN).collect()
}

/// Without anything that moves the cursor or worse.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_what_is_there() {
        for (master, hook) in [
            ("127.0.0.1:8010", "http://127.0.0.1:8010/change_hook/base"),
            ("localhost:80", "http://localhost/change_hook/base"),
            ("[::1]:8010", "http://[::1]:8010/change_hook/base"),
            ("http://build.example.org", "http://build.example.org/change_hook/base"),
            ("http://build.example.org/bb/", "http://build.example.org/bb/change_hook/base"),
            ("http://build.example.org:81/a/b", "http://build.example.org:81/a/b/change_hook/base"),
        ] {
            assert_eq!(address(master, &["change_hook", "base"]).unwrap().as_str(), hook, "{master}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_password_shown() {
        let masters = [
            "",
            ":",
            "host",
            "host:",
            "host:0",
            "host:x",
            "host:80/x",
            ":8010",
            "[::1]",
            "ftp://host:1",
            "http://",
            "http://host:0",
            "http://host:70000",
            "http://host/?a",
            "http://host/#a",
            "http://ann:hush@host:1",
            "ann:hush@host:1",
            "https://host",
        ];
        for master in masters {
            let said = address(master, &[]).map(String::from).map_err(|failure| failure.to_string()).unwrap_err();
            assert!(said.starts_with("--master: ") && !said.contains("hush"), "{master}: {said}");
            assert_eq!(said.contains("TLS"), master.starts_with("https"), "{master}: {said}");
        }
    }

    #[test]
    fn answers_are_shown_on_one_line() {
        assert_eq!(shown(b" a\x1b[31m\r\nb \xff\n"), "a [31m  b \u{fffd}");
        assert_eq!(shown(&[b'x'; 1000]).len(), SHOWN);
    }
}
