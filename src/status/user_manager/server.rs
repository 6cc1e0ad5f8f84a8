//! The supervised target: a listener that outlives restarts, and a small HTTP server on it.

use super::desk::Desk;
use super::guesses::Guesses;
use super::wire::{LARGEST, MOST, PATH, Request};
use super::{Config, ManagerError};
use crate::config::{Auth, AuthzConfig, Problems, Section};
use crate::master::authz::Authz;
use crate::status::{Setup, StartError, web};
use crate::supervise::{Child, Pause, Policy, WhenExhausted};
use actix::prelude::*;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Few speak to it, and seldom.
const CONNECTIONS: usize = 50;

/// How long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Seconds a stop waits for answers that are on their way.
const STOP_LIMIT: u64 = 5;

/// How much of a stop may pass before the server is left to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(STOP_LIMIT + 2);

/// A user manager that has been started.
pub struct UserManager {
    address: SocketAddr,
    child: Child<Manager>,
    running: Running,
}

/// The HTTP server that runs just now.
type Running = Arc<Mutex<Option<ServerHandle>>>;

/// Listens and starts to answer. Needs an actix system.
///
/// # Errors
/// A port that is taken: nothing is started then.
pub fn start(setup: &Setup, section: &Section) -> Result<UserManager, StartError> {
    let mut problems = Problems::default();
    let Some(config) = Config::read(section, &mut problems) else {
        return Err(StartError::Options(problems));
    };
    let bound = config.listen.bind();
    let (listener, address) = bound.map_err(|cause| ManagerError { place: section.place.clone(), cause })?;
    let accounts = Auth::Basic(vec![(config.username, config.passwd)]);
    let manager = Manager {
        listener: Arc::new(listener),
        address,
        door: Data::new(Door {
            accounts: Authz::new(AuthzConfig { auth: Some(accounts), ..AuthzConfig::default() }),
            guesses: Guesses::default(),
            desk: Desk { db: setup.db.clone(), change: setup.master.clone().recipient() },
        }),
        running: Running::default(),
    };
    let running = manager.running.clone();
    let policy = Policy {
        pause: Pause::Exponential { first: Duration::from_millis(100), cap: Duration::from_secs(30) },
        max_restarts: 5,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Park,
    };
    let name = format!("{}:{}", section.short_kind(), address.port());
    Ok(UserManager { address, child: setup.group.start(&name, policy, |_, _| manager), running })
}

impl UserManager {
    /// It does not answer any more: it fell too often.
    pub fn is_parked(&self) -> bool {
        self.child.is_parked()
    }

    /// Takes no new requests, lets those on their way end, and leaves the tree.
    pub async fn stop(self) {
        let running = take(&self.running);
        self.child.stop().await;
        if let Some(server) = running
            && tokio::time::timeout(STOP_PATIENCE, server.stop(true)).await.is_err()
        {
            tracing::warn!("CommandlineUserManager on {}: some answers were cut", self.address);
        }
    }
}

fn take(running: &Running) -> Option<ServerHandle> {
    running.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The target as the tree sees it.
pub struct Manager {
    /// Kept over restarts, so that the port never changes hands.
    listener: Arc<TcpListener>,
    address: SocketAddr,
    door: Data<Door>,
    running: Running,
}

impl Manager {
    fn serve(&self) -> std::io::Result<Server> {
        let door = self.door.clone();
        let make = move || {
            let users = actix_web::web::resource(PATH)
                .route(actix_web::web::post().to(answer))
                .default_service(actix_web::web::to(elsewhere));
            App::new().app_data(door.clone()).service(users).default_service(actix_web::web::to(elsewhere))
        };
        let server = HttpServer::new(make).workers(1).max_connections(CONNECTIONS).shutdown_timeout(STOP_LIMIT);
        Ok(server.disable_signals().listen(self.listener.try_clone()?)?.run())
    }
}

impl Actor for Manager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let server = match self.serve() {
            Ok(server) => server,
            Err(error) => {
                tracing::error!("CommandlineUserManager on {}: cannot serve: {error}; trying again", self.address);
                ctx.stop();
                return;
            }
        };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.handle());
        tracing::info!("CommandlineUserManager answers `signalbox user` on {}", self.address);
        // Not in the context: a restart must be able to stop it in good order.
        let ended = actix_rt::spawn(server);
        ctx.spawn(ended.into_actor(self).map(|ended, this, ctx| {
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("CommandlineUserManager on {}: the server ended: {ended:?}", this.address);
            }
            ctx.stop();
        }));
    }
}

impl Supervised for Manager {
    /// Everything it holds is either shared and unchanging, or replaced as it starts.
    fn restarting(&mut self, _: &mut Context<Self>) {
        if let Some(server) = take(&self.running) {
            actix_rt::spawn(server.stop(false));
        }
    }
}

/// What a request comes through.
struct Door {
    accounts: Authz,
    guesses: Guesses,
    desk: Desk,
}

async fn elsewhere() -> HttpResponse {
    let words = "this is a user manager of Signalbox; see `signalbox user --help`\n";
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body(words)
}

async fn answer(door: Data<Door>, request: HttpRequest, body: Payload) -> HttpResponse {
    match door.into_inner().request(&request, body).await {
        Ok((door, request)) => HttpResponse::Ok().json(door.desk.carry_out(request).await),
        Err(refused) => refused,
    }
}

impl Door {
    /// What somebody who may wants, once all of it is there.
    async fn request(
        self: Arc<Door>,
        request: &HttpRequest,
        body: Payload,
    ) -> Result<(Arc<Door>, Request), HttpResponse> {
        self.let_in(request).await?;
        // No form that a browser was tricked into sending has this type.
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "requests are application/json"));
        }
        let body = match tokio::time::timeout(ARRIVAL, body.to_bytes_limited(LARGEST)).await {
            Ok(Ok(Ok(body))) => body,
            Ok(Ok(Err(cause))) => return Err(refused(StatusCode::BAD_REQUEST, cause)),
            Ok(Err(_)) => {
                let why = format!("a request has no more than {LARGEST} bytes");
                return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, why));
            }
            Err(_) => return Err(refused(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive")),
        };
        match serde_json::from_slice::<Request>(&body) {
            Ok(request) if request.len() <= MOST => Ok((self, request)),
            Ok(_) => Err(refused(StatusCode::BAD_REQUEST, format!("a request is about no more than {MOST} users"))),
            Err(cause) => Err(refused(StatusCode::BAD_REQUEST, format!("this is no request: {cause}"))),
        }
    }

    async fn let_in(&self, request: &HttpRequest) -> Result<(), HttpResponse> {
        let from = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let Some((name, password)) = web::basic(request) else {
            return Err(who_are_you("name and password, please"));
        };
        let is_right = self.accounts.verify(&name, &password).await.is_some();
        match self.guesses.attempt(from, Instant::now(), is_right) {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::warn!("CommandlineUserManager: {from} gave a wrong name or password");
                Err(who_are_you("name and password are not those of this manager"))
            }
            Err(wait) => {
                let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords; wait a little");
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                answer.headers_mut().insert(RETRY_AFTER, seconds.into());
                Err(answer)
            }
        }
    }
}

fn who_are_you(why: &str) -> HttpResponse {
    let mut answer = refused(StatusCode::UNAUTHORIZED, why);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(REALM));
    answer
}

const REALM: &str = "Basic realm=\"Signalbox users\", charset=\"UTF-8\"";

fn refused(status: StatusCode, why: impl std::fmt::Display) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(format!("{why}\n"))
}
