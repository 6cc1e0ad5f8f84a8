//! One user: all that is known of them but their password.

use super::super::fault::Fault;
use super::super::viewer::Viewer;
use super::users::let_in;
use crate::db::users;
use crate::model::User;
use crate::render::people;
use actix_web::{HttpResponse, web};
use serde::Serialize;

pub async fn page(viewer: Viewer, path: web::Path<String>) -> Result<HttpResponse, Fault> {
    let_in(&viewer).await?;
    let given = path.into_inner();
    let uid: i64 = given.parse().map_err(|_| Fault::no_user(&given))?;
    let user =
        viewer.read(move |reader| users::by_uid(reader.conn, uid)?.ok_or_else(|| Fault::no_user(&given))).await?;
    viewer.page("user", &format!("User {uid}"), "users", move || view(&user)).await
}

#[derive(Serialize)]
struct UserView {
    identifier: String,
    /// The name they log in with first, then the attributes by their kinds.
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct Attribute {
    kind: String,
    value: String,
}

fn view(user: &User) -> UserView {
    let attribute = |(kind, value): (&str, &str)| Attribute { kind: kind.to_owned(), value: people::veiled(value) };
    let login = user.bb_username.as_deref().map(|name| ("bb_username", name));
    let others = user.attributes.iter().map(|(kind, value)| (kind.as_str(), value.as_str()));
    UserView {
        identifier: people::veiled(&user.identifier),
        attributes: login.into_iter().chain(others).map(attribute).collect(),
    }
}
