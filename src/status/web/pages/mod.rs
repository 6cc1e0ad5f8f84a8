//! The pages, one file each: load the facts, make the view, fill in the template of the same name.

pub mod about;
pub mod build;
pub mod builder;
pub mod builders;
pub mod change;
pub mod changes;
pub mod deliveries;
pub mod files;
pub mod hooks;
pub mod log;
pub mod login;
pub mod recent;
pub mod root;
pub mod step;
pub mod supervision;
pub mod user;
pub mod users;
pub mod waterfall;
pub mod waterfall_help;
pub mod worker;
pub mod workers;

mod bar;
mod build_line;
mod change_view;
mod force_form;
mod log_end;
mod progress;
mod tab;

use super::fault::Fault;

/// A build number from an address.
fn build_number(builder: &str, text: &str) -> Result<i64, Fault> {
    use crate::render::asdict::quote;
    text.parse().map_err(|_| Fault::NotFound {
        what: format!("\"{}\" is no build number", super::fault::short(text)),
        parent: format!("builders/{}", quote(builder)),
    })
}

/// `branch=trunk` also means the branch without a name.
fn branches(names: &[String]) -> Vec<Option<String>> {
    let trunk = names.iter().any(|name| name == "trunk");
    names.iter().cloned().map(Some).chain(trunk.then_some(None)).collect()
}
