use super::{Callback, Listed, Options, Problems, Secret, Section};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `util.Authz(...)` (`reference/webstatus.md` §7.1). Held by WebStatus and IRC; asked through `master::authz`.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthzConfig {
    pub default_action: Permission,
    /// By the manual's action name; only those given. `view` is `Always` where not given.
    pub actions: BTreeMap<String, Permission>,
    pub auth: Option<Auth>,
    pub use_http_header: bool,
    pub http_login_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Permission {
    Never,
    Always,
    /// `'auth'`: anyone who has logged in.
    Authenticated,
    /// `["ada", "*!*@shell.example.org"]`: these users; on IRC services accounts and masks of hosts.
    Listed(Vec<Listed>),
    /// `f(username, *subject) -> bool`, for those who have logged in.
    Callback(Callback),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Auth {
    Basic(Vec<(String, Secret)>),
    /// Every hash a current htpasswd file holds.
    HtPasswd(PathBuf),
    /// The user database.
    Users,
}

/// The manual's actions.
const ACTIONS: [&str; 13] = [
    "view",
    "forceBuild",
    "forceAllBuilds",
    "pingBuilder",
    "gracefulShutdown",
    "pauseSlave",
    "stopBuild",
    "stopAllBuilds",
    "cancelPendingBuild",
    "cancelAllPendingBuilds",
    "stopChange",
    "cleanShutdown",
    "showUsersPage",
];

/// Actions of ours.
const OWN_ACTIONS: [&str; 4] = ["showInternals", "resendDeliveries", "replayHooks", "joinChannel"];

const AUTH_KINDS: [&str; 4] = ["util.BasicAuth", "util.HTPasswdAuth", "util.HTPasswdAprAuth", "util.UsersAuth"];

impl Default for AuthzConfig {
    /// Read-only, as 0.8 without `authz`.
    fn default() -> AuthzConfig {
        AuthzConfig {
            default_action: Permission::Never,
            actions: BTreeMap::new(),
            auth: None,
            use_http_header: false,
            http_login_url: None,
        }
    }
}

impl AuthzConfig {
    /// `util.Authz(...)` of a web server; a part that cannot be read permits nothing.
    pub fn read(section: &Section, problems: &mut Problems) -> AuthzConfig {
        AuthzConfig::read_for(section, Login::Here, problems)
    }

    /// The same of an IRC bot, where people log in to the services of their network: nothing is needed here for it, and
    /// what is given for web servers has no effect.
    pub fn read_without_login(section: &Section, problems: &mut Problems) -> AuthzConfig {
        AuthzConfig::read_for(section, Login::Elsewhere, problems)
    }

    fn read_for(section: &Section, login: Login, problems: &mut Problems) -> AuthzConfig {
        let mut options = section.read(problems);
        let default_action = Permission::option(&mut options, "default_action").unwrap_or(Permission::Never);
        let auth = options.call("auth", &AUTH_KINDS).and_then(|call| Auth::read(&call, options.problems()));
        let use_http_header = options.flag("useHttpHeader", false);
        // 0.8's own default is False.
        let http_login_url = match options.value("httpLoginUrl") {
            Some(serde_json::Value::Bool(false)) => None,
            _ => options.text("httpLoginUrl"),
        };
        let mut actions = BTreeMap::new();
        for action in ACTIONS.iter().chain(&OWN_ACTIONS) {
            if let Some(permission) = Permission::option(&mut options, action) {
                actions.insert((*action).to_owned(), permission);
            }
        }
        if login == Login::Here
            && auth.is_none()
            && !use_http_header
            && !options.given("auth")
            && let Some((action, _)) = actions.iter().find(|(_, permission)| permission.needs_login())
        {
            let action = action.clone();
            options.problem(&action, "nobody can log in: give auth=… or useHttpHeader=True as well");
        }
        options.finish();
        AuthzConfig { default_action, actions, auth, use_http_header, http_login_url }
    }
}

/// Where those log in whom permissions name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    Here,
    Elsewhere,
}

impl Permission {
    fn needs_login(&self) -> bool {
        match self {
            Permission::Never | Permission::Always => false,
            Permission::Authenticated | Permission::Listed(_) | Permission::Callback(_) => true,
        }
    }

    fn option(options: &mut Options<'_, '_>, name: &'static str) -> Option<Permission> {
        let value = options.value(name)?;
        let permission = match value {
            serde_json::Value::Bool(false) => Some(Permission::Never),
            serde_json::Value::Bool(true) => Some(Permission::Always),
            serde_json::Value::String(word) if word == "auth" => Some(Permission::Authenticated),
            serde_json::Value::Array(list) => Some(Permission::Listed(Listed::read(options, name, list))),
            other => options.section().function(other).map(Permission::Callback),
        };
        if permission.is_none() {
            let shown = super::section::shown(value);
            options
                .problem(name, format!("expected True, False, \"auth\", a list of names or a function, not {shown}"));
            return Some(Permission::Never);
        }
        permission
    }
}

impl Auth {
    /// One of the calls that say who has accounts.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Auth> {
        let mut options = section.read(problems);
        let auth = match section.kind.as_str() {
            "util.BasicAuth" => {
                let mut users = Vec::new();
                for user in options.list("userpass").unwrap_or_default() {
                    match user.as_array().map(Vec::as_slice) {
                        Some([serde_json::Value::String(name), serde_json::Value::String(password)]) => {
                            users.push((name.clone(), Secret::new(password.clone())));
                        }
                        _ => options.problem("userpass", "each must be (name, password)"),
                    }
                }
                if users.is_empty() {
                    options.problem("userpass", "must list at least one (name, password)");
                }
                Some(Auth::Basic(users))
            }
            "util.UsersAuth" => Some(Auth::Users),
            _ => options.required_text("file").map(|file| Auth::HtPasswd(PathBuf::from(file))),
        };
        options.finish();
        auth
    }
}
