//! Where a target listens: 0.8's `http_port` and `port`, a port number or a "strports" description.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

/// What keeps a target from listening; whoever shows it says which target.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("{option} \"{given}\": {why}; give a port number, \"tcp:8010\" or \"tcp:8010:interface=127.0.0.1\"")]
    Port { option: &'static str, given: String, why: String },
    #[error("cannot listen on {address}: address in use; another master may be running with the same config")]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}: {cause}")]
    Bind { address: SocketAddr, cause: io::Error },
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
}

impl Listen {
    /// `8010`, `tcp:8010`, `tcp:8010:interface=127.0.0.1`, given as this option; port 0 lets the system choose one.
    pub fn parse(option: &'static str, given: &str) -> Result<Listen, ListenError> {
        let wrong = |why: &str| ListenError::Port { option, given: given.to_owned(), why: why.to_owned() };
        let parts = split(given);
        let (kind, rest) = match parts.as_slice() {
            [port] => ("tcp", std::slice::from_ref(port)),
            [kind, rest @ ..] => (kind.as_str(), rest),
            [] => return Err(wrong("it is empty")),
        };
        match kind {
            "tcp" => {}
            "unix" => return Err(wrong("UNIX sockets are not supported yet")),
            "ssl" => return Err(wrong("TLS is not supported yet; put a proxy in front")),
            other => return Err(wrong(&format!("\"{other}\" is no kind of port"))),
        }
        let mut port = None;
        let mut interface = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        for part in rest {
            match part.split_once('=') {
                None | Some(("port", _)) => {
                    let number = part.strip_prefix("port=").unwrap_or(part);
                    port = Some(number.trim().parse().map_err(|_| wrong("the port is no number from 0 to 65535"))?);
                }
                Some(("interface", "")) => {}
                Some(("interface", "localhost")) => interface = IpAddr::V4(Ipv4Addr::LOCALHOST),
                Some(("interface", address)) => {
                    interface = address.parse().map_err(|_| wrong("the interface is no IP address"))?;
                }
                // The system's own default is good.
                Some(("backlog", _)) => {}
                Some((option, _)) => return Err(wrong(&format!("unknown option \"{option}\""))),
            }
        }
        let port = port.ok_or_else(|| wrong("the port is missing"))?;
        Ok(Listen { address: SocketAddr::new(interface, port) })
    }

    /// Takes the address; with port 0 it is another then.
    pub fn bind(self) -> Result<(TcpListener, SocketAddr), ListenError> {
        let Listen { address } = self;
        let bound = TcpListener::bind(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        bound.map_err(|cause| match cause.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address },
            _ => ListenError::Bind { address, cause },
        })
    }
}

/// Splits at `:`, except where it stands behind a `\`, as in `interface=\:\:1`.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (':', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(chars.next()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_port() {
        for (given, address) in [
            ("8010", "0.0.0.0:8010"),
            ("tcp:8010", "0.0.0.0:8010"),
            ("tcp:port=8010", "0.0.0.0:8010"),
            ("tcp:0:interface=127.0.0.1", "127.0.0.1:0"),
            ("tcp:8010:interface=\\:\\:1:backlog=50", "[::1]:8010"),
        ] {
            assert_eq!(Listen::parse("port", given).unwrap().address, address.parse().unwrap(), "{given}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (given, word) in [
            ("", "port"),
            ("http", "no number"),
            ("70000", "no number"),
            ("unix:/tmp/x", "UNIX"),
            ("ssl:443:privateKey=k", "TLS"),
            ("tcp:1:interface=x", "interface"),
            ("tcp:1:colour=red", "colour"),
            ("udp:1", "udp"),
        ] {
            let error = Listen::parse("port", given).unwrap_err().to_string();
            assert!(error.contains(word), "{given}: {error}");
        }
    }

    #[test]
    fn a_taken_port_is_a_sentence() {
        let (_first, address) = Listen::parse("port", "tcp:0:interface=127.0.0.1").unwrap().bind().unwrap();
        let error = Listen { address }.bind().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}: address in use; another master may be running with the same config")
        );
    }
}
