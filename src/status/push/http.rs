//! HttpStatusPush: every event as a packet, in POSTs to a server.
//!
//! ```python
//! c['status'].append(status.HttpStatusPush(serverUrl="http://example.com/submit"))
//! ```
//!
//! Not here yet: the sending. The target is accepted and checked.

use crate::config::{Kind, Problems, Section};
use std::time::Duration;

/// For the configuration's catalog.
pub const KIND: Kind = Kind { name: "status.HttpStatusPush", positional: &["serverUrl"], check };

/// The options (`reference/push.md` §2).
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server_url: url::Url,
    /// Indented JSON with sorted keys.
    pub debug: bool,
    /// Events a request carries at most.
    pub chunk_size: u32,
    /// Bytes of form data a request must stay below; `None` is no limit.
    pub max_request_size: Option<u64>,
    /// Form fields sent along.
    pub extra_post_params: Vec<(String, String)>,
    /// Leave out what is empty in the objects of a payload.
    pub filter: bool,
    pub buffer_delay: Duration,
    pub retry_delay: Duration,
    /// Events that make no packet.
    pub black_list: Vec<String>,
}

fn check(section: &Section, problems: &mut Problems) {
    Config::read(section, problems);
}

impl Config {
    /// Reads the options; `None` where there is no server to push to.
    pub fn read(section: &Section, problems: &mut Problems) -> Option<Config> {
        let mut options = section.read(problems);
        let server_url = super::address(&mut options, "serverUrl", true);
        let size = match options.given("maxHttpRequestSize") {
            true => options.integer_in("maxHttpRequestSize", 0, i64::MAX).and_then(|size| u64::try_from(size).ok()),
            false => Some(1 << 20),
        };
        options.without_effect("maxMemoryItems", "what waits is kept in the database");
        options.without_effect("maxDiskItems", "what waits is kept in the database");
        let chunk_size = options.integer_in("chunkSize", 1, 1_000_000).and_then(|size| u32::try_from(size).ok());
        let debug = options.flag("debug", false);
        let extra_post_params = options.text_dict("extra_post_params").unwrap_or_default();
        let filter = options.flag("filter", true);
        let buffer_delay = options.seconds("bufferDelay").unwrap_or(Duration::from_secs(1));
        let retry_delay = options.seconds("retryDelay").unwrap_or(Duration::from_secs(5));
        let black_list = options.texts("blackList").unwrap_or_default();
        options.finish();
        Some(Config {
            server_url: server_url?,
            debug,
            chunk_size: chunk_size.unwrap_or(200),
            max_request_size: size.filter(|size| *size > 0),
            extra_post_params,
            filter,
            buffer_delay,
            retry_delay,
            black_list,
        })
    }
}
