//! What a sender sent, as it came. Knows nothing of the web server that took it in.

use super::{Refused, multipart};
use bytes::Bytes;
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl Method {
    pub fn word(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// One request for a dialect.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// As it stands in the address, without `?`.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// No longer compressed, and within the limit for bodies.
    pub body: Bytes,
}

/// Arguments by name: of the address, and of a form, which wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(BTreeMap<String, Vec<String>>);

/// More than a form for people has.
const MOST_ARGS: usize = 10_000;

impl Request {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_slice())
    }

    /// How many headers of this name there are.
    pub fn count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(header, _)| header == name).count()
    }

    /// The header of this name as text.
    pub fn word(&self, name: &str) -> Option<String> {
        self.header(name).map(|value| String::from_utf8_lossy(value).trim().to_owned())
    }

    /// `application/json`, in lower case and without parameters; empty where nothing is said.
    pub fn content_type(&self) -> String {
        let header = self.word("content-type").unwrap_or_default();
        header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the body holds arguments.
    pub fn is_form(&self) -> bool {
        let form = ["application/x-www-form-urlencoded", "multipart/form-data"];
        self.method == Method::Post && form.contains(&self.content_type().as_str())
    }

    /// Code hosts post.
    pub fn only_post(&self) -> Result<(), Refused> {
        match self.method {
            Method::Post => Ok(()),
            Method::Get => Err(Refused::WrongMethod),
        }
    }

    /// The arguments of the address alone.
    pub fn query_args(&self) -> Result<Args, Refused> {
        urlencoded(self.query.as_bytes())
    }

    /// The arguments of the address and of a form. A name of the form replaces that of the address with all its values.
    pub fn args(&self) -> Result<Args, Refused> {
        let mut args = self.query_args()?;
        if self.is_form() {
            let form = match self.content_type().as_str() {
                "multipart/form-data" => self.multipart()?,
                _ => urlencoded(&self.body)?,
            };
            args.0.extend(form.0);
        }
        Ok(args)
    }

    fn multipart(&self) -> Result<Args, Refused> {
        let parts = multipart::parts(self.body.clone(), &self.word("content-type").unwrap_or_default())?;
        let mut args = Args::default();
        for (count, (name, value)) in parts.into_iter().enumerate() {
            args.add(count, name, Cow::Borrowed(&value))?;
        }
        Ok(args)
    }
}

fn urlencoded(text: &[u8]) -> Result<Args, Refused> {
    let mut args = Args::default();
    for (count, pair) in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = String::from_utf8_lossy(&decoded(&pair[..end])).into_owned();
        args.add(count, name, decoded(pair.get(end + 1..).unwrap_or_default()))?;
    }
    Ok(args)
}

/// `+` is a space, `%41` an A.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

impl Args {
    fn add(&mut self, count: usize, name: String, value: Cow<'_, [u8]>) -> Result<(), Refused> {
        if count >= MOST_ARGS {
            return Err(Refused::Malformed(format!("there are more than {MOST_ARGS} arguments")));
        }
        let value = String::from_utf8(value.into_owned());
        let value = value.map_err(|_| Refused::Malformed(format!("{} is not UTF-8", super::shown(&name))))?;
        self.0.entry(name).or_default().push(value);
        Ok(())
    }

    /// The first value, which may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// The first value, unless it is empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Takes the first value out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)?.into_iter().next()
    }
}

#[cfg(test)]
impl Request {
    /// A POST, for the tests of the dialects.
    pub(super) fn posted(headers: &[(&str, &str)], content_type: &str, body: &str) -> Request {
        let mut all = vec![("content-type".to_owned(), content_type.as_bytes().to_vec())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        Request { method: Method::Post, query: String::new(), headers: all, body: Bytes::from(body.to_owned()) }
    }

    pub(super) fn got(query: &str) -> Request {
        Request { method: Method::Get, query: query.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";

    #[test]
    fn the_form_replaces_what_the_address_says() {
        let request = Request { query: "a=1&b=2&b=3&&c".into(), ..Request::posted(&[], FORM, "b=4&d=%C3%A4+%2B&e=") };
        let args = request.args().unwrap();
        assert_eq!((args.get("a"), args.all("b"), args.get("c")), (Some("1"), &["4".to_owned()][..], Some("")));
        assert_eq!((args.get("d"), args.get("e"), args.given("e")), (Some("ä +"), Some(""), None));
        assert_eq!(request.query_args().unwrap().all("b").len(), 2);
    }

    #[test]
    fn only_the_body_of_a_posted_form_has_arguments() {
        let json = Request { query: "a=1".into(), ..Request::posted(&[], "application/json", "a=2") };
        assert_eq!(json.args().unwrap().get("a"), Some("1"));
        let got = Request { method: Method::Get, ..Request::posted(&[], FORM, "a=2") };
        assert_eq!(got.args().unwrap().get("a"), None);
    }

    #[test]
    fn bad_arguments_are_named() {
        let wrong = Request::got("who=%ff").args().unwrap_err();
        assert_eq!(wrong, Refused::Malformed("\"who\" is not UTF-8".into()));
        assert!(Request::got(&"a&".repeat(10_001)).args().is_err());
        assert_eq!(Request::got("a=%4").args().unwrap().get("a"), Some("%4"));
    }
}
