//! Digests made by a program that is not ours.

use std::io::Write;
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
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("openssl is there; `apt-get install openssl` installs it");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {}: {}", args.join(" "), output.status);
    output.stdout
}
