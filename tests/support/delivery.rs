//! What senders send to a change hook: one folder of `tests/data/hooks/DIALECT` each.
//!
//! `request` has method, address and headers as text, `body` the bytes, and `options`, where there is one, the options of
//! the dialect as they stand in master.cfg. `{hmac sha256 KEY}` in a header is the digest of the body, and
//! `{hmac sha256 KEY payload}` that of the field `payload` of a form; `{webhook KEY}` is a signature of Standard Webhooks.

use super::openssl::{base64, hmac, hmac_hex};
use super::server::{Answer, Server};
use bytes::Bytes;
use signalbox::changes::hooks::{Dialect, Method, Request};
use signalbox::config::{Catalog, Problems, load_text};
use signalbox::status;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One request of some sender, and how we are configured.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub folder: PathBuf,
    pub dialect: String,
    /// As in master.cfg; `True` where nothing is said.
    pub options: String,
    pub request: Request,
}

/// All there are, in the order of their names.
pub fn all() -> Vec<Delivery> {
    let folders = |of: &Path| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    };
    folders(Path::new("tests/data/hooks"))
        .iter()
        .flat_map(|dialect| folders(dialect))
        .map(|folder| read(&folder))
        .collect()
}

/// The one in this folder below `tests/data/hooks`.
pub fn named(folder: &str) -> Delivery {
    read(&Path::new("tests/data/hooks").join(folder))
}

fn read(folder: &Path) -> Delivery {
    let body = Bytes::from(std::fs::read(folder.join("body")).unwrap());
    let text = std::fs::read_to_string(folder.join("request")).unwrap();
    let (first, headers) = text.split_once('\n').unwrap();
    let (method, address) = first.split_once(' ').unwrap();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut request = Request {
        method: if method == "POST" { Method::Post } else { Method::Get },
        query: query.to_owned(),
        headers: Vec::new(),
        body,
    };
    for line in headers.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let value = signed(value.trim(), &request);
        request.headers.push((name.to_lowercase(), value.into_bytes()));
    }
    let dialect = path.strip_prefix("/change_hook/").unwrap().to_owned();
    let options = std::fs::read_to_string(folder.join("options")).unwrap_or_else(|_| "True".to_owned());
    Delivery { folder: folder.to_owned(), dialect, options, request }
}

/// A header with its digests filled in.
fn signed(value: &str, request: &Request) -> String {
    let Some((before, rest)) = value.split_once('{') else { return value.to_owned() };
    let (what, after) = rest.split_once('}').unwrap();
    let words: Vec<&str> = what.split(' ').collect();
    let digest = match words.as_slice() {
        ["hmac", hash, key] => hmac_hex(hash, key, &request.body),
        ["hmac", hash, key, "payload"] => hmac_hex(hash, key, &payload(&request.body)),
        ["webhook", key] => {
            let header = |name| request.word(name).unwrap();
            let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
            let key = String::from_utf8(base64("-d", key.as_bytes())).unwrap();
            let digest = hmac("sha256", &key, &[signed.as_bytes(), &request.body].concat());
            String::from_utf8(base64("-e", &digest)).unwrap()
        }
        _ => panic!("{what} is not known here"),
    };
    format!("{before}{digest}{after}")
}

fn payload(form: &[u8]) -> Vec<u8> {
    let field = url::form_urlencoded::parse(form).find(|(name, _)| name == "payload");
    field.unwrap().1.into_owned().into_bytes()
}

impl Delivery {
    /// Sends it to the web server of this number.
    pub async fn send(&self, server: &Server, web: usize) -> Result<Answer, String> {
        let Request { method, query, headers, body } = &self.request;
        let sign = if query.is_empty() { "" } else { "?" };
        let path = format!("/change_hook/{}{sign}{query}", self.dialect);
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        server.send(web, method.word(), &path, &headers, body.clone()).await
    }

    /// Its name in failures.
    pub fn name(&self) -> String {
        self.folder.strip_prefix("tests/data/hooks").unwrap().display().to_string()
    }

    pub fn with_body(&self, body: impl Into<Bytes>) -> Delivery {
        Delivery { request: Request { body: body.into(), ..self.request.clone() }, ..self.clone() }
    }

    /// With this header in place of those of its name; `None` takes them out.
    pub fn with_header(&self, name: &str, value: Option<&str>) -> Delivery {
        let mut delivery = self.clone();
        delivery.request.headers.retain(|(header, _)| header != name);
        let header = value.map(|value| (name.to_owned(), value.as_bytes().to_vec()));
        delivery.request.headers.extend(header);
        delivery
    }

    /// The dialect as a WebStatus with these options has it.
    pub fn configured(&self) -> Dialect {
        static KNOWN: Mutex<BTreeMap<(String, String), Dialect>> = Mutex::new(BTreeMap::new());
        let key = (self.dialect.clone(), self.options.clone());
        KNOWN.lock().unwrap().entry(key).or_insert_with(|| self.load()).clone()
    }

    fn load(&self) -> Dialect {
        let text = format!(
            "c = BuildmasterConfig = {{}}\n\
             c['workers'] = [worker.LocalWorker('local')]\n\
             c['builders'] = [util.BuilderConfig(name='b', workernames=['local'], factory=util.BuildFactory())]\n\
             c['status'] = [status.WebStatus(8010, change_hook_dialects={{'{}': {}}})]\n",
            self.dialect,
            self.options.trim_end()
        );
        let catalog = Catalog(status::kinds());
        let config = load_text("master.cfg", &text, Path::new("/nonexistent"), &catalog);
        let config = config.unwrap_or_else(|problems| panic!("{}: {problems}", self.name()));
        let mut web = status::web::Config::read(&config.status[0], &mut Problems::default());
        web.change_hook_dialects.remove(&self.dialect).unwrap()
    }
}
