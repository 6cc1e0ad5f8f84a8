//! The user database: authors of changes become users, and people are added, changed and removed.
//!
//! One at a time, from reading what is there to its being stored; so no two of them want the same name.

use super::house::House;
use super::orders::{ChangeUser, Login, Refused};
use super::submit::ending;
use crate::db::{Beside, Conn, DbError, users};
use crate::model::*;
use std::collections::BTreeMap;
use tokio::sync::MutexGuard;
use tracing::info;

/// Nobody has more attributes.
const MOST_ATTRIBUTES: usize = 50;

/// No kind of attribute has a longer name.
const LONGEST_KIND: usize = 64;

/// What a user is known by, besides attributes.
const NO_ATTRIBUTES: [&str; 4] = ["uid", "identifier", "bb_username", "bb_password"];

/// What belongs beside changes so that their authors are users, and the turn to store it.
#[derive(Default)]
pub(super) struct Authors<'a> {
    pub events: Vec<Event>,
    pub beside: Vec<Beside>,
    /// Held until it is stored.
    pub turn: Option<MutexGuard<'a, ()>>,
}

/// What is to be stored for the authors of these changes. Nothing and at no cost of turns where all are known.
pub(super) async fn authors<'a>(
    house: &'a House,
    vcs: Option<Vcs>,
    changes: impl Iterator<Item = &Change>,
) -> Result<Authors<'a>, Refused> {
    let mut names: Vec<String> = changes.map(|change| change.who.clone()).collect();
    names.sort();
    names.dedup();
    let Some(vcs) = vcs.filter(|_| !names.is_empty()) else {
        return Ok(Authors::default());
    };
    if lacking(house, vcs, names.clone()).await?.is_empty() {
        return Ok(Authors::default());
    }
    let turn = house.users.lock().await;
    let mut authors = Authors { turn: Some(turn), ..Authors::default() };
    for mut user in lacking(house, vcs, names).await? {
        if user.uid == 0 {
            user.uid = house.db.ids().user();
            info!("user {}: {}, an author of {}", user.uid, user.identifier, vcs.name());
        }
        authors.events.push(Event::UserChanged { user: user.clone().told() });
        authors.beside.push(Beside::User(user));
    }
    Ok(authors)
}

async fn lacking(house: &House, vcs: Vcs, names: Vec<String>) -> Result<Vec<User>, Refused> {
    read(house, move |conn| {
        let lacking = names.iter().map(|who| users::lacking(conn, vcs, who));
        lacking.filter_map(Result::transpose).collect()
    })
    .await
}

/// Carries out what somebody wants of a user; answers with the user as they are then, or were before they were removed.
pub(super) async fn change(house: &House, order: ChangeUser) -> Result<User, Refused> {
    let _turn = house.users.lock().await;
    let (event, beside, user) = match order {
        ChangeUser::Add { identifier, attributes } => {
            let user = User { identifier, attributes, ..User::default() };
            check(house, &user).await?;
            stored(User { uid: house.db.ids().user(), ..user })
        }
        ChangeUser::Update { identifier, renamed, attributes, login } => {
            let user = updated(find(house, identifier).await?, renamed, attributes, login);
            check(house, &user).await?;
            stored(user)
        }
        ChangeUser::Remove { identifier } => {
            let user = find(house, identifier).await?;
            let event = Event::UserRemoved { uid: user.uid, identifier: user.identifier.clone() };
            (event, Beside::NoUser(user.uid), user)
        }
    };
    let name = event.name();
    house.record_with(vec![event], vec![beside]).await.map_err(|_| ending())?;
    info!("user {}: {}: {name}", user.uid, user.identifier);
    Ok(user.told())
}

fn stored(user: User) -> (Event, Beside, User) {
    (Event::UserChanged { user: user.clone().told() }, Beside::User(user.clone()), user)
}

fn updated(
    mut user: User,
    renamed: Option<String>,
    attributes: BTreeMap<String, String>,
    login: Option<Login>,
) -> User {
    user.identifier = renamed.unwrap_or(user.identifier);
    for (kind, value) in attributes {
        if value.is_empty() {
            user.attributes.remove(&kind);
        } else {
            user.attributes.insert(kind, value);
        }
    }
    if let Some(Login { username, hash }) = login {
        user.bb_username = Some(username);
        user.bb_password = Some(hash.reveal().to_owned());
    }
    user
}

async fn find(house: &House, identifier: String) -> Result<User, Refused> {
    let nobody = Refused::NotFound(format!("there is no user \"{identifier}\""));
    read(house, move |conn| users::find(conn, &identifier)).await?.ok_or(nobody)
}

/// Everything that speaks against a user being so.
async fn check(house: &House, user: &User) -> Result<(), Refused> {
    let mut wrong = misshapen(user);
    let (identifier, username) = (user.identifier.clone(), user.bb_username.clone());
    let (namesake, same_login) = read(house, move |conn| {
        let namesake = users::find(conn, &identifier)?;
        let same_login = username.map_or(Ok(None), |username| users::by_username(conn, &username))?;
        Ok((namesake, same_login))
    })
    .await?;
    let another = |found: Option<User>| found.filter(|found| found.uid != user.uid);
    if let Some(other) = another(namesake) {
        wrong.push(format!("the identifier \"{}\" is taken by user {}", user.identifier, other.uid));
    }
    if let Some(other) = another(same_login) {
        let username = user.bb_username.as_deref().unwrap_or_default();
        wrong.push(format!("the bb_username \"{username}\" is taken by \"{}\"", other.identifier));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Refused::Invalid(wrong)) }
}

/// What cannot be stored or shown, or would be dangerous in a letter.
fn misshapen(user: &User) -> Vec<String> {
    let mut wrong = Vec::new();
    let fits = |text: &str| text.chars().count() <= User::LONGEST && !text.contains(char::is_control);
    let unfit = |what: &str| format!("{what} has a line break or the like, or more than {} characters", User::LONGEST);
    if user.identifier.trim().is_empty() {
        wrong.push("the identifier is empty".to_owned());
    } else if !fits(&user.identifier) {
        wrong.push(unfit("the identifier"));
    }
    match user.bb_username.as_deref() {
        // What stands before the first colon of a login is its name.
        Some(name) if name.is_empty() || name.contains(':') => {
            wrong.push("a bb_username is neither empty, nor is there a colon in it".to_owned());
        }
        Some(name) if !fits(name) => wrong.push(unfit("the bb_username")),
        _ => {}
    }
    for (kind, value) in &user.attributes {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if kind.is_empty() || kind.len() > LONGEST_KIND || !kind.chars().all(plain) {
            let shown: String = kind.chars().take(LONGEST_KIND).collect();
            wrong.push(format!("\"{}\" is no kind of attribute", shown.escape_debug()));
        } else if NO_ATTRIBUTES.contains(&kind.as_str()) {
            wrong.push(format!("{kind} is no attribute"));
        } else if value.is_empty() {
            wrong.push(format!("the attribute {kind} is empty"));
        } else if !fits(value) {
            wrong.push(unfit(&format!("the attribute {kind}")));
        } else if kind == EMAIL && !is_address(value) {
            wrong.push(format!("email: \"{value}\" is no bare mail address, such as joe@example.org"));
        }
    }
    if user.attributes.len() > MOST_ATTRIBUTES {
        wrong.push(format!("there are more than {MOST_ATTRIBUTES} attributes"));
    }
    wrong
}

async fn read<T: Send + 'static>(
    house: &House,
    query: impl FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
) -> Result<T, Refused> {
    let read = house.db.read(query).await;
    read.map_err(|cause| Refused::NotNow(format!("the database cannot be read: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(identifier: &str, username: Option<&str>, attributes: &[(&str, &str)]) -> Vec<String> {
        misshapen(&User {
            identifier: identifier.to_owned(),
            bb_username: username.map(str::to_owned),
            attributes: attributes.iter().map(|(kind, value)| ((*kind).to_owned(), (*value).to_owned())).collect(),
            ..User::default()
        })
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let fine = [("git", "Joe, \"the\" <joe@x.org>"), ("email", "joe@x.org"), ("irc", "joe|away")];
        assert_eq!(complaints("joe", Some("joe"), &fine), [""; 0]);
        let long = "x".repeat(User::LONGEST + 1);
        let wrong = complaints(
            " ",
            Some("a:b"),
            &[
                ("email", "joe@x.org\r\nBcc: all@x.org"),
                ("E mail", "x"),
                ("bb_password", "x"),
                ("git", ""),
                ("svn", &long),
            ],
        );
        assert_eq!(wrong.len(), 7, "{wrong:?}");
        let address = complaints("joe", None, &[("email", "Joe <joe@x.org>")]);
        assert_eq!(address, ["email: \"Joe <joe@x.org>\" is no bare mail address, such as joe@example.org"]);
        let many: Vec<(String, String)> = (0..=MOST_ATTRIBUTES).map(|n| (format!("a{n}"), "x".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(kind, value)| (&**kind, &**value)).collect();
        assert_eq!(complaints("joe", None, &many), ["there are more than 50 attributes"]);
    }
}
