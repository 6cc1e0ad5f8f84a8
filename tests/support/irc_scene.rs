//! A master in this process with an IRC bot in haste, a real server, and people who talk to the bot.

use super::irc_client::IrcClient;
use super::master::{self, configuration};
use super::ngircd::Ngircd;
use super::relay::Relay;
use super::wait::eventually;
use regex::Regex;
use serde_json::{Value, json};
use signalbox::clock::Clock;
use signalbox::config::{Config as MasterConfig, Problems, Section};
use signalbox::model::*;
use signalbox::status::Setup;
use signalbox::status::irc::connection::settings::{Limits, Settings};
use signalbox::status::irc::{self, Running};
use signalbox::supervise::Strategy;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Two lines of one person in this time are listened to, however many there are.
const PACE: Duration = Duration::from_millis(1200);

pub struct Scene {
    pub master: master::Server,
    pub irc: Ngircd,
    /// The bot's way to it.
    pub way: Relay,
    pub setup: Setup,
    bot: Option<Running>,
    in_force: watch::Sender<Arc<MasterConfig>>,
}

impl Scene {
    /// With this master.cfg, in which `{folder}` is the master's, and a bot `bb` in `#widget` with these options.
    pub async fn start(config: &str, options: Value) -> Scene {
        let irc = Ngircd::start().await;
        let way = Relay::to(&format!("127.0.0.1:{}", irc.port)).await;
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let text = config.replace("{folder}", folder.path().to_str().unwrap());
        let master = master::Server::start_in(Arc::clone(&folder), &text).await;
        let in_force = watch::Sender::new(Arc::new(configuration(folder.path(), &text)));
        let setup = Setup {
            db: master.db.clone(),
            hub: master.hub.clone(),
            clock: Clock::system(),
            group: master.tree.group("status", Strategy::OneForOne),
            tree: master.tree.clone(),
            basedir: folder.path().to_owned(),
            config: in_force.subscribe(),
            sources: watch::Sender::new(Vec::new()).subscribe(),
            rates: signalbox::status::mail::Rates::default(),
            master: master.master.clone(),
        };
        let mut scene = Scene { master, irc, way, setup, bot: None, in_force };
        scene.enter(options);
        scene
    }

    /// Starts the bot.
    pub fn enter(&mut self, options: Value) {
        let config = self.options(options);
        let settings = config.settings(&self.setup.basedir);
        let soon = Duration::from_millis(100);
        let limits = Limits {
            burst: 1000,
            per_line: Duration::from_millis(1),
            rejoin: soon,
            refused: soon,
            ..Limits::default()
        };
        self.bot = Some(irc::launch(&self.setup, config, Settings { limits, ..settings }));
    }

    fn options(&self, options: Value) -> irc::Config {
        let mut all = json!({
            "host": "127.0.0.1", "nick": "bb", "channels": ["#widget"], "port": self.way.port(),
            "lostDelay": 0.1, "failedDelay": 0.1,
        });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let section = Section::new("status.IRC", "master.cfg:1", all);
        let mut problems = Problems::default();
        let config = irc::Config::read(&section, &mut problems);
        config.unwrap_or_else(|| panic!("{problems}"))
    }

    /// Ends the bot in order.
    pub async fn leave(&mut self) {
        self.bot.take().unwrap().stop(Duration::from_secs(10)).await;
    }

    pub async fn stop(mut self) {
        self.leave().await;
        drop(self.in_force);
        self.master.stop().await;
    }

    /// The bot loses its connection, and finds no other until it comes back.
    pub async fn cut_off(&self) {
        let before = self.way.turned_away();
        self.way.cut();
        eventually(|| self.way.turned_away() > before).await;
    }

    /// It finds one again.
    pub fn let_back(&self) {
        self.way.lead_to(&format!("127.0.0.1:{}", self.irc.port));
    }

    /// Somebody in `#widget`, once the bot is there too.
    pub async fn person(&self, nick: &str) -> IrcClient {
        let mut person = self.irc.client(nick).await;
        person.join("#widget").await;
        meet(&mut person).await;
        person
    }

    /// What the bot answers to each of these people, who ask it in private, all at once; who said what.
    pub async fn conversations(&self, people: &[&[&str]]) -> String {
        let mut carol = self.person("carol").await;
        let asked = people.iter().zip(1..).map(|(questions, number)| async move {
            let mut person = self.irc.client(&format!("carol{number}")).await;
            let mut written = String::new();
            let mut pace = tokio::time::interval(PACE);
            for question in *questions {
                pace.tick().await;
                written.push_str(&format!("> {question}\n"));
                for answer in ask(&mut person, question).await {
                    written.push_str(&format!("< {answer}\n"));
                }
            }
            person.send("QUIT");
            written
        });
        let written = futures::future::join_all(asked).await.concat();
        carol.send("QUIT");
        carol.ended().await;
        written
    }

    /// Tells everybody what happened to a build.
    pub async fn happens(&self, event: Event) {
        self.setup.hub.record(event).await.unwrap();
    }
}

/// What the bot answers to this in private. A second thing is asked whose answer is known, so that no answer at all is
/// seen, too.
pub async fn ask(person: &mut IrcClient, question: &str) -> Vec<String> {
    person.say("bb", question);
    person.say("bb", "hello");
    let mut said = Vec::new();
    loop {
        match person.expect_from("bb").await {
            line if line == "yes?" => return said,
            line => said.push(line),
        }
    }
}

/// Waits until the bot is where this one is: it may come later.
pub async fn meet(person: &mut IrcClient) {
    loop {
        person.send("NAMES #widget");
        let names = person.expect(" 353 ").await;
        let names = names.rsplit(':').next().unwrap_or_default();
        if names.split(' ').any(|name| name.trim_start_matches(['@', '+', '~', '&', '%']) == "bb") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Compares with a file, durations apart and control codes made visible; `UPDATE=1` writes it.
pub fn check(written: &str, name: &str) {
    let durations = Regex::new(r"\b(\d+ seconds|(\d+h)?\d+m\d\ds)").unwrap();
    let written = durations.replace_all(written, "N seconds");
    let written = written.replace('\u{3}', "^C").replace('\u{f}', "^O").replace('\u{1}', "^A");
    let file = Path::new("tests/data/irc").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &*written).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, expected, "{}; UPDATE=1 rewrites it", file.display());
}
