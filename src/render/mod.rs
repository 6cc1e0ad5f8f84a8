//! The sentences, times, colours and templates people read.
//!
//! Views (serde structs) go in, HTML comes out. Everything that came from outside is escaped here, by the template
//! engine or by [`html`]; only what this room wrote itself goes into a page as it is.
//!
//! Not here: what is shown (the views, `status/web/pages`), 0.8's JSON objects ([`asdict`] has those).

pub mod asdict;
pub mod counted;
mod error_lines;
pub mod html;
pub mod links;
pub mod log_find;
mod log_style;
pub mod log_text;
pub mod people;
mod templates;
pub mod times;
pub mod words;

pub use templates::{RenderError, Templates};
