//! `poller`: has change sources look now, rather than when it is their time.
//!
//! ```python
//! change_hook_dialects={'poller': {'allowed': ['https://svn.example.org/repo']}}
//! ```
//!
//! ```text
//! curl -F poller=https://svn.example.org/repo http://localhost:8010/change_hook/poller
//! ```
//!
//! GET or POST; `poller` may come several times, and without it all of `allowed` look, or simply all. Unless every one of
//! them is there and allowed none looks.

use super::{Refused, Request, shown};
use std::collections::BTreeSet;

pub(super) const OPTIONS: &[&str] = &["allowed"];

/// How many names a refusal lists.
const MOST_NAMES: usize = 10;

/// The names asked for; none stands for all.
pub fn read(request: &Request) -> Result<Vec<String>, Refused> {
    Ok(request.args()?.all("poller").to_vec())
}

/// Which of the pollers that are `there` are to look, each once. One that is not allowed is as good as not there.
pub fn choose(asked: &[String], allowed: Option<&[String]>, there: &[String]) -> Result<Vec<String>, Refused> {
    let may = |name: &&String| allowed.is_none_or(|allowed| allowed.contains(name));
    let known: BTreeSet<&String> = there.iter().filter(may).collect();
    if asked.is_empty() {
        return Ok(known.into_iter().cloned().collect());
    }
    let asked: BTreeSet<&String> = asked.iter().collect();
    let missing: Vec<&&String> = asked.iter().filter(|name| !known.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(asked.into_iter().cloned().collect());
    }
    let names: Vec<String> =
        missing.iter().take(MOST_NAMES).map(|name| shown(name).trim_matches('"').to_owned()).collect();
    let more = if missing.len() > MOST_NAMES { ",…" } else { "" };
    Err(Refused::Malformed(format!("Could not find pollers: {}{more}", names.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(asked: &[&str], allowed: Option<&[&str]>) -> Result<String, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let allowed = allowed.map(owned);
        let chosen = choose(&owned(asked), allowed.as_deref(), &owned(&["c", "b", "a"]));
        chosen.map(|names| names.join(",")).map_err(|refused| refused.to_string())
    }

    #[test]
    fn names_come_from_the_address_or_a_form() {
        assert_eq!(read(&Request::got("poller=a&poller=b")).unwrap(), ["a", "b"]);
        assert_eq!(read(&Request::posted(&[], "", "")).unwrap(), [""; 0]);
    }

    #[test]
    fn all_or_nothing() {
        assert_eq!(chosen(&[], None).as_deref(), Ok("a,b,c"));
        assert_eq!(chosen(&["b", "a", "b"], None).as_deref(), Ok("a,b"));
        assert_eq!(chosen(&[], Some(&["b", "x"])).as_deref(), Ok("b"));
        assert_eq!(chosen(&["a", "z", "b", "y"], Some(&["a"])).unwrap_err(), "Could not find pollers: b,y,z");
        assert_eq!(chosen(&["a\r\n"], None).unwrap_err(), "Could not find pollers: a\\r\\n");
    }
}
