//! What is stored, how it is read again, and what happens when the database cannot do its part.

mod filling;
mod inbox;
mod lately;
mod log_text;
mod model;
mod opening;
mod outbox;
mod retention;
mod schema;
mod trouble;
mod users;
mod writing;
