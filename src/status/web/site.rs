//! What one WebStatus serves from: its settings, the database, the master, its rights and templates.
//!
//! Nothing of it is public beyond the room: handlers see it through a [`Viewer`](super::viewer::Viewer), which exists
//! only for those who may view.

use super::config::{Addresses, CommentLink, Config, Revlink};
use super::hook_auth::HookPassword;
use super::kept::Kept;
use super::live::Shows;
use super::log_errors;
use super::page_threads::PageThreads;
use super::server::Setup;
use crate::changes::SourceView;
use crate::changes::hooks::hook::ChangeHook;
use crate::clock::Clock;
use crate::config::{Arg, Callback, Config as MasterConfig};
use crate::db::Db;
use crate::hub::Hub;
use crate::master::authz::Authz;
use crate::master::*;
use crate::render::Templates;
use crate::render::asdict::quote;
use crate::render::html::escape;
use crate::render::links::{TicketRule, comments, known_revlink};
use crate::supervise::Tree;
use actix::dev::ToEnvelope;
use actix::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How many links of revisions are remembered before they are asked for anew.
const REMEMBERED: usize = 10_000;

/// The orders a web page can give, each to whoever carries it out.
#[derive(Clone)]
pub struct Orders {
    pub force: Recipient<ForceBuild>,
    pub rebuild: Recipient<Rebuild>,
    pub stop: Recipient<StopBuild>,
    pub cancel: Recipient<CancelRequest>,
    pub stop_change: Recipient<StopChange>,
    pub ping: Recipient<PingBuilder>,
    pub pause: Recipient<SetWorkerPaused>,
    pub shut_down_worker: Recipient<ShutDownWorker>,
    pub shutdown: Recipient<CleanShutdown>,
    pub outlook: Recipient<GetOutlook>,
    pub add_changes: Recipient<AddChanges>,
}

impl Orders {
    /// All to one actor: the master.
    pub fn to<A>(addr: &Addr<A>) -> Orders
    where
        A: Actor
            + Handler<ForceBuild>
            + Handler<Rebuild>
            + Handler<StopBuild>
            + Handler<CancelRequest>
            + Handler<StopChange>
            + Handler<PingBuilder>
            + Handler<SetWorkerPaused>
            + Handler<ShutDownWorker>
            + Handler<CleanShutdown>
            + Handler<GetOutlook>
            + Handler<AddChanges>,
        A::Context: ToEnvelope<A, ForceBuild>
            + ToEnvelope<A, Rebuild>
            + ToEnvelope<A, StopBuild>
            + ToEnvelope<A, CancelRequest>
            + ToEnvelope<A, StopChange>
            + ToEnvelope<A, PingBuilder>
            + ToEnvelope<A, SetWorkerPaused>
            + ToEnvelope<A, ShutDownWorker>
            + ToEnvelope<A, CleanShutdown>
            + ToEnvelope<A, GetOutlook>
            + ToEnvelope<A, AddChanges>,
    {
        Orders {
            force: addr.clone().recipient(),
            rebuild: addr.clone().recipient(),
            stop: addr.clone().recipient(),
            cancel: addr.clone().recipient(),
            stop_change: addr.clone().recipient(),
            ping: addr.clone().recipient(),
            pause: addr.clone().recipient(),
            shut_down_worker: addr.clone().recipient(),
            shutdown: addr.clone().recipient(),
            outlook: addr.clone().recipient(),
            add_changes: addr.clone().recipient(),
        }
    }
}

/// Everything a request may need.
pub struct Site {
    pub(super) settings: Config,
    pub(super) db: Db,
    pub(super) hub: Hub,
    pub(super) orders: Orders,
    pub(super) master: watch::Receiver<Arc<MasterConfig>>,
    pub(super) sources: watch::Receiver<Vec<SourceView>>,
    pub(super) tree: Tree,
    pub(super) clock: Clock,
    pub(super) authz: Authz,
    pub(super) templates: Templates,
    /// Absolute.
    pub(super) public_html: PathBuf,
    /// Becomes true when the server is about to end: what follows a log or waits for news ends then.
    pub(super) closing: watch::Receiver<bool>,
    /// Where pages are made.
    pub(super) threads: PageThreads,
    /// Answers that are given out again.
    pub(super) kept: Kept,
    /// The pages that somebody has open.
    pub(super) shows: Shows,
    /// The change hooks, by dialect.
    pub(super) hooks: BTreeMap<String, Addr<ChangeHook>>,
    pub(super) hook_password: HookPassword,
    /// What looks like an error in logs that somebody has looked at.
    pub(super) errors: log_errors::Remembered,
    /// Pages of revisions found before, by revision and repository.
    known_revisions: Mutex<HashMap<(String, String), Option<String>>>,
}

impl Site {
    pub(super) fn new(
        settings: Config,
        setup: Setup,
        hooks: BTreeMap<String, Addr<ChangeHook>>,
        threads: PageThreads,
        closing: watch::Receiver<bool>,
    ) -> Site {
        let folders = std::iter::once(PathBuf::from("templates")).chain(settings.template_folders.iter().cloned());
        let folders = folders.map(|folder| setup.basedir.join(folder)).collect();
        Site {
            db: setup.db,
            hub: setup.hub,
            orders: setup.orders,
            master: setup.config,
            sources: setup.sources,
            tree: setup.tree,
            clock: setup.clock,
            authz: Authz::new(settings.authz.clone()),
            templates: Templates::new(folders),
            public_html: setup.basedir.join(&settings.public_html),
            closing,
            threads,
            kept: Kept::default(),
            shows: Shows::default(),
            hooks,
            hook_password: HookPassword::new(&setup.basedir, &settings.change_hook_auth),
            errors: log_errors::Remembered::default(),
            known_revisions: Mutex::default(),
            settings,
        }
    }

    /// The configuration of the master in force.
    pub(super) fn config(&self) -> Arc<MasterConfig> {
        self.master.borrow().clone()
    }

    /// The page of a revision. May block while a function of the configuration runs.
    pub(super) fn revision_page(&self, revision: &str, repository: &str) -> Option<String> {
        if revision.is_empty() {
            return None;
        }
        let key = (revision.to_owned(), repository.to_owned());
        if let Some(known) = self.known_revisions.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let fill = |format: &str| format.replacen("%s", &quote(revision), 1);
        let ask = |function: &Callback| call(function, "revlink", &[revision, repository]);
        let page = match (&self.settings.revlink, &self.config().revlink) {
            (Some(Revlink::Format(format)), _) => Some(fill(format)),
            (Some(Revlink::ByRepository(formats)), _) => formats.get(repository).map(|format| fill(format)),
            (Some(Revlink::Callback(function)), _) | (None, Some(function)) => ask(function),
            (None, None) => known_revlink(revision, repository),
        };
        let mut known = self.known_revisions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, page.clone());
        page
    }

    /// May block while a function of the configuration runs.
    pub(super) fn project_page(&self, project: &str) -> Option<String> {
        named(self.settings.projects.as_ref()?, "projects", project)
    }

    /// As configured, or the repository itself where it is an address. May block as the others.
    pub(super) fn repository_page(&self, repository: &str) -> Option<String> {
        let configured = self.settings.repositories.as_ref().map(|links| named(links, "repositories", repository));
        configured.unwrap_or_else(|| repository.starts_with("http").then(|| repository.to_owned()))
    }

    /// A comment as HTML, with links to tickets. May block as the others.
    pub(super) fn comments(&self, text: &str, project: &str) -> String {
        let pattern = match &self.settings.changecommentlink {
            None => None,
            Some(CommentLink::Pattern(pattern)) => Some(pattern),
            Some(CommentLink::ByProject(patterns)) => patterns.get(project),
            // 0.8 hands it escaped text and shows what comes back as it is: it is the operator's own.
            Some(CommentLink::Callback(function)) => {
                let escaped = escape(text);
                return call(function, "changecommentlink", &[&escaped, project]).unwrap_or(escaped);
            }
        };
        let rule = pattern.map(|pattern| TicketRule {
            pattern: &pattern.regex,
            url: &pattern.address,
            title: pattern.title.as_deref().unwrap_or(""),
        });
        comments(text, rule)
    }
}

fn named(addresses: &Addresses, option: &str, name: &str) -> Option<String> {
    match addresses {
        Addresses::ByName(addresses) => addresses.get(name).cloned(),
        Addresses::Callback(function) => call(function, option, &[name]),
    }
}

/// What a function of the configuration makes of some text.
fn call(function: &Callback, option: &str, args: &[&str]) -> Option<String> {
    match function.call_blocking(args.iter().map(|&arg| Arg::Json(arg.into())).collect()) {
        Ok(answer) => answer.as_str().map(str::to_owned),
        Err(error) => {
            tracing::error!("WebStatus: {option}: {error}; shown without it");
            None
        }
    }
}
