//! The keys of `c` itself (`reference/manual/cfg-global.rst`), and what holds between its parts.

use super::check::Names;
use super::*;
use section::plain_dict;
use serde_json::Value;
use std::path::Path;

/// Reads the whole of `c`. What cannot be read is a problem and left out.
pub(super) fn read(root: &Section, basedir: &Path, problems: &mut Problems) -> Config {
    let mut options = root.read(problems);
    let mut config = Config::default();
    site(&mut options, &mut config);
    database(&mut options, &mut config);
    lifetime(&mut options, &mut config);
    config.validation = validation(&mut options);
    config.properties = options.properties("properties", "global");
    config.merge_requests = options.flag_or_function("mergeRequests").map(MergeRequests::from).unwrap_or_default();
    config.prioritize_builders = options.function("prioritizeBuilders");
    config.codebase_generator = options.function("codebaseGenerator");
    config.revlink = options.function("revlink");
    protocols(&mut options, &mut config);
    without_effect(&mut options);
    for call in calls(&mut options, "secretsProviders", "secrets.SecretInAFile(…)").found {
        if call.kind == "secrets.SecretInAFile" {
            config.secrets.read(&call, options.problems());
        } else {
            options.problem("secretsProviders", format!("{} gives no secrets", call.kind));
        }
    }
    config.secrets = std::mem::take(&mut config.secrets).below(basedir);
    for call in calls(&mut options, "user_managers", "util.CommandlineUserManager(…)").found {
        if call.kind == "util.CommandlineUserManager" {
            config.user_managers.push(Arc::new(call));
        } else {
            options.problem("user_managers", format!("{} manages no users", call.kind));
        }
    }
    let (mut workers, mut builders, mut schedulers) = (Names::default(), Names::default(), Names::default());
    for name in ["workers", "slaves"] {
        let calls = calls(&mut options, name, "worker.Worker(…) or worker.LocalWorker(…)");
        workers.unread.extend(calls.unread);
        for call in calls.found {
            if !call.kind.starts_with("worker.") {
                options.problem_in_it(name, format!("{} at {} is not a worker", call.kind, call.place));
            } else if let Some(worker) = WorkerConfig::read(&call, options.problems()) {
                config.workers.push(Arc::new(worker));
            } else {
                workers.unread.push(call.options.clone());
            }
        }
    }
    let calls_of_builders = calls(&mut options, "builders", "util.BuilderConfig(…)");
    builders.unread.extend(calls_of_builders.unread);
    for call in calls_of_builders.found {
        if call.kind != "util.BuilderConfig" {
            options.problem_in_it("builders", format!("{} at {} is not a builder", call.kind, call.place));
        } else if let Some(builder) = BuilderConfig::read(&call, options.problems()) {
            config.builders.push(Arc::new(builder));
        } else {
            builders.unread.push(call.options);
        }
    }
    let calls_of_schedulers = calls(&mut options, "schedulers", "schedulers.SingleBranchScheduler(…) and its like");
    schedulers.unread.extend(calls_of_schedulers.unread);
    for call in calls_of_schedulers.found {
        if !call.kind.starts_with("schedulers.") {
            options.problem_in_it("schedulers", format!("{} at {} is not a scheduler", call.kind, call.place));
        } else if let Some(scheduler) = SchedulerConfig::read(&call, options.problems()) {
            config.schedulers.push(Arc::new(scheduler));
        } else {
            schedulers.unread.push(call.options);
        }
    }
    for call in calls(&mut options, "change_source", "changes.GitPoller(…) and its like").found {
        if call.kind.starts_with("changes.") {
            config.change_sources.push(Arc::new(call));
        } else {
            options.problem_in_it("change_source", format!("{} at {} is not a change source", call.kind, call.place));
        }
    }
    for call in calls(&mut options, "status", "status.WebStatus(…) and its like").found {
        if call.kind.starts_with("status.") {
            config.status.push(Arc::new(call));
        } else {
            options.problem_in_it("status", format!("{} at {} is not a status target", call.kind, call.place));
        }
    }
    options.finish();
    if config.buildbot_url.is_empty() {
        config.buildbot_url = default_url(&config);
    }
    if config.title_url.is_empty() {
        config.title_url = config.buildbot_url.clone();
    }
    check::check(&config, &check::Unread { workers, builders, schedulers }, problems);
    config
}

/// The calls in a list option.
struct Calls {
    found: Vec<Section>,
    /// The options of what is something else, as far as it has any.
    unread: Vec<Value>,
}

/// The calls in a list option; a single call stands for a list of one.
fn calls(options: &mut Options<'_, '_>, name: &'static str, expected: &str) -> Calls {
    let section = options.section();
    let mut calls = Calls { found: Vec::new(), unread: Vec::new() };
    let Some(value) = options.value(name) else { return calls };
    if let Some(call) = section.nested(value) {
        calls.found.push(call);
        return calls;
    }
    let Some(items) = options.list(name) else {
        calls.unread.push(value["$options"].clone());
        return calls;
    };
    for item in items {
        match section.nested(item) {
            Some(call) => calls.found.push(call),
            None => {
                calls.unread.push(item["$options"].clone());
                if !section::holds_unknown(item) {
                    let shown = shown(item);
                    options.problem_in_it(name, format!("expected {expected}, not {shown}"));
                }
            }
        }
    }
    calls
}

fn site(options: &mut Options<'_, '_>, config: &mut Config) {
    let old_title = options.text("projectName");
    if let Some(title) = options.text("title").or(old_title) {
        config.title = title;
    }
    let old_url = options.text("projectURL");
    if let Some(url) = options.text("titleURL").or(old_url) {
        config.title_url = url;
    }
    if let Some(url) = options.text("buildbotURL") {
        let good = url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !good {
            options.problem("buildbotURL", format!("\"{url}\" is not an http:// or https:// address"));
        } else if !url.ends_with('/') {
            options.problem("buildbotURL", format!("\"{url}\" must end with \"/\""));
        }
        config.buildbot_url = url;
    }
}

/// The first web server's own address, as seen from this machine.
fn default_url(config: &Config) -> String {
    let web = config.status.iter().find(|target| target.kind == "status.WebStatus");
    let port = web.and_then(|web| read_port(web.options.get("http_port")?));
    let port = port.and_then(|port| port.split(':').nth(1).and_then(|port| port.parse::<u16>().ok())).unwrap_or(8010);
    format!("http://localhost:{port}/")
}

fn database(options: &mut Options<'_, '_>, config: &mut Config) {
    let mut url = options.text("db_url").map(|url| ("db_url", url));
    options.without_effect("db_poll_interval", "one master owns its database here and does not poll it");
    if let Some(db) = options.dict("db") {
        unknown_keys(options, "db", db, &["db_url", "db_poll_interval"]);
        match db.get("db_url") {
            Some(Value::String(text)) => url = Some(("db", text.clone())),
            Some(_) => options.problem("db", "db_url: expected text"),
            None => {}
        }
    }
    let Some((option, url)) = url else { return };
    let scheme = url.split("://").next().unwrap_or("");
    match scheme {
        "sqlite" | "postgresql" | "postgres" => config.db_url = url,
        _ => options.problem(option, format!("databases are sqlite:///file or postgresql://…, not \"{scheme}\"")),
    }
}

fn lifetime(options: &mut Options<'_, '_>, config: &mut Config) {
    let mut horizon = |name| options.integer_in(name, 0, i64::MAX);
    // 0.8's 0 keeps all changes.
    config.horizons.changes = horizon("changeHorizon").filter(|changes| *changes > 0);
    config.horizons.builds = horizon("buildHorizon");
    config.horizons.logs = horizon("logHorizon");
    if let Some(events) = horizon("eventHorizon") {
        config.horizons.events = Some(events);
    }
    if let (Some(logs), Some(builds)) = (config.horizons.logs, config.horizons.builds)
        && logs > builds
    {
        options.problem("logHorizon", format!("{logs} must not be more than buildHorizon, {builds}"));
    }
    let bytes = |number: i64| u64::try_from(number).ok();
    config.logs.max_size = options.integer_in("logMaxSize", 1, i64::MAX).and_then(bytes);
    config.logs.max_tail_size = options.integer_in("logMaxTailSize", 1, i64::MAX).and_then(bytes);
    if config.logs.max_tail_size.is_some() && config.logs.max_size.is_none() {
        options.without_effect("logMaxTailSize", "only matters with logMaxSize");
    }
    options.word("logCompressionMethod", &["bz2", "gz"]);
    options.ignored("logCompressionLimit");
    options.without_effect("logCompressionMethod", "logs are always kept compressed, by zstd");
}

fn validation(options: &mut Options<'_, '_>) -> Validation {
    let mut validation = Validation::default();
    for (name, value) in options.dict("validation").into_iter().flatten() {
        let field = match name.as_str() {
            "branch" => &mut validation.branch,
            "revision" => &mut validation.revision,
            "property_name" => &mut validation.property_name,
            "property_value" => &mut validation.property_value,
            _ => {
                let known = ["branch", "revision", "property_name", "property_value"];
                options.problem_in_it("validation", format!("unknown key \"{name}\""));
                options.problems().suggest(did_you_mean(name, known));
                continue;
            }
        };
        match section::read_regex(value) {
            Some(Ok(regex)) => *field = regex,
            Some(Err(message)) => options.problem("validation", format!("{name}: {message}")),
            None => options.problem("validation", format!("{name}: expected a regular expression")),
        }
    }
    validation
}

fn protocols(options: &mut Options<'_, '_>, config: &mut Config) {
    config.pb_port = options.port("slavePortnum");
    let Some(protocols) = options.dict("protocols") else { return };
    unknown_keys(options, "protocols", protocols, &["pb"]);
    let pb = protocols.get("pb").and_then(plain_dict);
    if let Some(pb) = pb {
        unknown_keys(options, "protocols", pb, &["port"]);
    }
    match pb.and_then(|pb| pb.get("port")).map(read_port) {
        Some(Some(port)) => config.pb_port = Some(port),
        _ => options.problem("protocols", "expected {\"pb\": {\"port\": …}} with a port number or a description"),
    }
}

/// Keys of 0.8 that are fine to have and do nothing here.
fn without_effect(options: &mut Options<'_, '_>) {
    options.flag("multiMaster", false);
    options.without_effect("multiMaster", "there is one master for one database here");
    options.without_effect("debugPassword", "there is no debug client here");
    options.without_effect("manhole", "there is no manhole here; see the supervision page instead");
    options.without_effect("metrics", "metrics are always on and are on a page of their own");
    options.without_effect("caches", "the database does its own caching");
    options.without_effect("buildCacheSize", "the database does its own caching");
    options.without_effect("changeCacheSize", "the database does its own caching");
}
