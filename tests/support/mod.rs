//! The whole server on port 0 with its own folder, and the real far ends it talks to.

pub mod browser;
pub mod database;
pub mod delivery;
pub mod ear;
pub mod facts;
pub mod gallery;
pub mod mail_server;
pub mod master;
pub mod mercurial;
pub mod noise;
pub mod openssl;
pub mod poller;
pub mod post;
pub mod postfix;
pub mod probe;
pub mod relay;
pub mod repository;
pub mod rogue_relay;
pub mod server;
pub mod site;
pub mod subversion;
pub mod wait;
pub mod yard;
