//! Files of `public_html`: the operator's, else the built-in ones. Anything that is no page is looked for here.

use super::super::fault::{Fault, short};
use super::super::site::Site;
use crate::model::Time;
use crate::render::times;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, IF_MODIFIED_SINCE, LAST_MODIFIED};
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use rust_embed::RustEmbed;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;
use tokio::io::AsyncReadExt;

/// How much of a file is held in memory at once.
const PIECE: usize = 64 * 1024;

#[derive(RustEmbed)]
#[folder = "public_html/"]
struct BuiltIn;

pub async fn serve(request: HttpRequest, site: web::Data<Site>) -> Result<HttpResponse, Fault> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Fault::Method("GET, HEAD"));
    }
    let missing = || Fault::NotFound {
        what: format!("there is nothing at {}", short(request.uri().path())),
        parent: String::new(),
    };
    let name = wanted(request.uri().path()).ok_or_else(missing)?;
    if let Some(answer) = own(&request, &site.public_html.join(&name)).await {
        return Ok(answer);
    }
    let name = name.to_str().ok_or_else(missing)?;
    built_in(&request, name).ok_or_else(missing)
}

/// The file an address means, as a path of plain names only.
fn wanted(path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let relative = decoded.trim_start_matches('/');
    if relative.is_empty() || relative.contains(['\0', '\\']) {
        return None;
    }
    let path = Path::new(relative);
    // Names that begin with a dot are nobody's business: `..` above all.
    let plain = path.components().all(|part| match part {
        Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
        _ => false,
    });
    plain.then(|| path.to_owned())
}

/// A file of the operator's; a folder is its `index.html`.
async fn own(request: &HttpRequest, path: &Path) -> Option<HttpResponse> {
    let mut path = path.to_owned();
    let mut data = tokio::fs::metadata(&path).await.ok()?;
    if data.is_dir() {
        path.push("index.html");
        data = tokio::fs::metadata(&path).await.ok()?;
    }
    if !data.is_file() {
        return None;
    }
    let changed = data.modified().ok().and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
    let changed = Time::from_seconds(changed.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0)));
    if is_known(request, changed) {
        return Some(HttpResponse::NotModified().finish());
    }
    let file = tokio::fs::File::open(&path).await.ok()?;
    let pieces = futures::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok::<_, std::io::Error>((length > 0).then(|| (web::Bytes::from(piece), file)))
    });
    let mut answer = HttpResponse::Ok();
    head(&mut answer, &path, changed);
    if request.method() == Method::HEAD {
        return Some(answer.no_chunking(data.len()).finish());
    }
    let body = actix_web::body::SizedStream::new(data.len(), Box::pin(pieces));
    Some(answer.body(body))
}

fn built_in(request: &HttpRequest, name: &str) -> Option<HttpResponse> {
    let file = BuiltIn::get(name)?;
    let changed = Time::from_seconds(file.metadata.last_modified().and_then(|at| i64::try_from(at).ok()).unwrap_or(0));
    if is_known(request, changed) {
        return Some(HttpResponse::NotModified().finish());
    }
    let mut answer = HttpResponse::Ok();
    head(&mut answer, Path::new(name), changed);
    Some(answer.body(file.data.into_owned()))
}

fn head(answer: &mut actix_web::HttpResponseBuilder, path: &Path, changed: Time) {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    answer.content_type(kind).insert_header((CACHE_CONTROL, "public, no-cache"));
    if changed.0 > 0 {
        answer.insert_header((LAST_MODIFIED, times::http_date(changed)));
    }
}

fn is_known(request: &HttpRequest, changed: Time) -> bool {
    let header = request.headers().get(IF_MODIFIED_SINCE).and_then(|since| since.to_str().ok());
    let since = header.and_then(|since| chrono::DateTime::parse_from_rfc2822(since).ok());
    since.is_some_and(|since| changed.0 > 0 && changed.whole_seconds() <= since.timestamp())
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use std::path::Path;

    #[test]
    fn no_way_leads_out_of_the_folder() {
        for path in [
            "/",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/a/%2e%2e/%2e%2e/x",
            "//etc/../x",
            "/.git/config",
            "/a%00",
            "/a\\b",
        ] {
            assert_eq!(wanted(path), None, "{path}");
        }
        assert_eq!(wanted("/a/b.png").as_deref(), Some(Path::new("a/b.png")));
        assert_eq!(wanted("//etc/passwd").as_deref(), Some(Path::new("etc/passwd")));
    }
}
