//! Carries out what was asked for by somebody who may.

use super::wire::{Answer, Login, New, Outcome, Request, Update};
use crate::config::Secret;
use crate::db::{Db, users};
use crate::master::{self, ChangeUser, Refused, authz};
use crate::model::User;
use actix::Recipient;
use std::time::Duration;

/// How long an order may take to be answered.
const ORDER_PATIENCE: Duration = Duration::from_secs(10);

/// What orders go through.
#[derive(Clone)]
pub struct Desk {
    pub db: Db,
    /// The master.
    pub change: Recipient<ChangeUser>,
}

impl Desk {
    /// One after the other; one that is refused does not keep the next from being done.
    pub async fn carry_out(&self, request: Request) -> Answer {
        let mut outcomes = Vec::with_capacity(request.len());
        match request {
            Request::Add { users } => {
                for New { identifier, attributes } in users {
                    outcomes.push(self.order(ChangeUser::Add { identifier, attributes }).await);
                }
            }
            Request::Update { users } => {
                for user in users {
                    outcomes.push(self.update(user).await);
                }
            }
            Request::Remove { ids } => {
                for identifier in ids {
                    outcomes.push(self.order(ChangeUser::Remove { identifier }).await);
                }
            }
            Request::Get { ids } => {
                for identifier in ids {
                    outcomes.push(self.get(identifier).await);
                }
            }
        }
        let outcome = |outcome: Result<User, String>| outcome.map_or_else(Outcome::Refused, Outcome::Done);
        Answer { users: outcomes.into_iter().map(outcome).collect() }
    }

    async fn update(&self, user: Update) -> Result<User, String> {
        let Update { identifier, renamed, attributes, login } = user;
        let login = match login {
            Some(login) => Some(hashed(login).await?),
            None => None,
        };
        self.order(ChangeUser::Update { identifier, renamed, attributes, login }).await
    }

    async fn get(&self, identifier: String) -> Result<User, String> {
        let nobody = format!("there is no user \"{identifier}\"");
        match self.db.read(move |conn| users::find(conn, &identifier)).await {
            Ok(user) => Ok(user.ok_or(nobody)?.told()),
            Err(cause) => {
                tracing::error!("CommandlineUserManager: a user cannot be looked up: {cause}");
                Err("the database cannot be read just now".to_owned())
            }
        }
    }

    async fn order(&self, order: ChangeUser) -> Result<User, String> {
        match tokio::time::timeout(ORDER_PATIENCE, self.change.send(order)).await {
            Ok(Ok(answer)) => answer.map_err(|refused: Refused| refused.to_string()),
            _ => Err("the master does not answer; whether it was done shows `signalbox user get`".to_owned()),
        }
    }
}

/// On a blocking thread, as it takes a while on purpose.
async fn hashed(Login { bb_username, bb_password }: Login) -> Result<master::Login, String> {
    let hashed = tokio::task::spawn_blocking(move || authz::hashed(&bb_password)).await;
    let hash = hashed.ok().flatten().ok_or_else(|| {
        format!("a bb_password has from 1 to {} bytes, none of them NUL; nothing is changed", authz::LONGEST)
    })?;
    Ok(master::Login { username: bb_username, hash: Secret::new(hash) })
}
