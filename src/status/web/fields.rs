//! What a request says in its query and its form: names and values, in order, repeats kept.
//!
//! As in 0.8: `&` and `;` separate, blanks stay, a posted field takes the place of all query arguments of its name.
//! Bytes that are no UTF-8 become U+FFFD; NUL goes.

use super::fault::Fault;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// More fields than any form has; what comes after is not read.
const MOST: usize = 2_000;

/// The arguments of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// From a query string.
    pub fn parse(text: &str) -> Fields {
        let pairs = text.split(['&', ';']).filter(|pair| !pair.is_empty()).take(MOST);
        Fields(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (plain(n), plain(v))).collect(),
        )
    }

    /// From a posted form. Only `&` separates here: a browser leaves a `;` in a value as it is.
    pub fn parse_form(body: &[u8]) -> Fields {
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST);
        Fields(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (plain(n), plain(v))).collect(),
        )
    }

    /// These, with all of `posted` in place of those of the same names.
    pub fn overlaid(mut self, posted: Fields) -> Fields {
        self.0.retain(|(name, _)| !posted.0.iter().any(|(other, _)| other == name));
        self.0.extend(posted.0);
        self
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Every value under any of these names, without empty ones.
    pub fn all(&self, names: &[&str]) -> Vec<String> {
        let named = |(name, value): &&(String, String)| names.contains(&name.as_str()) && !value.is_empty();
        self.0.iter().filter(named).map(|(_, value)| value.clone()).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every name with all its values.
    pub fn by_name(&self) -> BTreeMap<String, Vec<String>> {
        let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.0 {
            by_name.entry(name.clone()).or_default().push(value.clone());
        }
        by_name
    }

    /// A whole number.
    ///
    /// # Errors
    /// Names the argument when its value is none.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(value) => match value.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Fault::argument(name, value, "is not a whole number")),
            },
        }
    }

    /// A number of things to show: at least 1, never above `most`, whatever was asked for.
    pub fn number_of(&self, name: &str, default: i64, most: i64) -> Result<i64, Fault> {
        match self.integer(name)? {
            Some(number) if number < 0 => Err(Fault::argument(name, &number.to_string(), "is below 0")),
            number => Ok(number.unwrap_or(default).clamp(1, most)),
        }
    }

    /// The query that says the same with `name` changed; `None` leaves it out.
    pub fn with(&self, name: &str, value: Option<&str>) -> String {
        let kept = self.0.iter().filter(|(other, _)| other != name).map(|(n, v)| (n.as_str(), v.as_str()));
        encode(kept.chain(value.map(|value| (name, value))))
    }

    /// The query that says the same without one value of `name`.
    pub fn without(&self, name: &str, value: &str) -> String {
        encode(self.iter().filter(|pair| *pair != (name, value)))
    }
}

/// `?a=b&c=d`, or nothing for no pairs.
pub fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    use crate::render::asdict::quote;
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{}={}", quote(name), quote(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn plain(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_as_0_8_takes_them() {
        let fields = Fields::parse("tag=a;tag=b&show+events=%74rue&x&bad=%ff%00");
        assert_eq!(fields.all(&["tag"]), ["a", "b"]);
        assert_eq!(fields.get("show events"), Some("true"));
        assert_eq!(fields.get("x"), Some(""));
        assert_eq!(fields.get("bad"), Some("\u{fffd}"));
        assert_eq!(Fields::parse_form(b"a=1;2").get("a"), Some("1;2"));
    }

    #[test]
    fn posted_fields_replace_those_of_the_query() {
        let fields = Fields::parse("a=1&a=2&b=3").overlaid(Fields::parse_form(b"a=4"));
        assert_eq!(fields.all(&["a", "b"]), ["3", "4"]);
    }

    #[test]
    fn a_bad_number_is_named() {
        let fields = Fields::parse("count=many&numbuilds=9999999&none=&low=-3");
        assert!(fields.integer("count").unwrap_err().to_string().contains("count"));
        assert_eq!(fields.number_of("numbuilds", 20, 200).unwrap(), 200);
        assert_eq!(fields.number_of("none", 20, 200).unwrap(), 20);
        assert!(fields.number_of("low", 20, 200).is_err());
    }

    #[test]
    fn a_filter_can_be_taken_off() {
        let fields = Fields::parse("tag=a&tag=b c");
        assert_eq!(fields.without("tag", "a"), "?tag=b%20c");
        assert_eq!(fields.with("tag", None), "");
        assert_eq!(fields.with("last_time", Some("5")), "?tag=a&tag=b%20c&last_time=5");
    }
}
