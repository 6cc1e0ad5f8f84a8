//! Mail addresses as people, version control systems and configurations write them.

use lettre::Address;
use lettre::message::Mailbox;
use url::Host;

/// Longer than any address or name somebody means.
const LONGEST: usize = 500;

/// Whether mail can be addressed so, as a configuration has it: what 0.8 takes (`reference/mail.md` §5), and quoted names,
/// comments and domains in any script.
pub fn is_address(text: &str) -> bool {
    !text.contains(char::is_control) && recipient(text).is_some()
}

/// The sender's address: it may be on this machine, as the manual's own `buildbot@localhost` is.
pub fn sender(text: &str) -> Option<Mailbox> {
    mailbox(text)
}

/// An address mail can be sent to, with the name that stands beside it; `None` if it is none.
///
/// `"Bell, Ann" <ann@x.org>`, `ann@x.org (Ann Bell)`, `ann@bücher.example`. What git and a lookup make together,
/// `Ann <ann@x.org>@y.org`, is cut from the last `@`, as in 0.8.
pub fn recipient(text: &str) -> Option<Mailbox> {
    mailbox(text).filter(|mailbox| mailbox.email.domain().contains('.'))
}

fn mailbox(text: &str) -> Option<Mailbox> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST || text.contains(char::is_control) {
        return None;
    }
    let text = match text.rsplit_once('@') {
        Some((before, _)) if before.trim_end().ends_with('>') => before.trim_end(),
        _ => text,
    };
    let (name, bare) = split(text)?;
    let (local, domain) = bare.rsplit_once('@')?;
    let address = Address::new(local, ascii(domain)?).ok()?;
    let name = name.map(unquoted).filter(|name| !name.is_empty());
    Some(Mailbox::new(name, address))
}

/// Name and bare address.
fn split(text: &str) -> Option<(Option<&str>, &str)> {
    if let Some(inside) = text.strip_suffix('>') {
        let (name, bare) = inside.rsplit_once('<')?;
        return Some((Some(name.trim()), bare.trim()));
    }
    // A comment behind it is what older programs write for a name.
    if let Some((bare, comment)) = text.strip_suffix(')').and_then(|inside| inside.split_once('(')) {
        return Some((Some(comment.trim()), bare.trim()));
    }
    Some((None, text))
}

/// As the mail servers of the world know it.
fn ascii(domain: &str) -> Option<String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    match Host::parse(domain).ok()? {
        Host::Domain(ascii) => Some(ascii),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) => inside.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_as_0_8_tells_them() {
        for good in ["foo+bar@example.com", "nobody@example.com.", "My Name <my.name@example.com>", "<a@b.c>"] {
            assert!(is_address(good), "{good}");
        }
        assert!(is_address("egypt@example.xn--wgbh1c"));
        for bad in ["foo", "foo@", "@example.com", "foo@invalid", "a b@c.d", "x@a..b", "a@b.c\n", "a@b.c\r\nBcc: d@e.f"]
        {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn people_write_addresses_in_many_ways() {
        let read = |text: &str| {
            let mailbox = recipient(text)?;
            Some(format!("{}|{}", mailbox.name.unwrap_or_default(), mailbox.email))
        };
        let ways = [
            ("\"Bell, Ann\" <ann@x.org>", "Bell, Ann|ann@x.org"),
            ("Ann Bell <ann@x.org>", "Ann Bell|ann@x.org"),
            ("ann@x.org (Ann Bell)", "Ann Bell|ann@x.org"),
            ("Ann <ann@x.org>@y.org", "Ann|ann@x.org"),
            ("ann@bücher.example", "|ann@xn--bcher-kva.example"),
            ("jörg@x.org", "|jörg@x.org"),
            ("nobody@example.com.", "|nobody@example.com"),
        ];
        for (written, expected) in ways {
            assert_eq!(read(written).as_deref(), Some(expected), "{written}");
        }
        for bad in ["", "Ann", "Ann <>", "ann@localhost", "ann@[127.0.0.1]", "a\0@b.c", "a@b.c>", "\u{202e}@"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(sender("buildbot@localhost").is_some());
    }
}
