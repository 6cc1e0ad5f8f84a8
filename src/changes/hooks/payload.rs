//! The JSON of a code host, read field by field; what is missing or of the wrong kind is named with its path.

use super::{Args, Refused, Request, dates, person};
use crate::model::Time;
use bytes::Bytes;
use serde_json::Value;

/// The arguments of a request and the text of its JSON: the body, or the field `payload` of a form.
pub(super) fn text(request: &Request) -> Result<(Args, Bytes), Refused> {
    if request.is_form() {
        let mut args = request.args()?;
        let text = args.take("payload").ok_or_else(|| missing("payload"))?;
        return Ok((args, Bytes::from(text)));
    }
    match request.content_type().as_str() {
        "application/json" => Ok((request.query_args()?, request.body.clone())),
        "" => Err(Refused::WrongType("there is no content type".to_owned())),
        other => Err(Refused::WrongType(format!("Unknown content type: {}", super::shown(other)))),
    }
}

/// How many values a payload may hold: in memory each takes many times the bytes it is written in.
const MOST_VALUES: usize = 1_000_000;

/// Refuses JSON that would grow too large by being parsed.
pub(super) fn bounded(text: &[u8]) -> Result<(), Refused> {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    if values > MOST_VALUES {
        return Err(Refused::Malformed(format!("there are more than {MOST_VALUES} values in it")));
    }
    Ok(())
}

/// Parses the text of a payload, which must be an object.
pub(super) fn parse(text: &[u8]) -> Result<Value, Refused> {
    bounded(text)?;
    let payload: Value = serde_json::from_slice(text)
        .map_err(|cause| Refused::Malformed(format!("Error loading JSON: the payload does not parse: {cause}")))?;
    match payload {
        Value::Object(_) => Ok(payload),
        _ => Err(Refused::Malformed("the payload is not an object".to_owned())),
    }
}

fn missing(path: &str) -> Refused {
    Refused::Malformed(format!("{path} is missing"))
}

/// A value and where in the payload it is, `commits[2].id`.
///
/// `null` is the same as a field that is not there. The names of fields may be paths, `repository.url`.
#[derive(Clone)]
pub(super) struct Node<'p> {
    value: &'p Value,
    path: String,
}

impl<'p> Node<'p> {
    pub fn new(value: &'p Value) -> Node<'p> {
        Node { value, path: String::new() }
    }

    pub fn value(&self) -> &'p Value {
        self.value
    }

    pub fn maybe(&self, fields: &str) -> Result<Option<Node<'p>>, Refused> {
        let mut node = self.clone();
        for field in fields.split('.') {
            let object = node.value.as_object().ok_or_else(|| node.wrong("an object"))?;
            match object.get(field).filter(|value| !value.is_null()) {
                Some(value) => node = Node { value, path: node.below(field) },
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    pub fn field(&self, fields: &str) -> Result<Node<'p>, Refused> {
        self.maybe(fields)?.ok_or_else(|| missing(&self.below(fields)))
    }

    pub fn maybe_text(&self, fields: &str) -> Result<Option<String>, Refused> {
        self.maybe(fields)?.map(|node| node.as_text()).transpose()
    }

    pub fn text(&self, fields: &str) -> Result<String, Refused> {
        self.field(fields)?.as_text()
    }

    pub fn as_text(&self) -> Result<String, Refused> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("text"))
    }

    /// False where it is not there.
    pub fn flag(&self, field: &str) -> Result<bool, Refused> {
        let Some(node) = self.maybe(field)? else { return Ok(false) };
        node.value.as_bool().ok_or_else(|| node.wrong("true or false"))
    }

    pub fn number(&self, field: &str) -> Result<i64, Refused> {
        let node = self.field(field)?;
        node.value.as_i64().ok_or_else(|| node.wrong("a whole number"))
    }

    /// As it is, `None` where it is not there.
    pub fn plain(&self, fields: &str) -> Result<Option<Value>, Refused> {
        Ok(self.maybe(fields)?.map(|node| node.value.clone()))
    }

    /// The items of a list that are not `null`; none where it is not there.
    pub fn list(&self, field: &str) -> Result<Vec<Node<'p>>, Refused> {
        let Some(node) = self.maybe(field)? else { return Ok(Vec::new()) };
        let items = node.value.as_array().ok_or_else(|| node.wrong("a list"))?;
        let item = |(index, value)| Node { value, path: format!("{}[{index}]", node.path) };
        Ok(items.iter().enumerate().filter(|(_, value)| !value.is_null()).map(item).collect())
    }

    /// The texts of several lists, each of which may be missing.
    pub fn texts(&self, fields: &[&str]) -> Result<Vec<String>, Refused> {
        let mut texts = Vec::new();
        for field in fields {
            for item in self.list(field)? {
                texts.push(item.as_text()?);
            }
        }
        Ok(texts)
    }

    /// A moment, `otherwise` where it is not there.
    pub fn time(&self, field: &str, otherwise: Time) -> Result<Time, Refused> {
        let Some(node) = self.maybe(field)? else { return Ok(otherwise) };
        dates::read(node.value).ok_or_else(|| node.wrong("a date"))
    }

    /// `Name <mail>` of an author with these two fields.
    pub fn person(&self, name: &str, mail: &str) -> Result<String, Refused> {
        let found = person(self.maybe_text(name)?, self.maybe_text(mail)?);
        found.ok_or_else(|| missing(&self.below(name)))
    }

    fn below(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    fn wrong(&self, expected: &str) -> Refused {
        let path = if self.path.is_empty() { "the payload" } else { &self.path };
        Refused::Malformed(format!("{path} is not {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said<T>(outcome: Result<T, Refused>) -> String {
        outcome.err().map(|refused| refused.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let payload =
            json!({"commits": [{"id": "a", "n": null}, {"id": 3, "at": "soon"}], "repository": "x", "t": [1]});
        let node = Node::new(&payload);
        let commits = node.list("commits").unwrap();
        assert_eq!(commits[0].text("id").unwrap(), "a");
        assert_eq!(said(commits[0].text("n")), "commits[0].n is missing");
        assert_eq!(said(commits[1].text("id")), "commits[1].id is not text");
        assert_eq!(said(commits[1].text("author.name")), "commits[1].author.name is missing");
        assert_eq!(said(commits[1].time("at", Time::default())), "commits[1].at is not a date");
        assert_eq!(said(node.text("repository.url")), "repository is not an object");
        assert_eq!(said(node.list("repository")), "repository is not a list");
        assert_eq!(said(node.texts(&["none", "t"])), "t[0] is not text");
        assert_eq!(said(node.flag("t")), "t is not true or false");
        assert_eq!(said(commits[0].person("name", "mail")), "commits[0].name is missing");
    }

    #[test]
    fn payloads_are_objects_of_bounded_depth() {
        assert!(said(parse(b"{\"a\": ")).contains("Error loading JSON: "));
        assert_eq!(said(parse(b"[]")), "the payload is not an object");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(said(parse(deep.as_bytes())).contains("recursion limit"));
        assert!(parse(b"{\"a\": \"\xff\"}").is_err());
        let many = |item: &str| parse(format!("{{\"a\":[{}1]}}", item.repeat(1_000_000)).as_bytes());
        assert_eq!(said(many("1,")), "there are more than 1000000 values in it");
        assert_eq!(said(many("[],")), "there are more than 1000000 values in it");
        let text = format!("{{\"a\": \"{}\"}}", ",\\\"[".repeat(1_000_000));
        assert!(parse(text.as_bytes()).is_ok());
    }
}
