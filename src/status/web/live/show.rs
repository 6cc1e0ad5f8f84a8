//! One page and everybody who has it open.

use super::super::fault::Fault;
use super::super::site::Site;
use super::{Key, Page, patch};
use crate::hub::{News, SubscriptionId, Told};
use crate::master::authz::Who;
use crate::model::{Seq, Time};
use actix::prelude::*;
use actix_web::ResponseError;
use actix_web::web::Bytes;
use bytestring::ByteString;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A page is rendered at most this often.
const PAUSE: Duration = Duration::from_millis(250);

/// A page that takes long to render is rendered so much less often: a part in four of one thread at most.
const SHARE: u32 = 4;

/// How old a page gets while nothing happens: what is no event (a part that is parked, a worker last heard from) shows
/// then.
const FRESHEN: Duration = Duration::from_secs(30);

/// How soon a page that could not be rendered is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// From more contents than this that were loaded with pages no patches are made; the whole does as well.
const MOST_LOADED: usize = 8;

/// What a socket is to send.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Frame(pub ByteString);

/// Someone has opened the page.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Join {
    pub id: u64,
    pub to: Recipient<Frame>,
    /// The newest event when their copy was made.
    pub seq: Seq,
    /// What their copy is known by, if they have all of its lines.
    pub version: Option<String>,
    /// Set when they were sent more than they took: what follows would not fit what they have.
    pub lost: Arc<AtomicBool>,
}

/// Someone has closed it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub u64);

pub struct Show {
    site: Arc<Site>,
    who: Who,
    page: Page,
    key: Key,
    watchers: HashMap<u64, Watcher>,
    content: Option<Content>,
    /// Contents that watchers have loaded with their page, by version; until the next rendering.
    loaded: HashMap<String, Bytes>,
    /// The newest event that may have changed the page.
    news: Seq,
    /// Something happened since the last rendering began.
    stale: bool,
    /// A rendering is under way, or arranged for.
    busy: bool,
    began: Instant,
    cost: Duration,
    subscription: Option<SubscriptionId>,
}

/// What was rendered last.
struct Content {
    version: String,
    text: Bytes,
}

struct Watcher {
    to: Recipient<Frame>,
    lost: Arc<AtomicBool>,
    /// What their content is known by, if it is known.
    version: Option<String>,
    /// They have not been told yet whether that is what there is.
    waits: bool,
}

/// What leads to a new content; each message is made once for everybody.
struct Messages {
    whole: Frame,
    /// By the version of the content that they begin with.
    patches: HashMap<String, Frame>,
}

impl Show {
    pub(super) fn new(site: Arc<Site>, who: Who, page: Page, key: Key) -> Show {
        Show {
            site,
            who,
            page,
            key,
            watchers: HashMap::new(),
            content: None,
            loaded: HashMap::new(),
            news: 0,
            stale: false,
            busy: false,
            began: Instant::now(),
            cost: Duration::ZERO,
            subscription: None,
        }
    }

    /// Arranges for a rendering, unless one is, or nobody looks.
    fn soon(&mut self, ctx: &mut Context<Self>, least: Duration) {
        if self.busy || self.watchers.is_empty() {
            return;
        }
        self.busy = true;
        let pause = least.max(PAUSE.max(self.cost * SHARE).saturating_sub(self.began.elapsed()));
        ctx.run_later(pause, |show, ctx| show.render(ctx));
    }

    fn render(&mut self, ctx: &mut Context<Self>) {
        self.began = Instant::now();
        let news = std::mem::take(&mut self.stale);
        let (page, site, who, address) =
            (self.page.clone(), self.site.clone(), self.who.clone(), self.key.address.clone());
        let mut known = self.loaded.clone();
        if let Some(content) = &self.content {
            known.insert(content.version.clone(), content.text.clone());
        }
        let rendered = async move {
            let now = site.clock.now();
            let (version, text) = page.content(site, who, &address).await?;
            // Comparing large pages takes a while, and this thread answers others as well.
            let made = actix_rt::task::spawn_blocking(move || Content::after(known, version, text, now));
            made.await.map_err(|_| Fault::Busy)
        };
        ctx.spawn(rendered.into_actor(self).map(move |rendered, show, ctx| {
            show.cost = show.began.elapsed();
            show.busy = false;
            match rendered {
                Ok((content, messages)) => show.send_out(content, &messages, news),
                Err(fault) if fault.status_code().is_server_error() => {
                    tracing::debug!(error = &fault as &dyn std::error::Error, "a live page cannot be rendered");
                    show.stale |= news;
                    return show.soon(ctx, AGAIN);
                }
                Err(fault) => show.end(&fault),
            }
            if show.stale {
                show.soon(ctx, Duration::ZERO);
            }
        }));
    }

    /// Sends everybody what they lack. `news` says that something happened before this was rendered.
    fn send_out(&mut self, content: Content, messages: &Messages, news: bool) {
        let live = live(self.site.clock.now());
        self.watchers.retain(|_, watcher| {
            let sent = match &watcher.version {
                Some(version) if *version == content.version => match watcher.waits {
                    true => &live,
                    false => return true,
                },
                Some(version) => messages.patches.get(version).unwrap_or(&messages.whole),
                // What they loaded is as good.
                None if !news && !watcher.waits => return true,
                None => &messages.whole,
            };
            watcher.waits = false;
            watcher.version = Some(content.version.clone());
            watcher.send(sent.clone())
        });
        self.loaded.clear();
        self.content = Some(content);
    }

    /// The address has another answer now; what it is, a fresh load shows.
    fn end(&mut self, fault: &Fault) {
        tracing::debug!("a live page has ended: {fault}");
        let reload = Frame(ByteString::from_static("{\"reload\":true}"));
        self.watchers.retain(|_, watcher| {
            watcher.send(reload.clone());
            false
        });
    }
}

impl Content {
    /// With what leads to it from those that are known.
    fn after(known: HashMap<String, Bytes>, version: String, text: Bytes, now: Time) -> (Content, Messages) {
        let new = String::from_utf8_lossy(&text);
        let others = known.into_iter().filter(|(from, _)| *from != version);
        let patches = others
            .map(|(from, old)| {
                let (lines, patch) = patch::between(&String::from_utf8_lossy(&old), &new);
                let message = json!({ "from": from, "lines": lines, "version": version, "patch": patch });
                (from, frame(message, now))
            })
            .collect();
        let whole = frame(json!({ "version": version, "content": new }), now);
        drop(new);
        (Content { version, text }, Messages { whole, patches })
    }
}

fn live(now: Time) -> Frame {
    frame(json!({ "live": true }), now)
}

/// With the moment it is made, in milliseconds: what counts in the browser counts from the server's clock.
fn frame(mut message: serde_json::Value, now: Time) -> Frame {
    message["now"] = now.0.div_euclid(1_000).into();
    Frame(ByteString::from(message.to_string()))
}

impl Watcher {
    /// `false` when it is to be forgotten: it has gone, or takes nothing.
    fn send(&self, frame: Frame) -> bool {
        let sent = self.to.try_send(frame);
        if sent.is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
        sent.is_ok()
    }
}

impl Actor for Show {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let name = format!("live {}", self.key.address);
        let subscribed = self.site.hub.subscribe(&name, self.page.interest(), ctx.address().recipient::<Told>(), None);
        ctx.wait(subscribed.into_actor(self).map(|subscribed, show, ctx| match subscribed {
            Ok((id, last)) => {
                show.subscription = Some(id);
                show.news = show.news.max(last);
            }
            // The hub is gone with the program; browsers come back when it does.
            Err(_) => ctx.stop(),
        }));
        ctx.run_interval(FRESHEN, |show, ctx| match show.watchers.is_empty() {
            true => ctx.stop(),
            false => show.soon(ctx, Duration::ZERO),
        });
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        self.site.shows.ended(&self.key, &ctx.address());
        if let Some(id) = self.subscription {
            self.site.hub.unsubscribe(id);
        }
    }
}

impl Handler<Told> for Show {
    type Result = ();

    fn handle(&mut self, told: Told, ctx: &mut Self::Context) {
        self.news = match told.news {
            News::Fact(fact) => self.news.max(fact.seq),
            News::Gap { upto, .. } => self.news.max(upto),
            // Pages do not show how long a log has grown.
            News::LogGrew(_) => return,
        };
        self.stale = true;
        self.soon(ctx, Duration::ZERO);
    }
}

impl Handler<Join> for Show {
    type Result = ();

    fn handle(&mut self, Join { id, to, seq, version, lost }: Join, ctx: &mut Self::Context) {
        let mut watcher = Watcher { to, lost, version, waits: false };
        let content = self.content.as_ref().filter(|_| !self.stale);
        if seq >= self.news || content.is_some_and(|content| watcher.version.as_ref() == Some(&content.version)) {
            watcher.send(live(self.site.clock.now()));
        } else {
            watcher.waits = true;
        }
        if let Some(version) = &watcher.version
            && self.loaded.len() < MOST_LOADED
            && let Some(text) = self.site.shows.recall(&self.key, version)
        {
            self.loaded.insert(version.clone(), text);
        }
        let waits = watcher.waits;
        self.watchers.insert(id, watcher);
        if waits {
            self.soon(ctx, Duration::ZERO);
        }
    }
}

impl Handler<Leave> for Show {
    type Result = ();

    /// It stays for a moment when the last has gone: who loads the page again finds it.
    fn handle(&mut self, Leave(id): Leave, _: &mut Self::Context) {
        self.watchers.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_shows_something_known_is_told_what_becomes_of_it() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let known = HashMap::from([("1".to_owned(), text("a\nb")), ("2".to_owned(), text("a\nc"))]);
        let (content, messages) = Content::after(known, "2".to_owned(), text("a\nc"), Time(7_000));
        assert_eq!(&*messages.whole.0, r#"{"version":"2","content":"a\nc","now":7}"#);
        let patch = r#"{"from":"1","lines":2,"version":"2","patch":[[1,1,["c"]]],"now":7}"#;
        assert_eq!(messages.patches.keys().collect::<Vec<_>>(), ["1"], "what it is already needs no patch");
        assert_eq!(&*messages.patches["1"].0, patch);
        assert_eq!(content.version, "2");
    }
}
