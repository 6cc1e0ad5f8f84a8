//! What `svn --xml` says.

use super::super::polling::MOST_TEXT;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// What `svn info` says of the folder that is watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Info {
    pub uuid: String,
    /// The address of the repository.
    pub root: String,
    /// The path of the folder in the repository, `/trunk`; empty for the repository itself.
    pub prefix: String,
    /// The newest revision of the repository.
    pub newest: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Revision {
    pub number: u64,
    pub author: String,
    pub comments: String,
    /// Sorted.
    pub paths: Vec<ChangedPath>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChangedPath {
    /// From the root of the repository, `/trunk/a.c`.
    pub path: String,
    pub is_folder: bool,
    pub deleted: bool,
}

/// Who made a revision that nobody signed.
const NOBODY: &str = "unknown";

/// `None` if this is not what `svn info` says.
pub(super) fn info(xml: &[u8]) -> Option<Info> {
    let document = parse(xml)?;
    let entry = document.child("info")?.child("entry")?;
    let repository = entry.child("repository")?;
    let root = repository.child("root")?.text.trim().to_owned();
    let encoded = entry.child("url")?.text.trim().strip_prefix(&root)?.trim_end_matches('/');
    Some(Info {
        uuid: repository.child("uuid")?.text.trim().to_owned(),
        prefix: percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned(),
        newest: entry.attribute("revision")?.parse().ok()?,
        root,
    })
}

/// `None` if this is not what `svn log` says.
pub(super) fn log(xml: &[u8]) -> Option<Vec<Revision>> {
    let document = parse(xml)?;
    document.child("log")?.children.iter().filter(|element| element.name == "logentry").map(revision).collect()
}

fn revision(entry: &Element) -> Option<Revision> {
    let text = |name| entry.child(name).map(|element| cut(element.text.trim_end()));
    let changed = |path: &Element| ChangedPath {
        path: path.text.clone(),
        is_folder: path.attribute("kind") == Some("dir"),
        deleted: path.attribute("action") == Some("D"),
    };
    let mut paths: Vec<ChangedPath> =
        entry.child("paths").into_iter().flat_map(|paths| &paths.children).map(changed).collect();
    paths.sort();
    Some(Revision {
        number: entry.attribute("revision")?.parse().ok()?,
        author: text("author").filter(|author| !author.is_empty()).unwrap_or_else(|| NOBODY.to_owned()),
        comments: text("msg").unwrap_or_default(),
        paths,
    })
}

/// The beginning of a text that is too long to be read by anybody.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_TEXT)].to_owned()
}

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn open(start: &BytesStart<'_>) -> Element {
        let attributes = start.attributes().flatten().filter_map(|each| {
            let value = each.normalized_value(XmlVersion::Implicit1_0).ok()?;
            Some((each.key.as_ref().to_owned(), value.into_owned()))
        });
        Element { name: start.name().as_ref().to_owned(), attributes: attributes.collect(), ..Element::default() }
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A document as the only child of an element without a name; `None` if it is no XML. Bytes that are no UTF-8 become
/// U+FFFD.
fn parse(xml: &[u8]) -> Option<Element> {
    let text = String::from_utf8_lossy(xml);
    let mut reader = Reader::from_str(&text);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().ok()?;
        let current = open.last_mut()?;
        match event {
            Event::Start(start) => open.push(Element::open(&start)),
            Event::Empty(start) => current.children.push(Element::open(&start)),
            Event::End(_) => {
                let done = open.pop()?;
                open.last_mut()?.children.push(done);
            }
            Event::Text(piece) => current.text += &piece.xml10_content(),
            Event::CData(piece) => current.text += &piece.xml10_content(),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(letter) => current.text.push(letter),
                None => {
                    current.text += quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())?;
                }
            },
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
        }
    }
    // What was opened and not closed has been cut off.
    if open.len() == 1 { open.pop() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<info><entry path="trunk" revision="12" kind="dir"><url>svn://example.org/r/my%20trunk</url>
<repository><root>svn://example.org/r</root><uuid>1bc1</uuid></repository><commit revision="9"/></entry></info>"#;
        let expected =
            Info { uuid: "1bc1".into(), root: "svn://example.org/r".into(), prefix: "/my trunk".into(), newest: 12 };
        assert_eq!(info(xml), Some(expected));
        assert_eq!(info(b"<?xml version=\"1.0\"?>\n<info>\n</info>"), None);
    }

    #[test]
    fn a_log_of_anything() {
        let xml = b"<log><logentry revision=\"7\"><author>Jos\xe9</author><paths>
<path kind=\"file\" action=\"M\">/t/b &amp; &#x263a; </path><path action=\"D\" kind=\"dir\">/t/a</path></paths>
<msg>one &lt;two&gt;\nthree?\\001\n</msg></logentry><logentry revision=\"8\"></logentry></log>";
        let revisions = log(xml).unwrap();
        let paths: Vec<&str> = revisions[0].paths.iter().map(|path| path.path.as_str()).collect();
        assert_eq!(paths, ["/t/a", "/t/b & \u{263a} "]);
        assert!(revisions[0].paths[0].is_folder && revisions[0].paths[0].deleted);
        assert_eq!(
            (revisions[0].author.as_str(), revisions[0].comments.as_str()),
            ("Jos\u{fffd}", "one <two>\nthree?\\001")
        );
        assert_eq!((revisions[1].author.as_str(), revisions[1].number), ("unknown", 8));
    }

    #[test]
    fn a_message_has_an_end() {
        let xml = format!("<log><logentry revision=\"7\"><msg>a{}</msg></logentry></log>", "\u{e9}".repeat(MOST_TEXT));
        let comments = log(xml.as_bytes()).unwrap().remove(0).comments;
        assert_eq!(comments.len(), MOST_TEXT - 1);
    }

    #[test]
    fn what_is_cut_off_is_not_half_read() {
        for cut in [
            "<log><logentry revision=\"7\">",
            "<log><logentry revision=\"7\"></logentry>",
            "nothing",
            "",
            "<log>&bad;</log>",
        ] {
            assert_eq!(log(cut.as_bytes()), None, "{cut}");
        }
        assert_eq!(log(b"<log>\n</log>"), Some(Vec::new()));
    }
}
