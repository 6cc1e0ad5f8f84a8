//! What forms do: ask for the permit, send the order, lead back with what came of it.

pub mod builder;
pub mod cancel;
pub mod delivery;
pub mod force;
pub mod hook;
pub mod shutdown;
pub mod stop;
pub mod worker;

use super::fault::Fault;
use super::viewer::Viewer;
use crate::model::{Build, Builder};

/// The longest comment taken into a reason.
const LONGEST_COMMENT: usize = 2_000;

/// What someone typed as their reason.
fn comments(viewer: &Viewer) -> String {
    let typed = viewer.fields().get("comments").map(str::trim).filter(|typed| !typed.is_empty());
    typed.unwrap_or("<no reason specified>").chars().take(LONGEST_COMMENT).collect()
}

async fn builder_named(viewer: &Viewer, name: String) -> Result<Builder, Fault> {
    viewer.read(move |reader| reader.builder(&name)).await
}

async fn build_named(viewer: &Viewer, builder: String, number: &str) -> Result<Build, Fault> {
    use crate::render::asdict::quote;
    let number: i64 = number.parse().map_err(|_| Fault::NotFound {
        what: format!("\"{}\" is no build number", super::fault::short(number)),
        parent: format!("builders/{}", quote(&builder)),
    })?;
    viewer.read(move |reader| reader.build(&builder, number)).await
}

/// Several problems as one message.
fn told(problems: &[String]) -> Option<String> {
    (!problems.is_empty()).then(|| problems.join("; "))
}
