//! The supervised target: a listener that outlives restarts, and the HTTP server on it.

use super::config::Config;
use super::live::STALLED;
use super::page_threads::PageThreads;
use super::site::{Orders, Site};
use super::{around, routes};
use crate::changes::SourceView;
use crate::changes::hooks::Dialect;
use crate::changes::hooks::hook::{self, Hook};
use crate::clock::Clock;
use crate::config::Config as MasterConfig;
use crate::db::Db;
use crate::hub::Hub;
use crate::status::listen::{Listen, ListenError};
use crate::supervise::{Child, Group, Pause, Policy, Tree, WhenExhausted};
use actix::prelude::*;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Threads that answer requests. Few: pages cost little, and the machine is there to build.
const THREADS: usize = 2;

/// Connections each thread holds at once; more wait to be accepted.
const CONNECTIONS: usize = 10_000;

/// Seconds a stop waits for answers that are on their way.
const STOP_LIMIT: u64 = 5;

/// How much of a stop may pass before the server is left to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(STOP_LIMIT + 2);

/// What a web server needs from outside.
#[derive(Clone)]
pub struct Setup {
    pub db: Db,
    pub hub: Hub,
    pub orders: Orders,
    /// The configuration in force; pages follow it when it changes.
    pub config: watch::Receiver<Arc<MasterConfig>>,
    /// The change sources at work.
    pub sources: watch::Receiver<Vec<SourceView>>,
    /// The whole tree, for the pages about it.
    pub tree: Tree,
    /// The branch it is started under.
    pub group: Group,
    pub clock: Clock,
    /// Where `public_html` and `templates` are.
    pub basedir: PathBuf,
}

/// What keeps a web server from starting.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("status.web: {0}")]
    Listen(#[from] ListenError),
    #[error("status.web: cannot start the threads that make pages: {0}")]
    Threads(std::io::Error),
}

/// A running WebStatus.
pub struct WebServer {
    /// Where it listens; with port 0 the one the system chose.
    pub address: SocketAddr,
    child: Child<WebStatus>,
    running: Running,
    closing: Arc<watch::Sender<bool>>,
    /// One for each dialect of `change_hook_dialects`.
    hooks: Vec<Hook>,
}

/// The HTTP server that runs just now.
type Running = Arc<Mutex<Option<ServerHandle>>>;

/// Listens and starts to answer. Needs an actix system.
///
/// # Errors
/// A port that is no port, or one that is taken, or a system without threads to spare: nothing is served then.
pub fn start(settings: Config, setup: Setup) -> Result<WebServer, WebError> {
    let (listener, address) = Listen::parse("http_port", settings.http_port.as_deref().unwrap_or_default())?.bind()?;
    let threads = PageThreads::start().map_err(WebError::Threads)?;
    let (closing, closed) = watch::channel(false);
    let group = setup.group.clone();
    let name = format!("WebStatus:{}", address.port());
    let hooks = start_hooks(&settings, &setup, &name);
    let addresses = hooks.iter().map(|(dialect, hook)| (dialect.clone(), hook.addr.clone())).collect();
    let target = WebStatus {
        listener: Arc::new(listener),
        address,
        site: Arc::new(Site::new(settings, setup, addresses, threads, closed)),
        running: Running::default(),
    };
    let running = target.running.clone();
    let policy = Policy {
        pause: Pause::Exponential { first: Duration::from_millis(100), cap: Duration::from_secs(30) },
        max_restarts: 5,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Park,
    };
    let child = group.start(&name, policy, |_, _| target);
    Ok(WebServer { address, child, running, closing: Arc::new(closing), hooks: hooks.into_values().collect() })
}

fn start_hooks(settings: &Config, setup: &Setup, name: &str) -> BTreeMap<String, Hook> {
    let hooks = hook::Setup {
        db: setup.db.clone(),
        clock: setup.clock.clone(),
        add: setup.orders.add_changes.clone(),
        sources: setup.sources.clone(),
        group: setup.group.clone(),
    };
    let start = |(dialect, options): (&String, &Dialect)| {
        let place = format!("{name}/change_hook/{dialect}");
        (dialect.clone(), hook::start(&hooks, &place, dialect, options.clone()))
    };
    settings.change_hook_dialects.iter().map(start).collect()
}

impl WebServer {
    /// It does not answer any more: it fell too often.
    pub fn is_parked(&self) -> bool {
        self.child.is_parked()
    }

    /// Takes no new requests, lets those on their way end, and leaves the tree.
    pub async fn stop(self) {
        self.closing.send_replace(true);
        let running = take(&self.running);
        self.child.stop().await;
        if let Some(server) = running
            && tokio::time::timeout(STOP_PATIENCE, server.stop(true)).await.is_err()
        {
            tracing::warn!("WebStatus on {}: some answers did not end in time and were cut", self.address);
        }
        for hook in self.hooks {
            hook.stop().await;
        }
    }
}

fn take(running: &Running) -> Option<ServerHandle> {
    running.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The target as the tree sees it.
pub struct WebStatus {
    /// Kept over restarts: the port never changes hands, and who connects meanwhile waits instead of being refused.
    listener: Arc<TcpListener>,
    address: SocketAddr,
    site: Arc<Site>,
    running: Running,
}

impl WebStatus {
    fn serve(&self) -> std::io::Result<actix_web::dev::Server> {
        let site = web::Data::from(self.site.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(site.clone())
                .wrap(actix_web::middleware::from_fn(around::around))
                .configure(routes::configure)
        })
        .workers(THREADS)
        .max_connections(CONNECTIONS)
        .on_connect(|connection, _| {
            if let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>()
                && let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED))
            {
                tracing::debug!(%error, "a connection that stalls will not be cut off");
            }
        })
        .shutdown_timeout(STOP_LIMIT)
        .disable_signals()
        .listen(self.listener.try_clone()?)?;
        Ok(server.run())
    }
}

impl Actor for WebStatus {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let server = match self.serve() {
            Ok(server) => server,
            Err(error) => {
                tracing::error!("WebStatus on {}: cannot serve: {error}; trying again", self.address);
                ctx.stop();
                return;
            }
        };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.handle());
        tracing::info!("WebStatus answers on http://{}", self.address);
        // Not in the context: a restart must be able to stop it in good order.
        let ended = actix_rt::spawn(server);
        ctx.spawn(ended.into_actor(self).map(|ended, this, ctx| {
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("WebStatus on {}: the server ended: {ended:?}", this.address);
            }
            ctx.stop();
        }));
    }
}

impl Supervised for WebStatus {
    /// Everything it holds is either shared and unchanging, or replaced as it starts.
    fn restarting(&mut self, _: &mut Context<Self>) {
        if let Some(server) = take(&self.running) {
            actix_rt::spawn(server.stop(false));
        }
    }
}
