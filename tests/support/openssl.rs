//! Digests and certificates made by a program that is not ours.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The HMAC of some bytes in lower-case hexadecimal digits.
pub fn hmac_hex(hash: &str, key: &str, bytes: &[u8]) -> String {
    hmac(hash, key, bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn hmac(hash: &str, key: &str, bytes: &[u8]) -> Vec<u8> {
    openssl(&["dgst", &format!("-{hash}"), "-binary", "-hmac", key], bytes)
}

/// `-e` encodes, `-d` decodes; on one line.
pub fn base64(direction: &str, bytes: &[u8]) -> Vec<u8> {
    openssl(&["base64", direction, "-A"], bytes)
}

fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is there; `apt-get install openssl` installs it");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {}: {}: {errors}", args.join(" "), output.status);
    output.stdout
}

/// Somebody who signs certificates.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// A new one, with its files in this folder.
    pub fn new(folder: &Path) -> Authority {
        let authority = Authority { folder: folder.to_owned() };
        let (certificate, key) = (authority.certificate(), folder.join("ca.key"));
        let subject = ["-subj", "/CN=Authority of a test", "-days", "30"];
        let files = ["-out", text(&certificate), "-keyout", text(&key)];
        openssl(&[&["req", "-x509"][..], &NEW_KEY, &subject, &files].concat(), b"");
        authority
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for a host, which is this machine, and its key.
    pub fn issue(&self, host: &str) -> (PathBuf, PathBuf) {
        let file = |end: &str| self.folder.join(format!("{host}.{end}"));
        let (certificate, key, request, extensions) = (file("pem"), file("key"), file("req"), file("ext"));
        let subject = format!("/CN={host}");
        let files = ["-out", text(&request), "-keyout", text(&key), "-subj", &subject];
        openssl(&[&["req"][..], &NEW_KEY, &files].concat(), b"");
        std::fs::write(&extensions, format!("subjectAltName=DNS:{host},IP:127.0.0.1\n")).unwrap();
        let (ca, ca_key) = (self.certificate(), self.folder.join("ca.key"));
        let signer = ["-CA", text(&ca), "-CAkey", text(&ca_key), "-CAcreateserial", "-days", "30"];
        let files = ["-in", text(&request), "-out", text(&certificate), "-extfile", text(&extensions)];
        openssl(&[&["x509", "-req"][..], &signer, &files].concat(), b"");
        // Servers run by somebody else must be able to read it.
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        (certificate, key)
    }
}

/// The SHA-256 of a certificate, as services of IRC know it.
pub fn fingerprint(certificate: &Path) -> String {
    let said = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", text(certificate)], b"");
    let said = String::from_utf8(said).unwrap();
    let digits = said.split('=').nth(1).unwrap().trim();
    digits.replace(':', "").to_lowercase()
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
