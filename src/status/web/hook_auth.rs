//! `change_hook_auth`: the password of change hooks, apart from that of pages (`reference/change-hooks.md` §3).

use super::config::HookAuth;
use super::identity::basic;
use crate::config::AuthzConfig;
use crate::master::authz::{Authz, fits_line};
use actix_web::HttpRequest;
use std::path::{Path, PathBuf};

/// Asks for the password of hooks. Any checker that accepts is enough; without one nobody is asked.
pub struct HookPassword {
    checkers: Vec<Checker>,
}

enum Checker {
    File(PathBuf),
    Accounts(Box<Authz>),
}

impl HookPassword {
    /// Warns of files that are not there: their users cannot log in.
    pub fn new(basedir: &Path, checkers: &[HookAuth]) -> HookPassword {
        let checker = |checker: &HookAuth| match checker {
            HookAuth::File(file) => {
                let file = basedir.join(file);
                if !file.is_file() {
                    tracing::warn!("change_hook_auth: there is no file {}: nobody in it can log in", file.display());
                }
                Checker::File(file)
            }
            HookAuth::Accounts(auth) => Checker::Accounts(Box::new(Authz::new(AuthzConfig {
                auth: Some(auth.clone()),
                ..AuthzConfig::default()
            }))),
        };
        HookPassword { checkers: checkers.iter().map(checker).collect() }
    }

    pub async fn lets_in(&self, request: &HttpRequest) -> bool {
        if self.checkers.is_empty() {
            return true;
        }
        let Some((user, password)) = basic(request).filter(|(_, password)| !password.is_empty()) else { return false };
        for checker in &self.checkers {
            let right = match checker {
                Checker::File(file) => is_in(file.clone(), user.clone(), password.clone()).await,
                Checker::Accounts(accounts) => accounts.verify(&user, &password).await.is_some(),
            };
            if right {
                return true;
            }
        }
        false
    }
}

/// Whether the first line of this user in the file has this password.
async fn is_in(file: PathBuf, user: String, password: String) -> bool {
    let read = tokio::task::spawn_blocking(move || match std::fs::read_to_string(&file) {
        Ok(lines) => fits_line(&lines, &user, &password),
        Err(error) => {
            tracing::error!("change_hook_auth: {}: {error}; nobody in it can log in", file.display());
            false
        }
    });
    read.await.unwrap_or(false)
}
