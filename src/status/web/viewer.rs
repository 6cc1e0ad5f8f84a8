//! The one way to data and orders: someone who may view, and permits for what else they may do.

use super::fault::{Fault, see_other};
use super::fields::Fields;
use super::frame::Frame;
use super::identity;
use super::kept::{Made, tag};
use super::live::{self, Page, Show};
use super::reader::Reader;
use super::site::Site;
use crate::changes::hooks::hook::{Answer, Replay};
use crate::changes::{SourceStatus, SourceView};
use crate::config::Config;
use crate::db::{Conn, inbox};
use crate::hub::{HubError, Interest};
use crate::master::authz::{Action, Subject, Who};
use crate::master::{GetOutlook, Outlook, Refused};
use crate::model::*;
use crate::render::links::Links;
use crate::render::times::{self, Shape};
use crate::status::outbox;
use crate::supervise::Report;
use actix::prelude::*;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The largest form taken.
const LARGEST_FORM: usize = 256 * 1024;

/// How long a page waits for what only the running master knows; without it the page is still worth having.
const MASTER_PATIENCE: Duration = Duration::from_secs(1);

/// How long an order may take to be answered.
const ORDER_PATIENCE: Duration = Duration::from_secs(10);

/// Someone at a page, known or not. Sees nothing yet.
pub struct Visitor {
    site: Arc<Site>,
    pub who: Who,
    pub links: Links,
    /// Arguments of the query, and of the form where one was posted.
    pub fields: Fields,
    /// From the site's root, without the query.
    path: String,
    /// They look at a page, and so wait for their turn to read; orders never do.
    waits: bool,
    /// The newest event when the facts shown were read; [`UNREAD`] before.
    seq: AtomicI64,
}

const UNREAD: Seq = Seq::MAX;

const HTML: &str = "text/html; charset=utf-8";

/// Someone who may view.
pub struct Viewer {
    visitor: Visitor,
}

/// Someone who may do one thing; orders go through it.
pub struct Permit<'a> {
    viewer: &'a Viewer,
}

impl FromRequest for Visitor {
    type Error = Fault;
    type Future = LocalBoxFuture<'static, Result<Visitor, Fault>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        // Left where it is otherwise: a web socket's is its own.
        let posted = (request.method() == Method::POST).then(|| payload.take());
        async move {
            let site = request.app_data::<web::Data<Site>>().expect("every server is started with its site");
            let site = site.clone().into_inner();
            let mut fields = Fields::parse(request.query_string());
            if let Some(payload) = posted {
                refuse_forged(&site, &request)?;
                fields = fields.overlaid(form(&request, payload).await?);
            }
            let known = request.extensions().get::<Who>().cloned();
            let who = match known {
                Some(who) => who,
                None => identity::who(&site, &request, &fields).await,
            };
            let waits = request.method() != Method::POST;
            Ok(Visitor { waits, ..Visitor::new(site, who, request.uri().path(), fields) })
        }
        .boxed_local()
    }
}

impl FromRequest for Viewer {
    type Error = Fault;
    type Future = LocalBoxFuture<'static, Result<Viewer, Fault>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(request, payload);
        async move { visitor.await?.viewer().await }.boxed_local()
    }
}

fn refuse_forged(site: &Site, request: &HttpRequest) -> Result<(), Fault> {
    match identity::is_forged(request, &site.config().buildbot_url) {
        true => Err(Fault::Forged),
        false => Ok(()),
    }
}

async fn form(request: &HttpRequest, mut payload: Payload) -> Result<Fields, Fault> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Fault::Media);
    }
    let mut body = Vec::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| Fault::BadRequest(format!("the form broke off: {error}")))?;
        if body.len() + piece.len() > LARGEST_FORM {
            return Err(Fault::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Fields::parse_form(&body))
}

impl Visitor {
    fn new(site: Arc<Site>, who: Who, path: &str, fields: Fields) -> Visitor {
        let (links, path) = (Links::from_path(path), path.trim_start_matches('/').to_owned());
        Visitor { site, who, links, fields, path, waits: true, seq: AtomicI64::new(UNREAD) }
    }

    /// Someone who looks on at an address, given from the site's root.
    pub(super) fn at(site: Arc<Site>, who: Who, address: &str) -> Visitor {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        Visitor::new(site, who, &format!("/{path}"), Fields::parse(query))
    }

    /// For requests that say or do more than a link may.
    pub fn refuse_forged(&self, request: &HttpRequest) -> Result<(), Fault> {
        refuse_forged(&self.site, request)
    }

    /// Lets them in, if they may view.
    pub async fn viewer(self) -> Result<Viewer, Fault> {
        if self.site.authz.allows(&self.who, Action::View, Subject::Nothing).await {
            Ok(Viewer { visitor: self })
        } else {
            Err(Fault::NoView)
        }
    }

    /// Whether logging in would help someone who may not view.
    pub fn can_log_in(&self) -> bool {
        self.who == Who::Anonymous && self.site.authz.has_accounts()
    }

    /// A page without any facts.
    pub fn bare_page(&self, template: &str, title: &str) -> Result<HttpResponse, Fault> {
        page(&self.site, self.frame(title, ""), template, &serde_json::json!({}))
    }

    fn frame(&self, title: &str, current: &str) -> Frame {
        let frame = Frame::new(&self.site, &self.links, &self.who, &self.fields, title, current);
        match self.seq.load(Ordering::Relaxed) {
            UNREAD => frame,
            seq => frame.live(&self.who, &self.path, &self.fields, seq),
        }
    }
}

impl Viewer {
    pub fn who(&self) -> &Who {
        &self.visitor.who
    }

    pub fn links(&self) -> &Links {
        &self.visitor.links
    }

    pub fn fields(&self) -> &Fields {
        &self.visitor.fields
    }

    pub fn now(&self) -> Time {
        self.visitor.site.clock.now()
    }

    pub fn config(&self) -> Arc<Config> {
        self.visitor.site.config()
    }

    pub fn settings(&self) -> &super::config::Config {
        &self.visitor.site.settings
    }

    /// How the one who gives an order is recorded.
    pub fn owner(&self) -> String {
        identity::owner(self.who(), self.fields())
    }

    /// Whether a form for this is shown to them.
    pub fn advertises(&self, action: Action) -> bool {
        self.visitor.site.authz.advertises(self.who(), action)
    }

    /// Whether they may not do this as they are not logged in, and could be here.
    pub fn could_log_in_for(&self, action: Action) -> bool {
        self.visitor.can_log_in() && self.visitor.site.authz.wants_login(self.who(), action)
    }

    /// Reads facts on a blocking thread, in one database read.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let site = self.visitor.site.clone();
        let db = site.db.clone();
        let read = move |conn: &mut Conn| {
            let seq = crate::db::events::last(conn)?;
            Ok((seq, query(&mut Reader { conn, site: &site })))
        };
        let (seq, facts) = match self.visitor.waits {
            true => self.visitor.site.threads.begin(move || db.read_blocking(read)).await??,
            false => db.read(read).await?,
        };
        self.visitor.seq.fetch_min(seq, Ordering::Relaxed);
        facts
    }

    /// What keeps a page live that they have open.
    pub(super) fn show(&self, page: Page, address: &str) -> Option<Addr<Show>> {
        let site = &self.visitor.site;
        site.shows.at(site, self.who(), page, address)
    }

    /// The same, while the master is asked for what only it knows. Whoever is sent away costs it nothing.
    pub async fn read_with_outlook<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<(T, Outlook), Fault> {
        let mut read = std::pin::pin!(self.read(query));
        if let Some(at_once) = read.as_mut().now_or_never() {
            return Ok((at_once?, self.outlook().await));
        }
        let (facts, outlook) = futures::join!(read, self.outlook());
        Ok((facts?, outlook))
    }

    /// What only the running master knows; empty if it does not answer soon.
    async fn outlook(&self) -> Outlook {
        let asked = self.visitor.site.orders.outlook.send(GetOutlook);
        match tokio::time::timeout(MASTER_PATIENCE, asked).await {
            Ok(Ok(outlook)) => outlook,
            _ => Outlook::default(),
        }
    }

    /// The change sources at work, and those that are configured and cannot be.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.visitor.site.sources.borrow().iter().map(SourceView::status).collect()
    }

    pub fn reports(&self) -> Vec<Report> {
        self.visitor.site.tree.reports()
    }

    pub fn database_trouble(&self) -> Option<String> {
        self.visitor.site.db.trouble()
    }

    pub fn template_problems(&self) -> Vec<String> {
        self.visitor.site.templates.problems()
    }

    /// Another number once templates have changed; never 0.
    pub fn template_edition(&self) -> u64 {
        self.visitor.site.templates.edition()
    }

    /// A bell that rings when something happens.
    pub async fn bell(&self, name: &str, interest: Interest) -> Result<(super::told::Bell, Seq), HubError> {
        super::told::Bell::hang(&self.visitor.site.hub, name, interest).await
    }

    /// Becomes true when the server is about to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.visitor.site.closing.clone()
    }

    /// For answers that go on after the handler has returned.
    pub fn database(&self) -> crate::db::Db {
        self.visitor.site.db.clone()
    }

    /// The permit for an action, if they may do it.
    pub async fn may(&self, action: Action, subject: Subject<'_>) -> Result<Permit<'_>, Fault> {
        if self.visitor.site.authz.allows(self.who(), action, subject).await {
            Ok(Permit { viewer: self })
        } else {
            Err(Fault::Refused { action: action.option() })
        }
    }

    pub fn frame(&self, title: &str, current: &str) -> Frame {
        self.visitor.frame(title, current)
    }

    /// Fills in a page. `current` is the entry of the top bar it belongs to.
    pub async fn page<V: Serialize>(
        &self,
        template: &'static str,
        title: &str,
        current: &str,
        view: impl FnOnce() -> V + Send + 'static,
    ) -> Result<HttpResponse, Fault> {
        self.page_in(self.frame(title, current), template, view).await
    }

    /// The same with a frame made beforehand.
    pub async fn page_in<V: Serialize>(
        &self,
        frame: Frame,
        template: &'static str,
        view: impl FnOnce() -> V + Send + 'static,
    ) -> Result<HttpResponse, Fault> {
        self.page_around(frame, template, || (view(), String::new())).await
    }

    /// The same where most of the page is one piece of HTML, which takes the place of [`HOLE`] in the view.
    pub async fn page_around<V: Serialize>(
        &self,
        mut frame: Frame,
        template: &'static str,
        view: impl FnOnce() -> (V, String) + Send + 'static,
    ) -> Result<HttpResponse, Fault> {
        let (site, lasting) = (self.visitor.site.clone(), frame.lasting);
        let make = move || {
            let (view, piece) = view();
            text(&site, &mut frame, template, &view, &piece)
        };
        let Text { page, tag, content } = self.made(make).await??;
        let mut answer = HttpResponse::Ok();
        self.kept(&mut answer, tag, lasting, Some(content));
        Ok(answer.content_type(HTML).body(page))
    }

    /// Makes something of facts that were read, where pages are made.
    pub async fn made<T: Send + 'static>(&self, make: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        self.visitor.site.threads.go_on(make).await
    }

    /// Says what has to be known of an answer for it to be kept, if it shows any facts.
    pub fn kept(
        &self,
        answer: &mut HttpResponseBuilder,
        tag: u64,
        lasting: Option<Duration>,
        content: Option<live::Made>,
    ) {
        let seq = self.visitor.seq.load(Ordering::Relaxed);
        if seq != UNREAD {
            answer.extensions_mut().insert(Made { seq, tag, lasting, content });
        }
    }

    /// The page as text, for those that send it piece by piece.
    pub fn text_of_page(&self, mut frame: Frame, template: &str, view: &impl Serialize) -> Result<String, Fault> {
        text(&self.visitor.site, &mut frame, template, view, "").map(|text| text.page)
    }

    /// Sends the reader on to a page of ours, with a message to show there if there is one.
    pub fn send_on(&self, place: &str, alert: Option<&str>) -> HttpResponse {
        match alert {
            None => see_other(place),
            Some(alert) => see_other(&format!("{place}?alert_msg={}", crate::render::asdict::quote(alert))),
        }
    }
}

impl Permit<'_> {
    /// Sends an order to the master.
    pub async fn order<M>(
        &self,
        order: M,
        to: impl FnOnce(&super::site::Orders) -> &Recipient<M>,
    ) -> Result<M::Result, Fault>
    where
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let sent = to(&self.viewer.visitor.site.orders).send(order);
        match tokio::time::timeout(ORDER_PATIENCE, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Fault::NoMaster),
        }
    }

    /// Has a request of a change hook taken in once more.
    pub async fn replay(&self, id: i64) -> Result<Answer, Fault> {
        let site = &self.viewer.visitor.site;
        let nowhere = |what: String| Fault::NotFound { what, parent: "hooks".to_owned() };
        let found = site.db.read(move |conn| inbox::find(conn, id)).await?;
        let received = found.ok_or_else(|| nowhere(format!("there is no request {id} any more")))?;
        let hook = site.hooks.get(&received.dialect);
        let hook = hook.ok_or_else(|| nowhere(format!("there is no change hook \"{}\" here", received.dialect)))?;
        match tokio::time::timeout(ORDER_PATIENCE, hook.send(Replay(received))).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Fault::NoMaster),
        }
    }

    /// Has a dead delivery sent again, or dropped.
    pub async fn settle_delivery(&self, id: &str, order: outbox::Order) -> Result<Result<(), Refused>, Fault> {
        let site = &self.viewer.visitor.site;
        let now = site.clock.now();
        Ok(outbox::order(&site.db, &site.hub, now, id, order, &self.viewer.owner()).await?)
    }
}

#[derive(Serialize)]
struct Shown<'a, V> {
    page: &'a Frame,
    #[serde(flatten)]
    view: &'a V,
}

#[derive(Serialize)]
struct Framed<'a> {
    page: &'a Frame,
    body: &'a str,
}

/// Stands in a template's view for a piece of HTML that is too large to be copied through it. No page has it otherwise:
/// where text is escaped, a NUL becomes something else.
pub const HOLE: &str = "\0";

/// A whole page.
struct Text {
    page: String,
    /// The same for pages that say the same and were made in the same minute, whatever second they name.
    tag: u64,
    /// For those who will have it open.
    content: live::Made,
}

fn text(site: &Site, frame: &mut Frame, template: &str, view: &impl Serialize, piece: &str) -> Result<Text, Fault> {
    let body = filled(site.templates.render(template, &Shown { page: frame, view })?, piece);
    let content = frame.with_content(&body);
    let around = site.templates.render("layout", &Framed { page: frame, body: HOLE })?;
    let tag = match frame.now {
        Some(now) => {
            let (moment, exact) = (times::element(now, Shape::Full), now.0.to_string());
            let minute = now.whole_seconds().div_euclid(60).to_string();
            let pieces = around.split(&moment).flat_map(|piece| piece.split(&exact));
            tag(pieces.chain([&*content.version, &*minute]))
        }
        None => tag([&*around, &*content.version].into_iter()),
    };
    Ok(Text { page: filled(around, &body), tag, content })
}

fn filled(around: String, piece: &str) -> String {
    if around.contains(HOLE) { around.replace(HOLE, piece) } else { around }
}

/// A page that is not kept.
pub(super) fn page(
    site: &Site,
    mut frame: Frame,
    template: &str,
    view: &impl Serialize,
) -> Result<HttpResponse, Fault> {
    let text = text(site, &mut frame, template, view, "")?;
    Ok(HttpResponse::Ok().content_type(HTML).body(text.page))
}
