//! People as pages name them: never with their mail address.

/// `Ann Bell <ann@example.org>` is `Ann Bell`; an address alone is what stands before its `@`.
pub fn name(who: &str) -> &str {
    let who = who.trim();
    let name = match who.split_once('<') {
        Some((name, _)) if !name.trim().is_empty() => name.trim().trim_matches('"'),
        Some((_, mail)) => mail.trim_end_matches('>').trim(),
        None => who,
    };
    match name.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.contains(' ') => local,
        _ => name,
    }
}

/// The same for those who have to be told apart: of an address everything but where it is.
///
/// `Ann Bell <ann@example.org>` is `Ann Bell <ann@…>`.
pub fn veiled(who: &str) -> String {
    let mut shown = String::new();
    let mut rest = who;
    while let Some((before, after)) = rest.split_once('@') {
        let is_host = |letter: char| !letter.is_whitespace() && !"<>()[]\",;@".contains(letter);
        let host = after.len() - after.trim_start_matches(is_host).len();
        shown.push_str(before);
        shown.push_str(if host > 0 { "@…" } else { "@" });
        rest = &after[host..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::{name, veiled};

    #[test]
    fn hosts_stay_out_where_addresses_are_told_apart() {
        assert_eq!(veiled("Ann Bell <ann@example.org>"), "Ann Bell <ann@…>");
        assert_eq!(veiled("ann@example.org, bob@example.org @ home"), "ann@…, bob@… @ home");
        assert_eq!(veiled("ann"), "ann");
    }

    #[test]
    fn the_mail_stays_out() {
        assert_eq!(name("Ann Bell <ann@example.org>"), "Ann Bell");
        assert_eq!(name("\"Bell, Ann\" <ann@example.org>"), "Bell, Ann");
        assert_eq!(name("<ann@example.org>"), "ann");
        assert_eq!(name("ann@example.org"), "ann");
        assert_eq!(name("ann"), "ann");
        assert_eq!(name(""), "");
    }
}
