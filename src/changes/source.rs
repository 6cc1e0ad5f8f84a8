//! What every change source shows of itself, and how it is stopped.

use crate::config::Section;
use crate::model::Time;
use crate::supervise::Group;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How a change source is doing, for `/changes` and `/json/change_sources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceStatus {
    /// As configured; hooks that start a poll ask for it by this name.
    pub name: String,
    /// 0.8's sentence; holds no passwords.
    pub description: String,
    /// When it last looked, whether that went well or not.
    pub last_poll: Option<Time>,
    pub next_poll: Option<Time>,
    /// Why the last look failed; `None` once one went well.
    pub last_error: Option<String>,
    /// It is configured and does nothing; `last_error` says why.
    pub idle: bool,
}

/// A change source that has been started.
pub struct Running {
    pub(super) shared: Arc<Shared>,
    /// Ends its actor.
    pub(super) end: Box<dyn FnOnce() -> futures::future::LocalBoxFuture<'static, ()>>,
}

/// What outlives a restart of a source's actor.
#[derive(Default)]
pub(super) struct Shared {
    /// Held while a change is on its way to the master, also by one whose actor has fallen meanwhile. Whoever reads
    /// how far the source has read takes it first.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    /// Asks for a look at once.
    pub poke: Notify,
    status: Mutex<SourceStatus>,
}

impl Shared {
    pub fn new(status: SourceStatus) -> Shared {
        Shared { status: Mutex::new(status), ..Shared::default() }
    }

    pub fn change(&self, change: impl FnOnce(&mut SourceStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// How long [`Running::stop`] waits for a change under way.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A look at a source's status for as long as one likes. Cheap to clone.
#[derive(Clone)]
pub struct SourceView(Arc<Shared>);

impl SourceView {
    /// Looks now rather than at the next poll. One that looks already looks once more, however often it is asked.
    pub fn poll_now(&self) {
        self.0.poke.notify_one();
    }

    /// Whether it does anything.
    pub fn polls(&self) -> bool {
        !self.status().idle
    }

    pub fn status(&self) -> SourceStatus {
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Stands for a source that is configured and does nothing; the tree shows it.
pub(super) fn not_started(group: &Group, section: &Section, why: &str) -> Running {
    tracing::warn!("{}: {} is configured, not started: {why}", section.place, section.kind);
    let addresses = ["repourl", "repository", "svnurl", "p4base", "baseURL", "maildir"];
    let address = addresses.iter().find_map(|option| section.options.get(option)?.as_str());
    let status = SourceStatus {
        name: section.kind.clone(),
        description: match address {
            Some(address) => format!("{} {}", section.short_kind(), without_password(address)),
            None => section.short_kind().to_owned(),
        },
        last_error: Some(format!("configured, not started: {why}")),
        idle: true,
        ..SourceStatus::default()
    };
    let vacancy = group.vacant(section.short_kind(), why);
    Running { shared: Arc::new(Shared::new(status)), end: Box::new(move || Box::pin(async { drop(vacancy) })) }
}

/// An address as anyone may read it.
pub(super) fn without_password(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Only a URL that cannot have one refuses this.
            let _ = parsed.set_password(None);
            parsed.into()
        }
        _ => address.to_owned(),
    }
}

/// What a program may say of an address that is not to be shown, each with what is shown instead.
pub(super) fn hidden_of(address: &str) -> Vec<(String, String)> {
    let whole = (address.to_owned(), without_password(address));
    // A program may write the address otherwise than it was given.
    let parsed = url::Url::parse(address).ok();
    let password =
        parsed.as_ref().and_then(url::Url::password).map(|password| (format!(":{password}@"), "@".to_owned()));
    [whole].into_iter().chain(password).collect()
}

impl Running {
    pub fn status(&self) -> SourceStatus {
        self.view().status()
    }

    /// For pages, which outlive a source that a reconfig replaces.
    pub fn view(&self) -> SourceView {
        SourceView(Arc::clone(&self.shared))
    }

    /// Looks now rather than at the next poll.
    pub fn poll_now(&self) {
        self.view().poll_now();
    }

    /// Ends it and waits, within a limit, for a change under way. The master must go on answering its messages meanwhile.
    pub async fn stop(self) {
        (self.end)().await;
        if tokio::time::timeout(STOP_LIMIT, self.shared.turn.lock()).await.is_err() {
            tracing::warn!("a change source's last change is still not stored; going on without it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_an_address_shows_its_password() {
        let mut said = "cannot open https://bot:s3cret@example.org/x/ or HTTPS://bot:s3cret@EXAMPLE.org/x".to_owned();
        for (hidden, shown) in hidden_of("https://bot:s3cret@example.org/x/") {
            said = said.replace(&hidden, &shown);
        }
        assert_eq!(said, "cannot open https://bot@example.org/x/ or HTTPS://bot@EXAMPLE.org/x");
        assert_eq!(hidden_of("/srv/x"), [("/srv/x".to_owned(), "/srv/x".to_owned())]);
    }
}
