//! The web socket of one open page.

use super::super::fault::Fault;
use super::super::viewer::Visitor;
use super::show::{Frame, Join, Leave, Show};
use super::{LONGEST_ADDRESS, Page};
use crate::model::Seq;
use actix::prelude::*;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{
    CloseCode, CloseReason, Message, ProtocolError, WebsocketContext, WsResponseBuilder, handshake,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is asked whether the browser is still there, and how long its answer may take.
const BEAT: Duration = Duration::from_secs(15);
const SILENT: Duration = Duration::from_secs(40);

const BEATING: &str = "{\"beat\":true}";

/// What waits to be sent to one browser, at most.
const WAITING: usize = 16;

/// Browsers say nothing here; what they send is no larger than a ping.
const LARGEST_FRAME: usize = 1024;

static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// `/live?page=builders/linux&seq=4711&version=0f…&user=ada`: news of a page, for as long as it is open.
///
/// What it shows is as old as event `seq`, and known by `version` if the browser has all of its lines.
/// `user` is who the page was made for, if that is said.
pub async fn connect(
    request: HttpRequest,
    visitor: Visitor,
    stream: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    visitor.refuse_forged(&request)?;
    let address = visitor.fields.get("page").unwrap_or_default().to_owned();
    let seq = visitor.fields.integer("seq")?.unwrap_or(0);
    let version = visitor.fields.get("version").filter(|version| !version.is_empty()).map(str::to_owned);
    let page = Page::at(&address).filter(|_| address.len() <= LONGEST_ADDRESS);
    let page = page.ok_or_else(|| {
        let what = format!("there is no live page at \"{}\"", super::super::fault::short(&address));
        Fault::NotFound { what, parent: String::new() }
    })?;
    if visitor.fields.get("user").is_some_and(|user| user != visitor.who.user().unwrap_or_default()) {
        return Err(Fault::SomeoneElse.into());
    }
    let viewer = visitor.viewer().await?;
    // Not left to the end: nothing is begun for what is no web socket.
    handshake(&request)?;
    let show = viewer.show(page, &address).ok_or(Fault::Busy)?;
    let socket = Socket {
        id: LAST_ID.fetch_add(1, Ordering::Relaxed),
        show,
        seq,
        version,
        lost: Arc::default(),
        heard: Instant::now(),
        closing: viewer.closing(),
    };
    WsResponseBuilder::new(socket, &request, stream).frame_size(LARGEST_FRAME).start()
}

struct Socket {
    id: u64,
    show: Addr<Show>,
    seq: Seq,
    version: Option<String>,
    /// It was sent more than it took.
    lost: Arc<AtomicBool>,
    /// When the browser last answered.
    heard: Instant,
    closing: watch::Receiver<bool>,
}

impl Socket {
    fn beat(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.heard.elapsed() > SILENT || self.is_lost() {
            close(ctx, CloseCode::Again);
        } else {
            // For the browser, and for the page, which never sees a ping.
            ctx.ping(b"");
            ctx.text(BEATING);
        }
    }

    /// Nothing that follows would fit: the browser comes back and is sent the whole.
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed) || !self.show.connected()
    }
}

fn close(ctx: &mut WebsocketContext<Socket>, code: CloseCode) {
    ctx.close(Some(CloseReason { code, description: None }));
    ctx.stop();
}

impl Actor for Socket {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(WAITING);
        ctx.run_interval(BEAT, Socket::beat);
        let mut closing = self.closing.clone();
        let ending = async move { closing.wait_for(|closing| *closing).await.is_ok() };
        ctx.spawn(ending.into_actor(self).map(|_, _, ctx| close(ctx, CloseCode::Restart)));
        self.show.do_send(Join {
            id: self.id,
            to: ctx.address().recipient(),
            seq: self.seq,
            version: self.version.take(),
            lost: Arc::clone(&self.lost),
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.show.do_send(Leave(self.id));
    }
}

impl Handler<Frame> for Socket {
    type Result = ();

    fn handle(&mut self, Frame(text): Frame, ctx: &mut Self::Context) {
        ctx.text(text);
        if self.lost.load(Ordering::Relaxed) {
            close(ctx, CloseCode::Again);
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(Message::Ping(said)) => {
                self.heard = Instant::now();
                ctx.pong(&said);
            }
            Ok(Message::Pong(_)) => self.heard = Instant::now(),
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(Message::Text(_) | Message::Binary(_) | Message::Continuation(_)) => close(ctx, CloseCode::Policy),
            Ok(Message::Nop) => {}
            Err(_) => close(ctx, CloseCode::Protocol),
        }
    }
}
