//! Which pages are live, what concerns each, and its content as it now stands.

use super::super::fault::{Fault, short};
use super::super::kept::Made;
use super::super::pages;
use super::super::site::Site;
use super::super::viewer::Visitor;
use crate::hub::Interest;
use crate::master::authz::Who;
use crate::model::BuildRef;
use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Path};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// A page that changes while it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Root,
    Waterfall,
    Builders,
    Builder(String),
    Build(String, String),
    Step(String, String, String),
    Recent,
    RecentOf(String),
    Workers,
    Worker(String),
    Changes,
    Change(String),
}

impl Page {
    /// The page at an address from the site's root, its query aside. `None` for what is not live.
    pub fn at(address: &str) -> Option<Page> {
        let path = address.split('?').next().unwrap_or("");
        let mut names = Vec::new();
        for segment in path.split('/') {
            names.push(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
        }
        names.pop_if(|last| last.is_empty());
        let mut names = names.into_iter();
        let mut next = || names.next();
        let page = match next().as_deref() {
            None => Page::Root,
            Some("waterfall") => Page::Waterfall,
            Some("builders") => match (next(), next().as_deref(), next(), next().as_deref(), next()) {
                (None, ..) => Page::Builders,
                (Some(builder), None | Some("builds"), None, ..) => Page::Builder(builder),
                (Some(builder), Some("builds"), Some(number), None, _) => Page::Build(builder, number),
                (Some(builder), Some("builds"), Some(number), Some("steps"), Some(step)) => {
                    Page::Step(builder, number, step)
                }
                _ => return None,
            },
            Some("one_line_per_build") => next().map_or(Page::Recent, Page::RecentOf),
            Some("buildslaves") => next().map_or(Page::Workers, Page::Worker),
            Some("changes") => next().map_or(Page::Changes, Page::Change),
            Some(_) => return None,
        };
        // Whatever stands below it is another page.
        next().is_none().then_some(page)
    }

    /// `builder linux`, as a link to it says.
    pub fn name(&self) -> String {
        match self {
            Page::Root => "the front page".to_owned(),
            Page::Waterfall => "the waterfall".to_owned(),
            Page::Builders => "all builders".to_owned(),
            Page::Builder(builder) => format!("builder {}", short(builder)),
            Page::Build(builder, number) => format!("build #{number} of {}", short(builder)),
            Page::Step(builder, number, step) => format!("step {} of {} #{number}", short(step), short(builder)),
            Page::Recent => "recent builds".to_owned(),
            Page::RecentOf(builder) => format!("recent builds of {}", short(builder)),
            Page::Workers => "all workers".to_owned(),
            Page::Worker(worker) => format!("worker {}", short(worker)),
            Page::Changes => "all changes".to_owned(),
            Page::Change(number) => format!("change #{}", short(number)),
        }
    }

    /// The events after which it may look different.
    pub fn interest(&self) -> Interest {
        match self {
            Page::Builder(builder) | Page::RecentOf(builder) => Interest::Builder(builder.clone()),
            Page::Build(builder, number) | Page::Step(builder, number, _) => match number.parse() {
                Ok(number) if number >= 0 => Interest::Build(BuildRef { builder: builder.clone(), number }),
                // Counted from the newest.
                _ => Interest::Builder(builder.clone()),
            },
            Page::Root
            | Page::Waterfall
            | Page::Builders
            | Page::Recent
            | Page::Workers
            | Page::Worker(_)
            | Page::Changes
            | Page::Change(_) => Interest::Everything,
        }
    }

    /// All that stands in `<main>`, as a fresh load would have it, and what it is known by.
    pub async fn content(&self, site: Arc<Site>, who: Who, address: &str) -> Result<(String, Bytes), Fault> {
        let mut answer = self.answer(Visitor::at(site, who, address)).await?;
        let gone = || Fault::NotFound { what: "this page leads elsewhere now".to_owned(), parent: String::new() };
        if answer.status() != StatusCode::OK {
            return Err(gone());
        }
        let made = answer.extensions_mut().remove::<Made>().and_then(|made| made.content).ok_or_else(gone)?;
        let page = answer.into_body().try_into_bytes().map_err(|_| gone())?;
        let content = std::str::from_utf8(&page).ok().and_then(content).ok_or_else(gone)?;
        Ok((made.version, page.slice_ref(content.as_bytes())))
    }

    async fn answer(&self, visitor: Visitor) -> Result<HttpResponse, Fault> {
        match self.clone() {
            Page::Root => pages::root::page(visitor).await,
            Page::Waterfall => pages::waterfall::page(visitor.viewer().await?).await,
            Page::Builders => pages::builders::page(visitor.viewer().await?).await,
            Page::Builder(builder) => pages::builder::page(visitor.viewer().await?, Path::from(builder)).await,
            Page::Build(builder, number) => {
                pages::build::page(visitor.viewer().await?, Path::from((builder, number))).await
            }
            Page::Step(builder, number, step) => {
                pages::step::page(visitor.viewer().await?, Path::from((builder, number, step))).await
            }
            Page::Recent => pages::recent::page(visitor.viewer().await?).await,
            Page::RecentOf(builder) => pages::recent::of_builder(visitor.viewer().await?, Path::from(builder)).await,
            Page::Workers => pages::workers::page(visitor.viewer().await?).await,
            Page::Worker(worker) => pages::worker::page(visitor.viewer().await?, Path::from(worker)).await,
            Page::Changes => pages::changes::page(visitor.viewer().await?).await,
            Page::Change(number) => pages::change::page(visitor.viewer().await?, Path::from(number)).await,
        }
    }
}

/// What stands between the tags of `<main>`; `None` where the operator's layout has none.
pub fn content(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<main")?;
    let (_, rest) = rest.split_once('>')?;
    rest.rsplit_once("</main>").map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_by_their_addresses() {
        let text = str::to_owned;
        for (address, page) in [
            ("", Page::Root),
            ("waterfall?tag=x/y", Page::Waterfall),
            ("builders/", Page::Builders),
            ("builders/mac%2Farm", Page::Builder(text("mac/arm"))),
            ("builders/a/builds/", Page::Builder(text("a"))),
            ("builders/a/builds/7", Page::Build(text("a"), text("7"))),
            ("builders/a/builds/7/steps/b%20c", Page::Step(text("a"), text("7"), text("b c"))),
            ("buildslaves/w", Page::Worker(text("w"))),
            ("changes/7", Page::Change(text("7"))),
        ] {
            assert_eq!(Page::at(address), Some(page), "{address}");
        }
        for address in [
            "about/supervision",
            "json",
            "builders/a/force",
            "builders/a/builds/7/steps/s/logs/l",
            "waterfall/help",
            "%ff",
        ] {
            assert_eq!(Page::at(address), None, "{address}");
        }
    }

    #[test]
    fn the_content_is_what_stands_in_main() {
        assert_eq!(content("<p><main id=\"a\" data-seq=\"7\">\n<p>x</p></main></body>"), Some("\n<p>x</p>"));
        assert_eq!(content("<p>the operator's own</p>"), None);
    }
}
