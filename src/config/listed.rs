use super::Options;
use serde_json::Value;

/// One entry of a permission that lists who has it.
///
/// A nick is not among the choices: anybody can take one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A user of a web server; on IRC an account of the network's services.
    Account(String),
    /// `nick!user@host` with `*` and `?`, for IRC alone. It always says something of the host.
    Mask(String),
}

impl Listed {
    /// The entries of an option, without those that are a problem.
    pub(super) fn read(options: &mut Options<'_, '_>, name: &str, list: &[Value]) -> Vec<Listed> {
        let mut read = Vec::new();
        for value in list {
            match value.as_str().map(Listed::parse) {
                Some(Ok(listed)) => read.push(listed),
                Some(Err(message)) => options.problem(name, message),
                None => options.problem(name, "each entry must be the name of an account, or a mask nick!user@host"),
            }
        }
        read
    }

    fn parse(text: &str) -> Result<Listed, String> {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.contains(odd) {
            return Err(format!("\"{text}\" is neither an account nor a mask nick!user@host"));
        }
        let Some((who, host)) = text.rsplit_once('@') else {
            return match text.contains(['!', '*', '?']) {
                true => Err(format!("\"{text}\" names no host, and anybody can take a nick: write nick!user@host")),
                false => Ok(Listed::Account(text.to_owned())),
            };
        };
        if !who.contains('!') {
            return Err(format!("\"{text}\" is not a mask: write nick!user@host, such as *!*@{host}"));
        }
        if !host.contains(char::is_alphanumeric) {
            return Err(format!(
                "\"{text}\" fits every host, and anybody can take a nick: name the host, or an account"
            ));
        }
        Ok(Listed::Mask(text.to_owned()))
    }

    /// Whether this is the account of that name; services take no heed of case.
    pub fn is_account(&self, name: &str) -> bool {
        matches!(self, Listed::Account(account) if account.eq_ignore_ascii_case(name))
    }

    /// Whether `nick!user@host` fits the mask; case does not count.
    pub fn fits(&self, mask: &str) -> bool {
        match self {
            Listed::Account(_) => false,
            Listed::Mask(pattern) => glob(pattern.to_lowercase().as_bytes(), mask.to_lowercase().as_bytes()),
        }
    }
}

/// `*` is anything, `?` any one byte. Takes no more time than the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where to go on when what was taken for the last star's part does not lead on.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[from] => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    from = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nick_alone_is_no_identity() {
        for text in ["ann!*", "ann!*@*", "*!*@*", "ann*", "ann!ann@?.*", "", "a b", "ann@example.org"] {
            assert!(Listed::parse(text).is_err(), "{text}");
        }
        assert_eq!(Listed::parse("ann"), Ok(Listed::Account("ann".to_owned())));
    }

    #[test]
    fn masks_fit_hosts_and_accounts_fit_no_mask() {
        let mask = Listed::parse("*!~bob@*.Example.org").unwrap();
        assert!(mask.fits("bob_!~bob@shell.example.ORG"));
        assert!(!mask.fits("bob!~bob@example.org") && !mask.fits("bob!~bob@shell.example.org.evil"));
        assert!(!mask.is_account("bob"));
        let account = Listed::parse("Ann").unwrap();
        assert!(account.is_account("ann") && !account.fits("ann!ann@host"));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = format!("{}!x@h", "*a".repeat(200));
        assert!(!glob(pattern.as_bytes(), "a".repeat(5000).as_bytes()));
        assert!(glob(b"a*?c", b"abbbc") && !glob(b"a?c", b"ac") && glob(b"*", b""));
    }
}
