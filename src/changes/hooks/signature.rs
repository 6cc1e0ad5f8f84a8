//! What proves that a code host sent a request: a digest made with a shared secret, or the secret itself.

use super::{Dialect, Refused, Request, shown};
use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Md5,
    Sha1,
    Sha256,
}

/// `sha256=1f0c…` under the key a header names, as GitHub writes it; `hash` must be the one named.
pub fn named(hash: Hash, key: &str, signed: &[u8], header: &str) -> Result<(), Refused> {
    let (name, digest) =
        header.split_once('=').ok_or_else(|| forged(format!("Wrong signature format: {}", shown(header))))?;
    if name != hash.name() {
        return Err(forged(format!("Unknown hash type: {}, expected {}", shown(name), hash.name())));
    }
    bare(hash, key, signed, digest)
}

/// The digest alone, in lower-case hexadecimal digits.
pub fn bare(hash: Hash, key: &str, signed: &[u8], digest: &str) -> Result<(), Refused> {
    let digest = from_hex(digest).filter(|digest| digest.len() == hash.length());
    let digest = digest.ok_or_else(|| {
        let digits = hash.length() * 2;
        forged(format!("the signature is not {digits} lower-case hexadecimal digits, as {} has", hash.name()))
    })?;
    let same = match hash {
        Hash::Md5 => verified::<Hmac<Md5>>(key.as_bytes(), signed, &digest),
        Hash::Sha1 => verified::<Hmac<Sha1>>(key.as_bytes(), signed, &digest),
        Hash::Sha256 => verified::<Hmac<Sha256>>(key.as_bytes(), signed, &digest),
    };
    if same { Ok(()) } else { Err(forged("Hash mismatch: the secrets differ, or the body was changed on its way")) }
}

/// The secret in clear.
pub fn token(secret: &str, header: &str) -> Result<(), Refused> {
    match bool::from(secret.as_bytes().ct_eq(header.as_bytes())) {
        true => Ok(()),
        false => Err(forged("Invalid secret")),
    }
}

/// What a secret of Standard Webhooks begins with; base64 of the key follows.
pub const WEBHOOK_SECRET: &str = "whsec_";

/// Standard Webhooks: `webhook-signature` lists digests over id, time and body, of which one must be right.
///
/// How old the time is does not matter here: a delivery that comes twice has the same id.
pub fn standard(secret: &str, request: &Request) -> Result<(), Refused> {
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = secret.strip_prefix(WEBHOOK_SECRET).and_then(|key| base64.decode(key).ok());
    let key = key.ok_or_else(|| forged("the secret in master.cfg is not a signing token"))?;
    let header = |name| single(request, name)?.ok_or_else(|| forged(format!("there is no {name}")));
    let (id, time, signatures) = (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &request.body].concat();
    let digests = signatures.split(' ').filter_map(|signature| base64.decode(signature.strip_prefix("v1,")?).ok());
    // All are looked at, however many are right.
    let right = digests.take(10).filter(|digest| verified::<Hmac<Sha256>>(&key, &signed, digest)).count();
    if right > 0 { Ok(()) } else { Err(forged("Hash mismatch: no v1 signature of webhook-signature is right")) }
}

/// The one header of this name. Two of them could be one for us and one for a proxy before us.
pub fn single(request: &Request, name: &str) -> Result<Option<String>, Refused> {
    if request.count(name) > 1 {
        return Err(forged(format!("there is more than one {name}")));
    }
    Ok(request.word(name))
}

/// Bitbucket, Cloud and Server: sha256 in the header that elsewhere has sha1. With a secret there must be one.
pub(super) fn bitbucket(dialect: &Dialect, request: &Request) -> Result<(), Refused> {
    let Some(secret) = &dialect.secret else { return Ok(()) };
    let header = single(request, "x-hub-signature")?.ok_or_else(unsigned)?;
    named(Hash::Sha256, secret.reveal(), &request.body, &header)
}

pub(super) fn unsigned() -> Refused {
    forged("Request has no required signature")
}

fn forged(why: impl Into<String>) -> Refused {
    Refused::Forged(why.into())
}

/// Takes the same time wherever the digests differ.
fn verified<M: Mac + KeyInit>(key: &[u8], signed: &[u8], digest: &[u8]) -> bool {
    let Ok(mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    mac.chain_update(signed).verify_slice(digest).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Hash::Md5 => "md5",
            Hash::Sha1 => "sha1",
            Hash::Sha256 => "sha256",
        }
    }

    /// In bytes.
    fn length(self) -> usize {
        match self {
            Hash::Md5 => 16,
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 and RFC 4231, case 2.
    const WHAT: &[u8] = b"what do ya want for nothing?";
    const SHA256: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn published_digests_are_right() {
        assert_eq!(bare(Hash::Md5, "Jefe", WHAT, "750c783e6ab0b503eaa86e310a5db738"), Ok(()));
        assert_eq!(bare(Hash::Sha1, "Jefe", WHAT, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"), Ok(()));
        assert_eq!(bare(Hash::Sha256, "Jefe", WHAT, SHA256), Ok(()));
        assert_eq!(named(Hash::Sha256, "Jefe", WHAT, &format!("sha256={SHA256}")), Ok(()));
    }

    #[test]
    fn anything_else_is_forged() {
        let upper = SHA256.to_uppercase();
        let wrong = format!("6{}", &SHA256[1..]);
        for digest in ["", "5b", &SHA256[..62], &SHA256[..63], &upper, &wrong, "sha256", &SHA256.replace('5', "ä")] {
            assert_eq!(bare(Hash::Sha256, "Jefe", WHAT, digest).unwrap_err().status(), 403, "{digest}");
        }
        for header in ["", SHA256, &format!("sha1={SHA256}"), &format!("SHA256={SHA256}"), &format!("sha256=={SHA256}")]
        {
            assert!(named(Hash::Sha256, "Jefe", WHAT, header).is_err(), "{header}");
        }
        assert!(bare(Hash::Sha256, "jefe", WHAT, SHA256).is_err());
        assert!(token("hush", "hus").is_err() && token("hush", "").is_err() && token("hush", "hush").is_ok());
    }

    #[test]
    fn doubled_headers_are_refused() {
        let request = Request::posted(&[("x-hub-signature", "a"), ("x-hub-signature", "a")], "application/json", "");
        assert!(single(&request, "x-hub-signature").is_err());
        assert_eq!(single(&request, "x-other"), Ok(None));
    }

    #[test]
    fn standard_webhooks_sign_id_time_and_body() {
        let key = base64::engine::general_purpose::STANDARD.encode("k");
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"k").unwrap().chain_update(b"id.1.{}").finalize();
        let digest = base64::engine::general_purpose::STANDARD.encode(mac.into_bytes());
        let check = |signature: &str| {
            let headers = [("webhook-id", "id"), ("webhook-timestamp", "1"), ("webhook-signature", signature)];
            standard(&format!("whsec_{key}"), &Request::posted(&headers, "", "{}"))
        };
        assert_eq!(check(&format!("v1,AAAA v1,{digest}")), Ok(()));
        assert!(check("v1,AAAA").is_err() && check(&format!("v2,{digest}")).is_err() && check("").is_err());
    }
}
