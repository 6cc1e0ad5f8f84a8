//! Password hashes as htpasswd files and the user database hold them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Whether the first line of this user in an htpasswd file has this password.
///
/// Knows what current htpasswd programs write: bcrypt, apr1, `{SHA}`, crypt's DES, MD5, SHA-256 and SHA-512.
pub fn fits_htpasswd(file: &str, user: &str, password: &str) -> bool {
    let hash = file.lines().find_map(|line| {
        let (name, hash) = line.trim_end().split_once(':')?;
        (name == user).then_some(hash)
    });
    hash.is_some_and(|hash| fits(password, hash))
}

/// Whether the first line of this user, `user:password`, has this password, in clear or as an htpasswd program hashes it.
///
/// 0.8 took what stands before a second colon for the password; so that is taken too.
pub fn fits_line(lines: &str, user: &str, password: &str) -> bool {
    let stored = lines.lines().find_map(|line| {
        let (name, stored) = line.trim_end().split_once(':')?;
        (name == user).then_some(stored)
    });
    let hashes = ["$1$", "$2", "$5$", "$6$", "$apr1$", "{SHA}"];
    stored.is_some_and(|stored| match hashes.iter().any(|hash| stored.starts_with(hash)) {
        true => fits(password, stored),
        false => same(password, stored) | same(password, stored.split(':').next().unwrap_or_default()),
    })
}

/// bcrypt takes no more bytes of a password, so nobody is to believe that more of theirs counted.
pub const LONGEST: usize = 72;

/// How often bcrypt hashes: 2 to the power of this.
const COST: u32 = 10;

/// What the user database stores of a password: bcrypt, as 0.8's salted SHA-1 is guessed in no time. Takes a moment.
///
/// `None` for an empty one, and for one that is longer than [`LONGEST`] or has a NUL in it.
pub fn hashed(password: &str) -> Option<String> {
    let usable = !password.is_empty() && password.len() <= LONGEST && !password.contains('\0');
    // It only fails where there is no randomness for the salt.
    usable.then(|| bcrypt::hash(password, COST).ok())?
}

/// Whether the password fits what the user database stores: what [`hashed`] makes, or 0.8's 16 characters of salt and
/// the hex SHA-1 of password and salt.
pub fn fits_stored(password: &str, stored: &str) -> bool {
    if stored.starts_with("$2") {
        return password.len() <= LONGEST && fits(password, stored);
    }
    let Some((salt, hash)) = stored.split_at_checked(16) else { return false };
    let mut sha1 = Sha1::new();
    sha1.update(password.as_bytes());
    sha1.update(salt.as_bytes());
    same(&hex(&sha1.finalize()), hash)
}

fn fits(password: &str, hash: &str) -> bool {
    if let Some(sha1) = hash.strip_prefix("{SHA}") {
        return same(&STANDARD.encode(Sha1::digest(password.as_bytes())), sha1);
    }
    if let Some(rest) = hash.strip_prefix("$apr1$") {
        let Some((salt, digest)) = rest.split_once('$') else { return false };
        return same(&apr1(password.as_bytes(), salt.as_bytes()), digest);
    }
    if hash.starts_with("$2") {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    pwhash::unix::verify(password, hash)
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Apache's variant of MD5 crypt: the same steps with another magic word.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let salt = &salt[..salt.len().min(8)];
    let inner = md5(&[password, salt, password]);

    let mut first = Md5::new();
    first.update(password);
    first.update(b"$apr1$");
    first.update(salt);
    let mut left = password.len();
    while left > 0 {
        first.update(&inner[..left.min(16)]);
        left = left.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest: [u8; 16] = first.finalize().into();

    for round in 0..1000 {
        let mut parts: Vec<&[u8]> = vec![if round % 2 == 1 { password } else { &digest }];
        if round % 3 != 0 {
            parts.push(salt);
        }
        if round % 7 != 0 {
            parts.push(password);
        }
        parts.push(if round % 2 == 1 { &digest } else { password });
        digest = md5(&parts);
    }

    let mut text = String::new();
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        sixes(u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]), 4, &mut text);
    }
    sixes(u32::from(digest[11]), 2, &mut text);
    text
}

/// `count` characters of crypt's alphabet, six bits each, lowest first.
fn sixes(mut value: u32, count: usize, text: &mut String) {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..count {
        text.push(char::from(ALPHABET[(value & 63) as usize]));
        value >>= 6;
    }
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    md5.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_passwords_in_clear_or_hashed() {
        let lines = "ann:pass:word\nbob:{SHA}vpAKSO3uPt6z8KL6cqf5W5Sredk=\nann:other\nempty\n";
        assert!(fits_line(lines, "ann", "pass:word") && fits_line(lines, "ann", "pass"));
        assert!(fits_line(lines, "bob", "buildmaster"));
        for (user, password) in [("ann", "other"), ("ann", "word"), ("bob", "{SHA}"), ("empty", ""), ("Ann", "pass")] {
            assert!(!fits_line(lines, user, password), "{user} {password}");
        }
    }

    #[test]
    fn every_hash_of_a_current_htpasswd_file() {
        let file = "des:yifux5rkzvI5w\n\
                    apr1:$apr1$pSepI8Wp$eJZcfhnpENrRlUn28wak50\n\
                    sha:{SHA}vpAKSO3uPt6z8KL6cqf5W5Sredk=\n\
                    broken:$apr1$x\n";
        for user in ["des", "apr1", "sha"] {
            assert!(fits_htpasswd(file, user, "buildmaster"), "{user}");
            assert!(!fits_htpasswd(file, user, "Buildmaster"), "{user}");
        }
        for user in ["broken", "nobody", ""] {
            assert!(!fits_htpasswd(file, user, "buildmaster"), "{user}");
        }
        let sha512 = pwhash::sha512_crypt::hash("buildmaster").unwrap();
        assert!(fits("buildmaster", &sha512));
        let bcrypt = bcrypt::hash("buildmaster", 4).unwrap();
        assert!(fits("buildmaster", &bcrypt) && !fits("x", &bcrypt));
    }

    #[test]
    fn the_user_databases_own_hash() {
        let salt = "0123456789abcdef";
        let hash = hex(&Sha1::digest(b"secret0123456789abcdef"));
        assert!(fits_stored("secret", &format!("{salt}{hash}")));
        assert!(!fits_stored("Secret", &format!("{salt}{hash}")));
        assert!(!fits_stored("", ""));

        let hash = hashed("secret").unwrap();
        assert!(hash != hashed("secret").unwrap() && !hash.contains("secret"));
        assert!(fits_stored("secret", &hash) && !fits_stored("Secret", &hash) && !fits_stored("", &hash));
        let longest = "x".repeat(LONGEST);
        assert!(!fits_stored(&format!("{longest}y"), &hashed(&longest).unwrap()));
        assert_eq!([hashed(""), hashed(&format!("{longest}y")), hashed("a\0b")], [None, None, None]);
    }
}
