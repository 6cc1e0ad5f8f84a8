//! The user database: everybody's number and identifier.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use crate::db::users;
use crate::master::authz::{Action, Subject};
use crate::model::User;
use crate::render::links::Links;
use crate::render::people;
use actix_web::HttpResponse;
use serde::Serialize;

const USUAL: i64 = 200;
const MOST: i64 = 1_000;

pub async fn page(viewer: Viewer) -> Result<HttpResponse, Fault> {
    let_in(&viewer).await?;
    let fields = viewer.fields().clone();
    let count = fields.number_of("count", USUAL, MOST)?;
    let after = fields.integer("after")?.unwrap_or(0);
    let mut found = viewer.read(move |reader| Ok(users::after(reader.conn, after, count + 1)?)).await?;
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| fields.with("after", Some(&last.uid.to_string())));
    let links = viewer.links().clone();
    viewer.page("users", "Users", "users", move || view(&found, next, &links)).await
}

/// Lets those on who may see users; asks for name and password where they would help.
pub async fn let_in(viewer: &Viewer) -> Result<(), Fault> {
    match viewer.may(Action::ShowUsersPage, Subject::Nothing).await {
        Err(_) if viewer.could_log_in_for(Action::ShowUsersPage) => Err(Fault::LogIn),
        answer => answer.map(drop),
    }
}

#[derive(Serialize)]
struct UsersView {
    rows: Vec<Row>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    uid: i64,
    href: String,
    identifier: String,
}

fn view(users: &[User], next: Option<String>, links: &Links) -> UsersView {
    let row =
        |user: &User| Row { uid: user.uid, href: links.user(user.uid), identifier: people::veiled(&user.identifier) };
    UsersView { rows: users.iter().map(row).collect(), next }
}
