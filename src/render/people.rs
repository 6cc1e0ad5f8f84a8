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

#[cfg(test)]
mod tests {
    use super::name;

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
