//! Letters get away: over TLS and with a login, past relays that misbehave, through outages and kills.

use crate::support::database::Place;
use crate::support::facts::*;
use crate::support::mail_server::{self, MailServer, Ways, header};
use crate::support::openssl::Authority;
use crate::support::post::*;
use crate::support::postfix::Postfix;
use crate::support::probe::{House, place};
use crate::support::rogue_relay::{Manner, RogueRelay};
use crate::support::server::Server;
use crate::support::wait::{eventually, until};
use signalbox::clock::Clock;
use signalbox::db::builds::{self, Selection};
use signalbox::db::outbox::{Delivery, State};
use signalbox::db::{Db, Location};
use signalbox::model::*;
use signalbox::status::outbox::Running;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
const TO_LIST: &str = "sendToInterestedUsers=False, extraRecipients=['builds@example.org']";

/// A notifier at work in a house where it is what time a test says.
struct Post {
    house: House,
    clock: Clock,
    running: Running,
    /// When a moment later is, for [`Post::later`].
    now: i64,
    _place: Place,
    folder: tempfile::TempDir,
}

impl Post {
    async fn start(port: u16, options: &str) -> Post {
        let (place, folder, clock) = (place(), tempfile::tempdir().unwrap(), Clock::fixed(at(7200)));
        let house = House::with_clock(&place, clock.clone());
        let running = start(&house, notifier(&house, folder.path(), port, "", options)).await;
        Post { house, clock, running, now: 7200, _place: place, folder }
    }

    async fn fails(&self, builder: &str, number: i64) {
        build_ends(&self.house, builder, number, Results::Failure).await;
    }

    /// So many seconds pass. Whoever sleeps meanwhile finds out when a build ends.
    fn later(&mut self, seconds: i64) {
        self.now += seconds;
        self.clock.set(at(self.now));
    }

    fn ledger(&self) -> Vec<Delivery> {
        let name = self.running.name().to_owned();
        let ledger = self.house.db.read_blocking(|conn| signalbox::db::outbox::ledger(conn, Some(&name), None, 1000));
        ledger.unwrap().into_iter().rev().collect()
    }

    fn states(&self) -> Vec<State> {
        self.ledger().into_iter().map(|delivery| delivery.state).collect()
    }

    /// Why the newest attempt failed.
    fn why(&self) -> String {
        self.ledger().into_iter().filter_map(|delivery| delivery.detail).next_back().unwrap_or_default()
    }

    async fn stop(self) -> tempfile::TempDir {
        self.running.stop(SOON).await;
        self.folder
    }
}

fn login(authority: &Authority) -> Ways {
    Ways { starttls: Some(authority.issue("localhost")), login: Some(("bot", "pass")), ..Ways::default() }
}

#[actix::test]
async fn letters_go_over_tls_with_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let ca = authority.certificate();
    let smtps = Ways { smtps: Some(authority.issue("localhost")), starttls: None, ..login(&authority) };
    for (ways, how) in [(login(&authority), "useTls=True"), (smtps, "useSmtps=True")] {
        let server = MailServer::with(&ways);
        let options = format!(
            "{TO_LIST}, relayhost='localhost', {how}, caFile='{}', smtpUser='bot', smtpPassword='pass'",
            ca.display()
        );
        let post = Post::start(server.port, &options).await;
        post.fails("linux", 1).await;
        post.fails("linux", 2).await;
        eventually(|| server.letters().len() == 2).await;
        post.stop().await;
        for letter in server.letters() {
            assert_eq!((&letter["tls"], &letter["login"]), (&true.into(), &"bot".into()), "{how}");
        }
    }
}

#[actix::test]
async fn a_relay_that_is_not_who_it_should_be_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, clear) = (Authority::new(folder.path()), MailServer::start());
    let secure = MailServer::with(&login(&authority));
    let misnamed = authority.issue("elsewhere.test");
    let misnamed = MailServer::with(&Ways { starttls: Some(misnamed), ..login(&authority) });
    let ca = format!("caFile='{}'", authority.certificate().display());
    let account = "smtpUser='bot', smtpPassword='wrong'";
    let other = tempfile::tempdir().unwrap();
    let stranger = format!("caFile='{}'", Authority::new(other.path()).certificate().display());
    let lying = RogueRelay::start(Manner::LiesAboutTls).await;
    let cases = [
        (secure.port, format!("useTls=True, {account}"), "certificate"),
        (secure.port, format!("useTls=True, {stranger}, {account}"), "certificate"),
        (misnamed.port, format!("useTls=True, {ca}, {account}"), "certificate"),
        (secure.port, format!("useTls=True, {ca}, {account}"), "535"),
        (secure.port, ca.clone(), "530"),
        (secure.port, "useTls=True, caFile='missing.pem'".to_owned(), "cannot read caFile"),
        (clear.port, "useTls=True".to_owned(), "it offers no TLS, which useTls demands"),
        // By this name it is as good as far away.
        (clear.port, format!("relayhost='127.1', {account}"), "a password is never sent in clear"),
        (lying.port, "useTls=True".to_owned(), "TLS"),
    ];
    for (port, options, why) in cases {
        let host = if options.contains("relayhost") { "" } else { "relayhost='localhost', " };
        let options = format!("{TO_LIST}, {host}{options}");
        let post = Post::start(port, &options).await;
        post.fails("linux", 1).await;
        eventually(|| post.states() == [State::Retrying]).await;
        assert!(post.why().contains(why), "{options}: {}", post.why());
        post.stop().await;
    }
    assert!(clear.letters().is_empty() && secure.letters().is_empty() && lying.taken().is_empty());
    assert!(misnamed.letters().is_empty());
    assert!(!lying.heard().iter().any(|line| line.starts_with("MAIL")));
}

#[actix::test]
async fn tls_that_nobody_demanded_and_does_not_work_is_done_without() {
    let lying = RogueRelay::start(Manner::LiesAboutTls).await;
    let post = Post::start(lying.port, TO_LIST).await;
    post.fails("linux", 1).await;
    eventually(|| lying.taken().len() == 1).await;
    post.stop().await;
}

#[actix::test]
async fn one_recipient_who_is_refused_keeps_it_from_nobody_else() {
    let relay = RogueRelay::start(Manner::Answers(vec![
        ("RCPT TO:<gone@", "550 5.1.1 no such user"),
        ("RCPT TO:<grey@", "451 4.7.1 come back later"),
    ]))
    .await;
    let options = "sendToInterestedUsers=False, extraRecipients=['ann@example.org', 'gone@example.org', \
                   'grey@example.org', 'bob@example.org']";
    let mut post = Post::start(relay.port, options).await;
    post.fails("linux", 1).await;
    eventually(|| relay.taken().len() == 1).await;
    assert_eq!(relay.taken()[0].to, ["ann@example.org", "bob@example.org"]);
    let by_recipient = || -> BTreeMap<String, (State, String)> {
        let row = |delivery: Delivery| {
            let to = delivery.payload["recipient"].as_str().unwrap().to_owned();
            (to, (delivery.state, delivery.detail.unwrap_or_default()))
        };
        post.ledger().into_iter().map(row).collect()
    };
    eventually(|| by_recipient()["ann@example.org"].0 == State::Delivered).await;
    let rows = by_recipient();
    assert_eq!(rows["gone@example.org"], (State::Dead, "550 5.1.1 no such user".to_owned()));
    assert_eq!(rows["grey@example.org"], (State::Retrying, "451 4.7.1 come back later".to_owned()));
    assert_eq!(rows["ann@example.org"].1, "250 2.0.0 kept");

    // Later the grey one is let in, and gets what it had missed first.
    relay.behave(Manner::Good);
    post.later(60);
    post.fails("linux", 2).await;
    let of_grey =
        || relay.taken().into_iter().filter(|taken| taken.to.contains(&"grey@example.org".to_owned())).count();
    eventually(|| of_grey() == 2).await;
    post.stop().await;
    let numbers: Vec<String> = relay
        .taken()
        .iter()
        .filter(|taken| taken.to.contains(&"grey@example.org".to_owned()))
        .map(|taken| taken.header("Message-ID").split('.').nth(2).unwrap().split('@').next().unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["1", "2"]);
}

#[actix::test]
async fn a_relay_that_takes_few_recipients_at_once_gets_the_others_next() {
    let relay = RogueRelay::start(Manner::Answers(vec![("RCPT TO:<c", "452 4.5.3 too many recipients")])).await;
    let options = "sendToInterestedUsers=False, extraRecipients=['a@example.org', 'b@example.org', 'c@example.org']";
    let post = Post::start(relay.port, options).await;
    post.fails("linux", 1).await;
    eventually(|| relay.taken().len() == 1).await;
    relay.behave(Manner::Good);
    eventually(|| relay.taken().len() == 2).await;
    post.stop().await;
    assert_eq!(relay.taken()[1].to, ["c@example.org"]);
    assert_eq!(relay.taken()[0].header("Message-ID"), relay.taken()[1].header("Message-ID"));
}

#[actix::test]
async fn a_relay_that_takes_one_letter_over_a_connection_is_not_left_alone_for_that() {
    let relay = RogueRelay::start(Manner::OneEach).await;
    let post = Post::start(relay.port, TO_LIST).await;
    for number in 1..=5 {
        post.fails("linux", number).await;
    }
    eventually(|| relay.taken().len() == 5).await;
    eventually(|| post.states() == [State::Delivered; 5]).await;
    assert!(post.ledger().iter().all(|delivery| delivery.attempts == 1));
    post.stop().await;
}

#[actix::test]
async fn addresses_with_other_letters_need_a_relay_that_takes_them() {
    let relay = RogueRelay::start(Manner::Good).await;
    let options = "sendToInterestedUsers=False, extraRecipients=['jörg@bücher.example', 'ann@bücher.example']";
    let post = Post::start(relay.port, options).await;
    post.fails("linux", 1).await;
    eventually(|| post.states().contains(&State::Delivered) && post.states().contains(&State::Dead)).await;
    assert_eq!(relay.taken()[0].to, ["ann@xn--bcher-kva.example"]);
    assert!(post.ledger().iter().any(|row| row.detail.as_deref().unwrap_or_default().contains("SMTPUTF8")));
    relay.behave(Manner::Answers(vec![("EHLO", "250-rogue.test\r\n250 SMTPUTF8")]));
    // The connection that stands was made without it.
    let fresh = Post::start(relay.port, options).await;
    fresh.fails("linux", 1).await;
    eventually(|| relay.taken().len() == 2).await;
    assert_eq!(relay.taken()[1].to, ["ann@xn--bcher-kva.example", "jörg@xn--bcher-kva.example"]);
    assert!(relay.heard().iter().any(|line| line.starts_with("MAIL") && line.ends_with("SMTPUTF8")));
    fresh.stop().await;
    post.stop().await;
}

#[actix::test]
async fn a_relay_may_hang_anywhere() {
    for stage in ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "LETTER"] {
        let relay = RogueRelay::start(Manner::HangsAt(stage)).await;
        let mut post = Post::start(relay.port, &format!("{TO_LIST}, smtpTimeout=0.2")).await;
        post.fails("linux", 1).await;
        eventually(|| post.states() == [State::Retrying]).await;
        assert!(post.why().contains("no answer within") || post.why().contains("timed out"), "{stage}: {}", post.why());
        relay.behave(Manner::Good);
        post.later(60);
        post.fails("linux", 2).await;
        eventually(|| relay.taken().len() == 2).await;
        post.stop().await;
    }
}

#[actix::test]
async fn a_line_cut_after_the_letter_makes_a_second_one_of_the_same_name() {
    let relay = RogueRelay::start(Manner::CutsAfterData).await;
    let mut post = Post::start(relay.port, TO_LIST).await;
    post.fails("linux", 1).await;
    eventually(|| post.states() == [State::Retrying]).await;
    assert!(post.why().contains("after the letter was sent"), "{}", post.why());
    // It is this letter's trouble, and no other's.
    post.fails("docs", 1).await;
    relay.behave(Manner::Good);
    eventually(|| relay.heard().iter().filter(|line| *line == "LETTER").count() >= 2).await;
    post.later(60);
    post.fails("docs", 2).await;
    eventually(|| post.states().iter().all(|state| *state == State::Delivered)).await;
    post.stop().await;
    let ids: Vec<String> = relay.taken().iter().map(|taken| taken.header("Message-ID").to_owned()).collect();
    let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (3, 3));
}

#[actix::test]
async fn what_is_too_large_goes_without_its_attachments() {
    let server = MailServer::with(&Ways { size: Some(60_000), ..Ways::default() });
    let post = Post::start(server.port, &format!("{TO_LIST}, addLogs=True")).await;
    let printed = "0123456789abcdef\n".repeat(8000);
    build_ends_with(&post.house, build("linux", 1), Results::Failure, printed).await;
    eventually(|| server.letters().len() == 1).await;
    post.stop().await;
    let letter = &server.letters()[0];
    assert!(mail_server::attachments(letter).is_empty());
    let note = "The attachments were more than the mail relay takes; they are at http://builds.example.org/builders/linux/builds/1.";
    assert!(mail_server::part(letter, "text/plain").contains(note));
    assert!(mail_server::part(letter, "text/html").contains(note));
}

#[actix::test]
async fn a_relay_away_for_an_hour_gets_everything_in_order() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut post = Post::start(port, TO_LIST).await;
    let mut sent = 0;
    for minute in 0..60 {
        post.fails(["linux", "docs", "mac"][minute % 3], minute as i64 / 3 + 1).await;
        sent += 1;
        post.later(60);
    }
    eventually(|| post.ledger().len() == sent && post.why().contains("refused")).await;
    let tries: i32 = post.ledger().iter().map(|delivery| delivery.attempts).max().unwrap();
    assert!((3..=16).contains(&tries), "{tries} tries in an hour");
    assert!(post.states().iter().all(|state| matches!(state, State::Waiting | State::Retrying)));

    let relay = RogueRelay::at(port, Manner::Good).await;
    post.later(4000);
    post.fails("linux", 99).await;
    eventually(|| relay.taken().len() == sent + 1).await;
    let connections = relay.heard().iter().filter(|line| *line == "CONNECT").count();
    assert_eq!(connections, 1, "one connection is enough");
    let mut by_builder: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for taken in relay.taken() {
        let builder = taken.header("Subject").rsplit(' ').next().unwrap().to_owned();
        let number = taken.header("Message-ID").split(['.', '@']).nth(2).unwrap().parse().unwrap();
        by_builder.entry(builder).or_default().push(number);
    }
    for (builder, numbers) in by_builder {
        assert!(numbers.is_sorted(), "{builder}: {numbers:?}");
    }
    eventually(|| post.states().iter().all(|state| *state == State::Delivered)).await;
    post.stop().await;
}

#[actix::test]
async fn what_could_not_be_delivered_for_five_days_is_given_up_and_can_be_sent_again() {
    let relay = RogueRelay::start(Manner::Answers(vec![("MAIL", "451 4.3.0 out of order")])).await;
    let mut post = Post::start(relay.port, TO_LIST).await;
    post.fails("linux", 1).await;
    eventually(|| post.states() == [State::Retrying]).await;
    post.later(5 * 24 * 3600 + 1);
    relay.behave(Manner::Answers(vec![("MAIL", "421 4.3.2 shutting down")]));
    post.fails("docs", 1).await;
    eventually(|| post.states()[0] == State::Dead).await;
    let id = post.ledger()[0].id.clone();
    relay.behave(Manner::Good);
    let order = signalbox::status::outbox::Order::SendAgain;
    let ordered =
        signalbox::status::outbox::order(&post.house.db, &post.house.hub, post.clock.now(), &id, order, "ann");
    ordered.await.unwrap().unwrap();
    // Somebody who has it sent again does not want to wait for the relay's pause.
    eventually(|| relay.taken().len() == 2).await;
    post.stop().await;
}

#[actix::test]
async fn a_relay_is_bothered_so_often_and_no_more() {
    let relay = RogueRelay::start(Manner::Good).await;
    let post = Post::start(relay.port, &format!("{TO_LIST}, rateLimit=60")).await;
    let begun = Instant::now();
    for number in 1..=62 {
        post.fails("linux", number).await;
    }
    eventually(|| relay.taken().len() == 62).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    post.stop().await;
}

#[actix::test]
async fn postfix_delivers_them() {
    let postfix = Postfix::start().await;
    let options = format!(
        "relayhost='localhost', useTls=True, caFile='{}', smtpUser='bot@relay.test', smtpPassword='pass', addLogs=True, \
         sendToInterestedUsers=False, extraRecipients=['Jörg <joerg@example.org>']",
        postfix.ca_file.display()
    );
    let post = Post::start(postfix.port, &options).await;
    build_ends_with(&post.house, build("linux", 1), Results::Failure, "Straße kaputt\n").await;
    let done = |state: &State| matches!(state, State::Delivered | State::Dead);
    eventually(|| !post.states().is_empty() && post.states().iter().all(done)).await;
    assert!(post.states().contains(&State::Delivered), "{}\n{}", post.why(), postfix.log());
    eventually(|| postfix.letters().len() == 1).await;
    post.stop().await;
    let mut letter = serde_json::json!({ "letter": mail_server::read(&postfix.letters()[0]) });
    assert_eq!(header(&letter, "Delivered-To"), Some("joerg@example.org"));
    assert_eq!(header(&letter, "To"), Some("Jörg <joerg@example.org>"));
    assert!(mail_server::part(&letter, "text/plain").contains("Straße kaputt"));
    assert_eq!(mail_server::attachments(&letter)[0].1, "Straße kaputt\n");
    assert!(header(&letter, "Received").unwrap().contains("ESMTPSA"), "{letter:#}");
    // What is postfix's own differs each time.
    let own = ["Return-Path", "X-Original-To", "Delivered-To", "Received"];
    let headers = letter["letter"]["headers"].as_array_mut().unwrap();
    headers.retain(|header| !own.contains(&header[0].as_str().unwrap()));
    check("postfix", &letter["letter"]);
}

#[actix::test]
async fn what_waits_at_a_stop_goes_out_after_the_next_start() {
    let relay = RogueRelay::start(Manner::Answers(vec![("EHLO", "421 4.3.2 not now")])).await;
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    for number in 1..=2 {
        let house = House::at(&place);
        let running = start(&house, notifier(&house, folder.path(), relay.port, "", TO_LIST)).await;
        build_ends(&house, "linux", number, Results::Failure).await;
        eventually(|| relay.heard().len() > 1).await;
        running.stop(SOON).await;
        house.close().await;
        assert!(relay.taken().is_empty());
    }
    relay.behave(Manner::Good);
    let house = House::at(&place);
    let running = start(&house, notifier(&house, folder.path(), relay.port, "", TO_LIST)).await;
    eventually(|| relay.taken().len() == 2).await;
    running.stop(SOON).await;
}

/// From a push of somebody who never had to be configured to the letter in their box.
#[actix::test]
async fn whoever_broke_it_is_written_to() {
    let mail = MailServer::start();
    let config = format!(
        "c = {{}}\nc['title'] = 'T'\nc['workers'] = [worker.LocalWorker('w')]\n\
         f = util.BuildFactory([steps.ShellCommand(command=['false'])])\n\
         c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f)]\n\
         c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', treeStableTimer=None, builderNames=['b'])]\n\
         c['status'] = [status.WebStatus(http_port='tcp:0:interface=127.0.0.1', change_hook_dialects={{'base': True}}), \
         status.MailNotifier(fromaddr='bot@example.org', relayhost='127.0.0.1', smtpPort={})]\n",
        mail.port
    );
    let mut server = Server::start(&config).await;
    let push = "author=Ann+Bell+%3Cann%40example.org%3E&comments=break+it&branch=main&revision=abc&src=git";
    assert_eq!(server.ask("/change_hook/base", &[], Some(push)).await.status, 202);
    eventually(|| mail.letters().len() == 1).await;
    server.stop().await;
    let letter = &mail.letters()[0];
    assert_eq!(letter["to"], serde_json::json!(["ann@example.org"]));
    let why = "Why you get this: ann@example.org made a change in it.";
    assert!(mail_server::part(letter, "text/plain").contains(why), "{letter:#}");
}

/// The whole program: builds whose end is told, a relay in front of which it is killed again and again.
#[actix::test]
async fn killed_at_any_moment_every_letter_arrives_and_doubles_have_one_name() {
    let mail = MailServer::start();
    let config = format!(
        "c = {{}}\nc['title'] = 'T'\nc['workers'] = [worker.LocalWorker('w', max_builds=4)]\n\
         f = util.BuildFactory([steps.ShellCommand(command=['false'])])\n\
         c['builders'] = [util.BuilderConfig(name='b%d' % n, workernames=['w'], factory=f) for n in range(4)]\n\
         c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['b0', 'b1', 'b2', 'b3'])]\n\
         c['status'] = [status.WebStatus(http_port='tcp:0:interface=127.0.0.1', authz=util.Authz(forceBuild=True, showInternals=True)), \
         status.MailNotifier(fromaddr='bot@example.org', relayhost='127.0.0.1', smtpPort={}, {TO_LIST}, mode='all')]\n",
        mail.port
    );
    let mut server = Server::start(&config).await;
    for round in 0..12 {
        for builder in 0..4 {
            let (status, _) =
                server.post(&format!("/builders/b{builder}/force"), "forcescheduler=force&reason=x").await;
            assert_eq!(status, 302);
        }
        // At another moment each time: of the build, of the letter, or after it.
        let sent = mail.letters().len();
        match round % 3 {
            0 => {}
            1 => eventually(|| mail.letters().len() > sent).await,
            _ => until_idle(&server).await,
        }
        server.kill_and_restart().await;
    }
    until_idle(&server).await;
    let delivered = |delivery: &serde_json::Value| delivery["state"] == "delivered";
    until("all are delivered", Duration::from_secs(60), async || {
        let ledger = server.json("/json/deliveries?count=500").await;
        let rows = ledger.as_array().cloned().unwrap_or_else(|| ledger["deliveries"].as_array().unwrap().clone());
        rows.iter().all(delivered).then_some(())
    })
    .await;
    server.stop().await;
    let mut times: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for letter in mail.letters() {
        let builder = header(&letter, "Subject").unwrap().rsplit(' ').next().unwrap().to_owned();
        let number = header(&letter, "Message-ID").unwrap().split(['.', '@']).nth(2).unwrap().parse().unwrap();
        *times.entry((builder, number)).or_default() += 1;
    }
    let db = Db::open(&Location::parse("sqlite:///state.sqlite", server.basedir()).unwrap()).unwrap();
    let selection = Selection { finished: Some(true), limit: 1000, ..Selection::default() };
    let all = db.read_blocking(|conn| builds::select(conn, &selection)).unwrap();
    let failed: Vec<&Build> = all.iter().filter(|build| build.results == Some(Results::Failure)).collect();
    assert!(failed.len() >= 4);
    for build in failed {
        assert!(times.contains_key(&(build.builder.clone(), build.number)), "no letter of {:?}", build.reference());
    }
    // Each of the twelve kills may have hit between the relay's answer and our note of it, for one letter.
    let doubles: usize = times.values().map(|times| times - 1).sum();
    assert!(doubles <= 12, "{times:?}");
}

/// Waits until nothing is built, and nothing waits to be.
async fn until_idle(server: &Server) {
    until("builds end", Duration::from_secs(60), async || {
        let builders = server.json("/json/builders").await;
        let idle = |builder: &serde_json::Value| builder["state"] == "idle" && builder["pendingBuilds"] == 0;
        builders.as_object().unwrap().values().all(idle).then_some(())
    })
    .await;
}
