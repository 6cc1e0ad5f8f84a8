//! Keeps secrets out of logs and texts: what `%(secret:name)s` of a step's options stands for is shown as `…`.
//!
//! Text is looked through piece by piece as it comes; a secret that a command prints in two goes is not recognised.

use crate::config::{Renderable, Secret, Secrets};

const SHOWN: &str = "…";

/// The values of all secrets these options name.
pub(super) fn named<'a>(options: impl IntoIterator<Item = &'a Renderable>, secrets: &Secrets) -> Vec<Secret> {
    let mut names = Vec::new();
    options.into_iter().for_each(|option| collect(option, &mut names));
    names.sort_unstable();
    names.dedup();
    let values = names.into_iter().filter_map(|name| secrets.get(name));
    values.filter(|secret| !secret.reveal().is_empty()).collect()
}

fn collect<'a>(option: &'a Renderable, names: &mut Vec<&'a str>) {
    match option {
        Renderable::Interpolate { format, args, kwargs } => {
            let uses = format.split("%(secret:").skip(1);
            names.extend(uses.filter_map(|rest| rest.split([':', ')']).next()));
            args.iter().chain(kwargs.iter().map(|(_, value)| value)).for_each(|inner| collect(inner, names));
        }
        Renderable::Property { default, .. } => collect(default, names),
        Renderable::List(items) => items.iter().for_each(|item| collect(item, names)),
        Renderable::Dict(items) => items.iter().for_each(|(_, item)| collect(item, names)),
        Renderable::Plain(_) | Renderable::WithProperties { .. } | Renderable::Callback(_) => {}
    }
}

pub(super) fn hide_text(mut text: String, secrets: &[Secret]) -> String {
    for secret in secrets {
        if text.contains(secret.reveal()) {
            text = text.replace(secret.reveal(), SHOWN);
        }
    }
    text
}

pub(super) fn hide(mut bytes: Vec<u8>, secrets: &[Secret]) -> Vec<u8> {
    for secret in secrets.iter().map(|secret| secret.reveal().as_bytes()) {
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(secret.len()).position(|window| window == secret) {
            let at = from + at;
            bytes.splice(at..at + secret.len(), SHOWN.bytes());
            from = at + SHOWN.len();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_hidden() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hush\n").unwrap();
        let secrets = Secrets::in_folder(folder.path());
        let format = "a %(secret:token)s %(prop:x)s %(secret:none)s".to_owned();
        let option = Renderable::List(vec![Renderable::Interpolate { format, args: Vec::new(), kwargs: Vec::new() }]);
        let found = named([&option], &secrets);
        assert_eq!(found.len(), 1);
        assert_eq!(hide(b"<hush>hushhush\xff".to_vec(), &found), "<…>……".bytes().chain([0xff]).collect::<Vec<u8>>());
        assert_eq!(hide_text("no hush".into(), &found), "no …");
    }
}
