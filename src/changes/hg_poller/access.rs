//! How the user who runs the master gets at repositories: what of the settings of hg counts for a poller.
//!
//! The manual sends operators to the `hgrc` of that user for passwords, certificates and proxies. Everything else in it,
//! hooks and extensions above all, is for people and stays out. `%include` is not followed.

use std::path::PathBuf;

/// Sections that are taken whole.
const WHOLE: [&str; 4] = ["auth", "http_proxy", "hostsecurity", "hostfingerprints"];
/// Single settings that are taken.
const SINGLE: [(&str, &str); 3] = [("ui", "ssh"), ("ui", "remotecmd"), ("web", "cacerts")];

/// Before what the user says, who may know better.
const USUAL: &str = "[ui]\nssh = ssh -oBatchMode=yes -oServerAliveInterval=30\n";

/// The settings for commands that go to the repository at `url`, which they name `signalbox`: so the URL, which may hold
/// a password, is in no list of processes.
pub(super) async fn settings(url: &str) -> String {
    let mut settings = USUAL.to_owned();
    for file in files() {
        if let Ok(text) = tokio::fs::read(&file).await {
            settings += &chosen(&String::from_utf8_lossy(&text));
        }
    }
    // A lock that is held longer is said to be.
    settings + "[ui]\ntimeout = 60\n[paths]\nsignalbox = " + &as_path(url) + "\n"
}

/// hg's own files, the later ones winning.
fn files() -> Vec<PathBuf> {
    if let Some(given) = std::env::var_os("HGRCPATH") {
        return std::env::split_paths(&given).filter(|path| path.is_file()).collect();
    }
    let mut files = vec![PathBuf::from("/etc/mercurial/hgrc")];
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        files.push(home.join(".hgrc"));
        let config = std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("hg/hgrc"));
    }
    files
}

fn chosen(hgrc: &str) -> String {
    let mut chosen = String::new();
    let mut section = "";
    let mut taking = false;
    for line in hgrc.lines() {
        let is_more = line.starts_with([' ', '\t']);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            (section, taking) = (name, false);
            continue;
        }
        if !is_more {
            let key = line.split('=').next().unwrap_or_default().trim();
            let is_setting = line.contains('=') && !line.starts_with(['#', ';', '%']);
            taking = is_setting && (WHOLE.contains(&section) || SINGLE.contains(&(section, key)));
        }
        if taking {
            let header = if is_more { String::new() } else { format!("[{section}]\n") };
            chosen += &format!("{header}{line}\n");
        }
    }
    chosen
}

/// hg would put the values of variables into what it reads.
fn as_path(url: &str) -> String {
    if url.contains("://") { url.replace('$', "%24") } else { url.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_to_repositories_are_taken() {
        let hgrc = "[ui]\nusername = Ann\nssh = ssh\n   -C\n[hooks]\nincoming = boo\n[extensions]\nevil = /x.py\n\
                    %include more\n[auth]\n# mine\nx.prefix = hg.example.org\nx.password = s=t\n[web]\ncacerts = /c\nstyle = y\n";
        let expected = "[ui]\nssh = ssh\n   -C\n[auth]\nx.prefix = hg.example.org\n[auth]\nx.password = s=t\n\
                        [web]\ncacerts = /c\n";
        assert_eq!(chosen(hgrc), expected);
        assert_eq!(as_path("https://a:$HOME@h/x"), "https://a:%24HOME@h/x");
    }
}
