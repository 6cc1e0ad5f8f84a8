//! The one decision: who may do what. Web, IRC and PB all ask here.
//!
//! Rules and defaults are those of `reference/webstatus.md` §7.1. Better than 0.8: a user the proxy names counts as
//! logged in without an `auth` object too; a function that fails refuses and is logged; secrets are compared in
//! constant time.

mod passwords;

pub use passwords::{LONGEST, fits_line, hashed};

use crate::config::{Arg, Auth, AuthzConfig, Listed, Permission};
use crate::config::{build_object, builder_object, request_object, worker_object};
use crate::model::*;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a password that was right is taken again without hashing it.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The manual's actions, and those it has no name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    View,
    ForceBuild,
    ForceAllBuilds,
    PingBuilder,
    GracefulShutdown,
    PauseSlave,
    StopBuild,
    StopAllBuilds,
    CancelPendingBuild,
    CancelAllPendingBuilds,
    StopChange,
    CleanShutdown,
    ShowUsersPage,
    /// Details of the supervision tree, the deliveries and the inbox: ours, off by default.
    ShowInternals,
    /// Sending dead deliveries again, and dropping them: ours, off by default.
    ResendDeliveries,
    /// Taking a request of a change hook in once more: ours, off by default.
    ReplayHooks,
    /// Having an IRC bot join and leave channels: ours.
    JoinChannel,
}

impl Action {
    pub const ALL: [Action; 17] = [
        Action::View,
        Action::ForceBuild,
        Action::ForceAllBuilds,
        Action::PingBuilder,
        Action::GracefulShutdown,
        Action::PauseSlave,
        Action::StopBuild,
        Action::StopAllBuilds,
        Action::CancelPendingBuild,
        Action::CancelAllPendingBuilds,
        Action::StopChange,
        Action::CleanShutdown,
        Action::ShowUsersPage,
        Action::ShowInternals,
        Action::ResendDeliveries,
        Action::ReplayHooks,
        Action::JoinChannel,
    ];

    /// The option of `util.Authz` that decides it.
    pub fn option(self) -> &'static str {
        match self {
            Action::View => "view",
            Action::ForceBuild => "forceBuild",
            Action::ForceAllBuilds => "forceAllBuilds",
            Action::PingBuilder => "pingBuilder",
            Action::GracefulShutdown => "gracefulShutdown",
            Action::PauseSlave => "pauseSlave",
            Action::StopBuild => "stopBuild",
            Action::StopAllBuilds => "stopAllBuilds",
            Action::CancelPendingBuild => "cancelPendingBuild",
            Action::CancelAllPendingBuilds => "cancelAllPendingBuilds",
            Action::StopChange => "stopChange",
            Action::CleanShutdown => "cleanShutdown",
            Action::ShowUsersPage => "showUsersPage",
            Action::ShowInternals => "showInternals",
            Action::ResendDeliveries => "resendDeliveries",
            Action::ReplayHooks => "replayHooks",
            Action::JoinChannel => "joinChannel",
        }
    }
}

/// What an action is about, handed to a function of the configuration.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Nothing,
    Builder(&'a Builder),
    Build(&'a Build),
    Request(&'a BuildRequest),
    Worker(&'a Worker),
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Anonymous,
    /// Has logged in, or the proxy in front says so.
    User {
        name: String,
        full_name: String,
    },
}

impl Who {
    /// The name they log in with.
    pub fn user(&self) -> Option<&str> {
        match self {
            Who::Anonymous => None,
            Who::User { name, .. } => Some(name),
        }
    }
}

/// Somebody on IRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// Whom they have logged in to the network's services as.
    pub account: Option<String>,
    /// `nick!user@host`
    pub mask: String,
}

/// The rights of one status target, as its `authz` option gives them.
pub struct Authz {
    config: AuthzConfig,
    /// Passwords that were right lately, by user, or by the hash that the user database has of them: hashing them on
    /// every request would cost more than the page.
    lately: Mutex<HashMap<String, (String, Instant)>>,
}

impl Authz {
    pub fn new(config: AuthzConfig) -> Authz {
        Authz { config, lately: Mutex::default() }
    }

    /// Whether the user's name is to be taken from the proxy's `Authorization` header, unverified.
    pub fn trusts_header(&self) -> bool {
        self.config.use_http_header
    }

    /// Whether there is anything to log in to here.
    pub fn has_accounts(&self) -> bool {
        self.config.auth.is_some()
    }

    /// Where to log in, if that is elsewhere.
    pub fn login_url(&self) -> Option<&str> {
        self.config.http_login_url.as_deref()
    }

    /// Whether the user database decides about passwords: then ask [`Authz::verify_stored`].
    pub fn uses_user_database(&self) -> bool {
        self.config.auth == Some(Auth::Users)
    }

    /// Who this is, if the password is right. Hashing and reading files happen on a blocking thread.
    pub async fn verify(&self, name: &str, password: &str) -> Option<Who> {
        let right = match self.config.auth.as_ref()? {
            Auth::Basic(users) => users.iter().fold(false, |right, (user, secret)| {
                // Every entry is compared, so that the time taken tells nothing.
                right | (same(user, name) & same(secret.reveal(), password))
            }),
            Auth::HtPasswd(_) if self.was_right(name, password) => true,
            Auth::HtPasswd(path) => {
                let (path, user, secret) = (path.clone(), name.to_owned(), password.to_owned());
                let hashed = tokio::task::spawn_blocking(move || htpasswd(&path, &user, &secret)).await;
                hashed.unwrap_or(false) && self.remember(name, password)
            }
            Auth::Users => false,
        };
        right.then(|| user(name))
    }

    /// Who this is, if the password fits what the user database has stored for the name. Hashing happens on a blocking
    /// thread; a password that was right lately is right as long as nothing else is stored.
    pub async fn verify_stored(&self, name: &str, password: &str, stored: Option<&str>) -> Option<Who> {
        let stored = stored.filter(|_| self.uses_user_database())?;
        if !self.was_right(stored, password) {
            let (secret, hash) = (password.to_owned(), stored.to_owned());
            let fits = tokio::task::spawn_blocking(move || passwords::fits_stored(&secret, &hash));
            if !fits.await.unwrap_or(false) {
                return None;
            }
            self.remember(stored, password);
        }
        Some(user(name))
    }

    /// May block while a function of the configuration runs.
    pub async fn allows(&self, who: &Who, action: Action, subject: Subject<'_>) -> bool {
        match (self.permission(action), who) {
            (Permission::Never, _) => false,
            (Permission::Always, _) => true,
            (Permission::Authenticated, who) => matches!(who, Who::User { .. }),
            (Permission::Listed(list), who) => listed(list, who),
            (Permission::Callback(_), Who::Anonymous) => false,
            (Permission::Callback(function), Who::User { name, .. }) => {
                let mut args = vec![Arg::Json(Value::from(name.as_str()))];
                args.extend(argument(subject));
                match function.call(args).await {
                    Ok(answer) => truth(&answer),
                    Err(error) => {
                        tracing::error!("authz: {} for {name}: {error}; refused", action.option());
                        false
                    }
                }
            }
        }
    }

    /// The same for somebody on IRC: their services account is the name they log in with, their nick is nothing.
    pub async fn allows_speaker(&self, speaker: &Speaker, action: Action, subject: Subject<'_>) -> bool {
        let by_host = match self.permission(action) {
            Permission::Listed(list) => list.iter().any(|listed| listed.fits(&speaker.mask)),
            _ => false,
        };
        let who = speaker.account.as_deref().map_or(Who::Anonymous, user);
        by_host || self.allows(&who, action, subject).await
    }

    /// Whether a form for it is shown to them.
    pub fn advertises(&self, who: &Who, action: Action) -> bool {
        match self.permission(action) {
            Permission::Never => false,
            Permission::Always => true,
            Permission::Authenticated | Permission::Callback(_) => matches!(who, Who::User { .. }),
            Permission::Listed(list) => listed(list, who),
        }
    }

    /// Whether logging in could make it allowed: then the page says so where the form would be.
    pub fn wants_login(&self, who: &Who, action: Action) -> bool {
        *who == Who::Anonymous
            && (self.config.auth.is_some() || self.config.http_login_url.is_some())
            && matches!(
                self.permission(action),
                Permission::Authenticated | Permission::Listed(_) | Permission::Callback(_)
            )
    }

    fn permission(&self, action: Action) -> &Permission {
        match (self.config.actions.get(action.option()), action) {
            (Some(given), _) => given,
            (None, Action::View) => &Permission::Always,
            (None, Action::ShowInternals | Action::ResendDeliveries | Action::ReplayHooks) => &Permission::Never,
            (None, _) => &self.config.default_action,
        }
    }

    fn was_right(&self, name: &str, password: &str) -> bool {
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.get(name).is_some_and(|(known, at)| at.elapsed() < REMEMBERED && same(known, password))
    }

    fn remember(&self, name: &str, password: &str) -> bool {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        lately.insert(name.to_owned(), (password.to_owned(), Instant::now()));
        true
    }
}

fn listed(list: &[Listed], who: &Who) -> bool {
    who.user().is_some_and(|name| list.iter().any(|listed| listed.is_account(name)))
}

fn user(name: &str) -> Who {
    Who::User { name: name.to_owned(), full_name: name.to_owned() }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Reads the file for each login, as 0.8 does, so that it may change at any time.
fn htpasswd(path: &Path, name: &str, password: &str) -> bool {
    match std::fs::read_to_string(path) {
        Ok(text) => passwords::fits_htpasswd(&text, name, password),
        Err(error) => {
            tracing::error!("authz: cannot read {}: {error}; nobody of it can log in", path.display());
            false
        }
    }
}

fn argument(subject: Subject) -> Option<Arg> {
    match subject {
        Subject::Nothing => None,
        Subject::Builder(builder) => Some(Arg::Object(builder_object(builder))),
        Subject::Build(build) => Some(Arg::Object(build_object(build, None))),
        Subject::Request(request) => Some(Arg::Object(request_object(request))),
        Subject::Worker(worker) => Some(Arg::Object(worker_object(worker))),
    }
}

/// What Python takes for true.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use std::collections::BTreeMap;

    fn authz(actions: &[(&str, Permission)]) -> Authz {
        Authz::new(AuthzConfig {
            default_action: Permission::Never,
            actions: actions.iter().map(|(name, permission)| (name.to_string(), permission.clone())).collect(),
            auth: Some(Auth::Basic(vec![("ada".to_owned(), Secret::new("engine"))])),
            use_http_header: false,
            http_login_url: None,
        })
    }

    #[actix::test]
    async fn view_is_open_and_the_rest_shut_unless_given() {
        let authz = authz(&[("forceBuild", Permission::Always), ("stopBuild", Permission::Authenticated)]);
        let allowed = async |who: &Who| {
            let mut allowed = Vec::new();
            for action in Action::ALL {
                if authz.allows(who, action, Subject::Nothing).await {
                    allowed.push(action.option());
                }
            }
            allowed
        };
        assert_eq!(allowed(&Who::Anonymous).await, ["view", "forceBuild"]);
        assert_eq!(allowed(&user("ada")).await, ["view", "forceBuild", "stopBuild"]);
        assert!(authz.wants_login(&Who::Anonymous, Action::StopBuild));
        assert!(!authz.advertises(&Who::Anonymous, Action::StopBuild));
    }

    #[actix::test]
    async fn the_default_holds_for_everything_but_view_and_what_is_ours() {
        let config = AuthzConfig {
            default_action: Permission::Always,
            actions: BTreeMap::new(),
            auth: None,
            use_http_header: false,
            http_login_url: None,
        };
        let authz = Authz::new(config);
        assert!(authz.allows(&Who::Anonymous, Action::CleanShutdown, Subject::Nothing).await);
        assert!(!authz.allows(&Who::Anonymous, Action::ShowInternals, Subject::Nothing).await);
        assert!(!authz.allows(&Who::Anonymous, Action::ResendDeliveries, Subject::Nothing).await);
    }

    #[actix::test]
    async fn passwords_are_asked_for() {
        let authz = authz(&[]);
        assert_eq!(authz.verify("ada", "engine").await, Some(user("ada")));
        assert_eq!(authz.verify("ada", "Engine").await, None);
        assert_eq!(authz.verify("", "").await, None);
    }

    #[actix::test]
    async fn an_htpasswd_file_is_read_anew_for_each_login() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("htpasswd");
        std::fs::write(&file, "user:yifux5rkzvI5w\n").unwrap();
        let mut config = authz(&[]).config;
        config.auth = Some(Auth::HtPasswd(file.clone()));
        let authz = Authz::new(config);
        assert_eq!(authz.verify("user", "buildmaster").await, Some(user("user")));
        assert_eq!(authz.verify("user", "buildmaster").await, Some(user("user")));
        assert_eq!(authz.verify("user", "wrong").await, None);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(authz.verify("eve", "buildmaster").await, None);
    }
}
