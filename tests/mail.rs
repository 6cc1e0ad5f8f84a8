//! MailNotifier: the right letter to the right people, once, never lost.

use crate::support::facts::*;
use crate::support::mail_server::{MailServer, attachments, header, part};
use crate::support::post::*;
use crate::support::probe::{House, place};
use crate::support::wait::eventually;
use serde_json::Value;
use signalbox::clock::Clock;
use signalbox::db::{logs, users};
use signalbox::model::*;
use signalbox::status::mail::tinderbox;
use signalbox::status::mail::{Mode, Project, Rates, intro};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A house at one moment, so that letters are the same each time.
fn house(place: &crate::support::database::Place) -> House {
    House::with_clock(place, Clock::fixed(at(7200)))
}

/// A build with two changes, one by somebody whose name needs quoting and whose comments are in another script.
fn changed(number: i64) -> Build {
    let mut running = build("linux", number);
    let mut second = change(number * 10 + 2);
    second.who = "\"Bell, Jörg\" <joerg@example.org>".to_owned();
    second.comments = "Die Lampe leuchtet: 灯が点く\n\nmore".to_owned();
    second.revlink = Some("https://example.org/x/2".to_owned());
    running.source_stamps[0].changes = vec![change(number * 10 + 1), second];
    running
}

#[actix::test]
async fn a_failed_build_makes_one_letter_that_says_what_one_wants_to_know() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let options = "lookup='example.org', extraRecipients=['Builds <builds@example.org>'], addLogs=True";
    let running = start(&house, notifier(&house, folder.path(), server.port, "", options)).await;
    builders(&house, &["linux"]).await;
    build_ends_with(&house, changed(1), Results::Success, "all is well\n").await;
    let printed = "cc -c lamp.c\n\u{1b}[31mlamp.c:3: error:\u{1b}[0m expected ';' before '}' <token>\nmake: *** [lamp.o] Error 1\n";
    build_ends_with(&house, changed(2), Results::Failure, printed).await;
    build_ends_with(&house, changed(3), Results::Failure, printed).await;
    build_ends_with(&house, changed(4), Results::Success, "all is well\n").await;
    eventually(|| server.letters().len() >= 4).await;
    running.stop(SOON).await;
    let letters = server.letters();
    for (letter, name) in letters.iter().zip(["passing", "failing", "failing_still", "passing_again"]) {
        check(name, letter);
        assert_eq!(letter["letter"]["defects"], serde_json::json!([]), "{name}");
        assert_eq!(letter["letter"]["ascii"], true, "{name}");
    }
    assert_eq!(letters.len(), 4);
    let id = |letter: &Value| header(letter, "Message-ID").unwrap().to_owned();
    assert_eq!(header(&letters[2], "In-Reply-To"), Some(id(&letters[1]).as_str()));
    assert_eq!(header(&letters[3], "In-Reply-To"), Some(id(&letters[1]).as_str()));
    assert!(part(&letters[1], "text/html").contains("expected &#39;;&#39; before &#39;}&#39; &lt;token&gt;"));
}

/// The matrix of `reference/mail.md` §2: what each mode says of a build that ended so after one that ended so.
#[test]
fn each_mode_takes_what_the_matrix_says() {
    let modes = [Mode::Change, Mode::Problem, Mode::Failing, Mode::Passing, Mode::Warnings, Mode::Exception];
    let letters = |results: &str| -> Vec<Results> {
        let of = |letter: char| match letter {
            'S' => Results::Success,
            'W' => Results::Warnings,
            'F' => Results::Failure,
            _ => Results::Exception,
        };
        results.chars().filter(|letter| *letter != '-').map(of).collect()
    };
    let rows = [
        (None, ["-", "-", "F", "S", "W", "E"]),
        (Some(Results::Success), ["WFE", "F", "F", "S", "W", "E"]),
        (Some(Results::Warnings), ["SFE", "F", "F", "S", "W", "E"]),
        (Some(Results::Failure), ["SWE", "-", "F", "S", "W", "E"]),
        (Some(Results::Exception), ["SWF", "F", "F", "S", "W", "E"]),
    ];
    for (before, row) in rows {
        let previous = before.map(|results| ended(&build("linux", 1), results));
        for (mode, expected) in modes.iter().zip(row) {
            let all = [Results::Success, Results::Warnings, Results::Failure, Results::Exception];
            let taken: Vec<Results> = all.into_iter().filter(|now| mode.takes(*now, previous.as_ref())).collect();
            assert_eq!(taken, letters(expected), "{} after {before:?}", mode.word());
        }
        // Skipped and retried builds are news only by what they changed.
        for results in [Results::Skipped, Results::Retry, Results::Cancelled] {
            let takes = |mode: &Mode| mode.takes(results, previous.as_ref());
            assert_eq!(modes.iter().any(takes), before.is_some(), "{results:?} after {before:?}");
        }
    }
    let after = |results| Some(ended(&build("linux", 1), results));
    let said = |modes: &[Mode], now, before: Option<Build>| intro(modes, now, before.as_ref());
    let words = |text: &str| format!("The Buildbot has detected {text}");
    assert_eq!(said(&[Mode::Change], Results::Failure, after(Results::Success)), words("a new failure"));
    assert_eq!(said(&[Mode::Failing], Results::Failure, after(Results::Success)), words("a failed build"));
    assert_eq!(said(&[Mode::Problem], Results::Failure, after(Results::Failure)), words("a failed build"));
    assert_eq!(said(&[Mode::Change], Results::Success, after(Results::Failure)), words("a restored build"));
    assert_eq!(said(&[Mode::Passing], Results::Success, after(Results::Failure)), words("a passing build"));
    assert_eq!(said(&[Mode::Warnings], Results::Warnings, None), words("a problem in the build"));
    assert_eq!(said(&[Mode::Exception], Results::Exception, None), words("a build exception"));
}

/// Runs a notifier with these options through some builds of `linux`, numbered from 1; what came.
async fn letters_of(before: &str, options: &str, builds: Vec<(Build, Results, &str)>, expected: usize) -> Vec<Value> {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let running = start(&house, notifier(&house, folder.path(), server.port, before, options)).await;
    builders(&house, &["linux", "docs"]).await;
    for (build, results, printed) in builds {
        build_ends_with(&house, build, results, printed).await;
    }
    eventually(|| server.letters().len() >= expected).await;
    running.stop(SOON).await;
    assert_eq!(server.letters().len(), expected, "{:#?}", subjects(&server.letters()));
    server.letters()
}

fn subjects(letters: &[Value]) -> Vec<String> {
    letters.iter().map(|letter| header(letter, "Subject").unwrap().to_owned()).collect()
}

fn to(letter: &Value) -> Vec<&str> {
    letter["to"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

fn failing(number: i64) -> (Build, Results, &'static str) {
    (build("linux", number), Results::Failure, "")
}

fn passing(number: i64) -> (Build, Results, &'static str) {
    (build("linux", number), Results::Success, "")
}

const TO_LIST: &str = "sendToInterestedUsers=False, extraRecipients=['builds@example.org']";

#[actix::test]
async fn builders_and_tags_choose() {
    let docs = || (build("docs", 1), Results::Failure, "");
    let options = format!("{TO_LIST}, builders=['docs']");
    let letters = letters_of("", &options, vec![failing(1), docs()], 1).await;
    assert_eq!(subjects(&letters), ["buildbot failure in Widget Foundry on docs"]);
    letters_of("", &format!("{TO_LIST}, tags=['fast', 'other']"), vec![failing(1), docs()], 2).await;
    letters_of("", &format!("{TO_LIST}, tags=['slow']"), vec![failing(1), docs()], 0).await;
    letters_of("", &format!("{TO_LIST}, mode='exception'"), vec![failing(1), docs()], 0).await;
}

#[actix::test]
async fn subject_and_headers_are_as_the_configuration_has_them() {
    let options = format!(
        "{TO_LIST}, subject='[%(projectName)s] %(builder)s: %(result)s 100%%', extraHeaders={{\
         'X-Build': util.Interpolate('%(prop:buildnumber)s/%(src::branch)s'), 'Reply-To': 'ann@example.org', \
         'Subject': 'no', 'List-Id': '<mine>', 'X-Naïve': 'no', 'X-Evil': util.Interpolate('%(prop:evil)s'), \
         util.Interpolate('X-%(prop:buildnumber)s'): 'key'}}"
    );
    let mut running = build("linux", 7);
    running.properties.set("evil", "a\r\nBcc: eve@example.org\r\n\r\nbody", "test");
    let letters = letters_of("", &options, vec![(running, Results::Failure, "")], 1).await;
    let letter = &letters[0];
    assert_eq!(subjects(&letters), ["[Widget Foundry] linux: failure 100%"]);
    assert_eq!(header(letter, "X-Build"), Some("7/main"));
    assert_eq!(header(letter, "X-7"), Some("key"));
    assert_eq!(header(letter, "Reply-To"), Some("ann@example.org"));
    assert_eq!(header(letter, "List-Id"), Some("<mine>"));
    assert_eq!(header(letter, "X-Evil"), Some("a Bcc: eve@example.org body"));
    assert_eq!(header(letter, "Bcc"), None);
    let names = letter["letter"]["headers"].as_array().unwrap();
    assert_eq!(names.iter().filter(|header| header[0] == "Subject").count(), 1);
}

#[actix::test]
async fn without_a_lookup_the_user_database_knows_the_addresses() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let user = |identifier: &str, username: Option<&str>, attributes: &[(&str, &str)]| User {
        identifier: identifier.to_owned(),
        bb_username: username.map(str::to_owned),
        attributes: attributes.iter().map(|(kind, value)| (kind.to_string(), value.to_string())).collect(),
        ..User::default()
    };
    let people = [
        user("ann", None, &[("git", "Ann <ann@example.org>"), ("email", "ann.bell@example.org")]),
        user("owen", Some("owen"), &[("email", "Owen <owen@example.org>")]),
        user("nomail", Some("nomail"), &[("git", "\"Bell, Jörg\" <joerg@example.org>")]),
        user("bad", Some("bad"), &[("email", "not an address\r\nTo: eve@example.org")]),
    ];
    let people = people.map(|one| User { uid: house.db.ids().user(), ..one });
    let add = move |conn: &mut signalbox::db::Conn| people.iter().try_for_each(|one| users::put(conn, one));
    house.db.write(add).await.unwrap();
    let options = "extraRecipients=['builds@example.org', 'ANN.BELL@EXAMPLE.ORG', 'ann.bell@EXAMPLE.org']";
    let running = start(&house, notifier(&house, folder.path(), server.port, "", options)).await;
    builders(&house, &["linux"]).await;
    let mut of = changed(1);
    of.properties.set("owners", serde_json::json!(["owen", "nomail", "bad", "stranger@example.org"]), "Scheduler");
    build_ends_with(&house, of, Results::Failure, "").await;
    eventually(|| server.letters().len() == 1).await;
    running.stop(SOON).await;
    let letters = server.letters();
    let expected = ["ANN.BELL@example.org", "ann.bell@example.org", "builds@example.org", "owen@example.org"];
    assert_eq!(to(&letters[0]), expected);
    assert_eq!(header(&letters[0], "To"), Some("Owen <owen@example.org>, ann.bell@example.org"));
    assert_eq!(header(&letters[0], "Cc"), Some("ANN.BELL@example.org, builds@example.org"));
}

#[actix::test]
async fn a_function_may_look_addresses_up() {
    let before = "def find(name):\n    if 'Ann' in name:\n        return 'Ann Bell <ann@people.example.org>'\n    \
                  if 'Bell' in name:\n        return 7\n    fail('who is ' + name)\n";
    let mut of = changed(1);
    of.properties.set("owner", "stranger", "Force Build Form");
    let letters = letters_of(before, "lookup=find", vec![(of, Results::Failure, "")], 1).await;
    assert_eq!(to(&letters[0]), ["ann@people.example.org"]);
    // Nobody left is no letter.
    letters_of(before, "lookup=find", vec![failing(1)], 0).await;
}

#[actix::test]
async fn formatters_written_for_0_8_make_their_letters() {
    let functions = include_str!("data/mail/formatters.cfg");
    let printed: &'static str = (1..=100).map(|line| format!("line {line} <&> ü\n")).collect::<String>().leak();
    let failed = || vec![(changed(3), Results::Failure, printed)];
    let options = format!("{TO_LIST}, messageFormatter=as_page");
    let letters = letters_of(functions, &options, failed(), 1).await;
    check("as_page", &letters[0]["letter"]["parts"]);
    let options = format!("{TO_LIST}, mode=('problem',), messageFormatter=short_words");
    let letters = letters_of(functions, &options, vec![passing(1), failing(2), failing(3)], 1).await;
    assert_eq!(letters[0]["letter"]["structure"], "text/plain");
    assert_eq!(part(&letters[0], "text/plain").trim_end(), "linux: Failure");
    let options = format!("{TO_LIST}, messageFormatter=table");
    let letters = letters_of(functions, &options, failed(), 1).await;
    check("table", &letters[0]["letter"]["parts"]);
    assert_eq!(subjects(&letters), ["Grüße von Widget Foundry"]);
}

#[actix::test]
async fn a_formatter_that_does_wrong_costs_its_words_and_not_the_letter() {
    let before = "def raises(mode, name, build, results, status):\n    return {'body': build.getNothing()}\n\
                  def loops(mode, name, build, results, status):\n    for i in range(1000000000):\n        pass\n\
                  def wrong(mode, name, build, results, status):\n    if results == 0:\n        \
                  return {'body': 'right again', 'type': 'plain'}\n    return 'text'\n";
    for (function, why) in [("raises", "getNothing"), ("loops", "took longer than"), ("wrong", "it gave no dict")] {
        let (place, folder) = (place(), tempfile::tempdir().unwrap());
        let (house, server) = (house(&place), MailServer::start());
        let options = format!("{TO_LIST}, messageFormatter={function}");
        let running = start(&house, notifier(&house, folder.path(), server.port, before, &options)).await;
        build_ends(&house, "linux", 1, Results::Failure).await;
        eventually(|| server.letters().len() == 1).await;
        let text = part(&server.letters()[0], "text/plain");
        assert!(text.contains("messageFormatter: master.cfg:") && text.contains(why), "{function}: {text}");
        assert!(text.contains("BUILD FAILED: failed compile"), "{text}");
        let complaint = || {
            let reports = house.tree.reports();
            let path = format!("status/{}", running.name());
            let of_target = reports.iter().find(|report| report.path == path).cloned();
            of_target.unwrap().complaint
        };
        assert!(complaint().is_some_and(|complaint| complaint.contains(why)), "{:?}", complaint());
        if function == "wrong" {
            build_ends(&house, "linux", 2, Results::Success).await;
            eventually(|| server.letters().len() == 2).await;
            assert_eq!(part(&server.letters()[1], "text/plain").trim_end(), "right again");
            eventually(|| complaint().is_none()).await;
        }
        running.stop(SOON).await;
    }
}

#[actix::test]
async fn the_previous_build_is_what_the_function_says() {
    let before = "def two_back(build):\n    previous = build.getPreviousBuild()\n    \
                  return previous and previous.getPreviousBuild()\n";
    let options = format!("{TO_LIST}, mode='change', previousBuildGetter=two_back");
    let builds = vec![passing(1), failing(2), passing(3), failing(4), passing(5), passing(6)];
    // Each is compared with the one two before it: only the sixth differs from the fourth.
    let letters = letters_of(before, &options, builds, 1).await;
    assert!(part(&letters[0], "text/plain").contains("a restored build"));
    assert!(part(&letters[0], "text/plain").contains("/builds/6"));
}

#[actix::test]
async fn a_domain_is_put_behind_names_and_each_person_gets_one_letter() {
    let mut of = changed(1);
    for (change, who) in of.source_stamps[0].changes.iter_mut().zip(["ann", "Bob <bob@elsewhere.example>"]) {
        change.who = who.to_owned();
    }
    of.source_stamps[0].patch =
        Some(Patch { author: "cleo".to_owned(), body: "--- a\n".to_owned(), ..Patch::default() });
    of.properties.set("owners", serde_json::json!(["ann", "dora"]), "Scheduler");
    let whole = vec![(of.clone(), Results::Failure, "")];
    let options = "lookup=util.Domain('example.org'), extraRecipients=['dora@example.org'], addPatch=False";
    let letters = letters_of("", options, whole, 1).await;
    let expected = ["ann@example.org", "bob@elsewhere.example", "cleo@example.org", "dora@example.org"];
    assert_eq!(to(&letters[0]), expected);
    assert!(attachments(&letters[0]).is_empty());
    let options = "lookup='example.org', sendToInterestedUsers=False, extraRecipients=['list@example.org']";
    let letters = letters_of("", options, vec![(of, Results::Failure, "")], 1).await;
    assert_eq!(to(&letters[0]), ["list@example.org"]);
    assert_eq!(attachments(&letters[0]), [named("source patch 0", "--- a\n")]);
}

#[actix::test]
async fn logs_and_patches_come_along_in_bounds() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let options = format!("{TO_LIST}, addLogs=['compile.stdio', 'test.log'], attachmentLimit=200000");
    let running = start(&house, notifier(&house, folder.path(), server.port, "", &options)).await;
    let mut patched = build("linux", 1);
    let body = "--- a/ü\n+++ b/ü\n".to_owned();
    patched.source_stamps[0].patch = Some(Patch { body, author: "Ann".to_owned(), ..Patch::default() });
    build_ends_with(&house, patched, Results::Failure, "naïve café ☃\nno line end").await;
    build_ends_with(&house, build("linux", 2), Results::Failure, b"PNG\0\x01\xff".to_vec()).await;
    build_ends_with(&house, build("linux", 3), Results::Failure, b"caf\xe9\n".to_vec()).await;

    // A gigabyte.
    let large = build("linux", 4);
    let id = house.db.ids().log();
    let reference = large.reference();
    house.hub.record(Event::BuildStarted { build: large.clone() }).await.unwrap();
    let step = step(&large, 0, "compile");
    house.hub.record(Event::StepStarted { build: reference.clone(), step: step.clone() }).await.unwrap();
    let started = Event::LogStarted { build: reference.clone(), step: 0, log: log(id, "stdio") };
    house.hub.record(started).await.unwrap();
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
    let piece = vec![Segment { channel: Channel::Stdout, bytes: line.repeat(1 << 14).into_bytes() }];
    let prepared = std::sync::Arc::new(logs::prepare(&piece));
    for _ in 0..1024 {
        let prepared = prepared.clone();
        house.db.write(move |conn| logs::append_prepared(conn, id, &prepared)).await.unwrap();
    }
    let mut done = step_ended(&step, 2, Results::Failure);
    done.logs = vec![Log { lines: 1 << 24, bytes: 1 << 30, finished: true, ..log(id, "stdio") }];
    let over = Event::StepFinished { build: reference.clone(), step: done.clone(), properties: Properties::new() };
    house.hub.record(over).await.unwrap();
    let finished = Build { steps: vec![done], ..ended(&large, Results::Failure) };
    house.hub.record(Event::BuildFinished { build: finished }).await.unwrap();

    eventually(|| server.letters().len() == 4).await;
    running.stop(SOON).await;
    let letters = server.letters();
    let patch = ("source patch 0".to_owned(), "--- a/ü\n+++ b/ü\n".to_owned());
    assert_eq!(attachments(&letters[0]), [patch, named("compile.stdio", "naïve café ☃\nno line end")]);
    assert_eq!(attachments(&letters[1]), [named("compile.stdio", "504e470001ff")]);
    assert_eq!(letters[1]["letter"]["parts"][2]["type"], "application/octet-stream");
    assert_eq!(attachments(&letters[2]), [named("compile.stdio", "caf\u{fffd}\n")]);
    let (_, end) = &attachments(&letters[3])[0];
    let (note, rest) = end.split_once('\n').unwrap();
    let url = "http://builds.example.org/builders/linux/builds/4";
    let left_out = (1 << 30) - rest.len();
    assert_eq!(note, format!("[the first {left_out} bytes of this log are left out; all of it is at {url}]"));
    assert!(rest.len() > 190_000 && rest.len() <= 200_000 && rest.starts_with("0123") && rest.ends_with("cde\n"));
    assert!(letters.iter().all(|letter| letter["letter"]["longest"].as_u64().unwrap() < 999));
}

fn named(file: &str, text: &str) -> (String, String) {
    (file.to_owned(), text.to_owned())
}

#[actix::test]
async fn a_buildset_makes_one_summary_when_its_last_build_has_ended() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let options = format!("{TO_LIST}, buildSetSummary=True, addLogs=True, mode='all'");
    let running = start(&house, notifier(&house, folder.path(), server.port, "", &options)).await;
    builders(&house, &["linux", "docs"]).await;
    let submitted = Event::BuildsetSubmitted { buildset: buildset(1, &["linux", "docs"]) };
    house.hub.record(submitted).await.unwrap();
    for (id, builder) in [(1, "linux"), (2, "docs")] {
        house.hub.record(Event::RequestSubmitted { request: request(id, 1, builder) }).await.unwrap();
    }
    let of = |builder: &str, number: i64, request: i64| Build { requests: vec![request], ..build(builder, number) };
    // An attempt that is tried again, then both to their ends.
    build_ends_with(&house, of("linux", 1, 1), Results::Retry, "").await;
    build_ends_with(&house, of("docs", 1, 2), Results::Success, "fine\n").await;
    assert!(server.letters().is_empty());
    build_ends_with(&house, of("linux", 2, 1), Results::Failure, "broken\n").await;
    eventually(|| server.letters().len() == 1).await;
    running.stop(SOON).await;
    assert_eq!(server.letters().len(), 1);
    check("summary", &server.letters()[0]);
}

#[actix::test]
async fn failures_are_told_once_they_last() {
    let options = format!("{TO_LIST}, mode='change', stillFailingAfter=3");
    let builds = vec![
        passing(1),
        failing(2),
        passing(3),
        failing(4),
        failing(5),
        failing(6),
        failing(7),
        passing(8),
        passing(9),
    ];
    let letters = letters_of("", &options, builds, 2).await;
    let about = |letter: &Value| part(letter, "text/plain").contains("/builds/6\n");
    assert!(about(&letters[0]), "{}", part(&letters[0], "text/plain"));
    assert!(part(&letters[0], "text/plain").contains("(The 2 builds before it failed as well, from 4 on)"));
    assert!(part(&letters[1], "text/plain").contains("/builds/8\n"));
    let options = format!("{TO_LIST}, mode='failing', stillFailingAfter=2");
    letters_of("", &options, vec![failing(1), failing(2), failing(3), passing(4), failing(5)], 2).await;
}

#[actix::test]
async fn a_digest_says_what_happened_within_its_window() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let clock = Clock::fixed(at(7200));
    let (house, server) = (House::with_clock(&place, clock.clone()), MailServer::start());
    let options = "lookup='example.org', extraRecipients=['builds@example.org'], mode='all', digestWindow=600";
    let running = start(&house, notifier(&house, folder.path(), server.port, "", options)).await;
    builders(&house, &["linux", "docs"]).await;
    build_ends(&house, "linux", 1, Results::Success).await;
    build_ends_with(&house, changed(2), Results::Failure, "x\n").await;
    clock.set(at(7500));
    build_ends(&house, "docs", 1, Results::Warnings).await;
    let name = running.name().to_owned();
    let waiting = || house.db.read_blocking(|conn| signalbox::db::outbox::backlog(conn, &name)).unwrap();
    // One copy each for the list, and one each for two authors of the second.
    eventually(|| waiting() == 5).await;
    assert!(server.letters().is_empty());
    // The next window begins, and what happens then is not in the digest.
    clock.set(at(7801));
    build_ends(&house, "linux", 3, Results::Failure).await;
    eventually(|| server.letters().len() == 3).await;
    eventually(|| waiting() == 1).await;
    running.stop(SOON).await;
    let mut by_recipient: BTreeMap<String, Value> = BTreeMap::new();
    for letter in server.letters() {
        by_recipient.insert(to(&letter)[0].to_owned(), letter);
    }
    check("digest", &by_recipient["builds@example.org"]);
    assert_eq!(
        header(&by_recipient["ann@example.org"], "Subject"),
        Some("buildbot digest: 1 build, 1 of them bad in Widget Foundry")
    );
    assert_eq!(server.letters().len(), 3, "what is held back stays so at a stop");
}

#[actix::test]
async fn templates_of_the_operator_take_the_place_of_ours() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    let text = "{{#each builds}}{{{builder}}} {{{summary}}}{{/each}}\n";
    std::fs::write(folder.path().join("templates/mail_text.hbs"), text).unwrap();
    let running = start(&house, notifier(&house, folder.path(), server.port, "", TO_LIST)).await;
    build_ends(&house, "li<nux", 1, Results::Failure).await;
    eventually(|| server.letters().len() == 1).await;
    running.stop(SOON).await;
    assert_eq!(part(&server.letters()[0], "text/plain").trim_end(), "li<nux BUILD FAILED: failed compile");
    assert!(part(&server.letters()[0], "text/html").contains("li&lt;nux"));
}

#[actix::test]
async fn a_tinderbox_is_told_of_the_start_and_the_end() {
    let (place, folder) = (place(), tempfile::tempdir().unwrap());
    let (house, server) = (house(&place), MailServer::start());
    let text = format!(
        "c = {{}}\nc['status'] = [status.TinderboxMailNotifier(fromaddr='b@example.org', tree='Widget', \
         extraRecipients=['tinder@example.org'], relayhost='127.0.0.1', smtpPort={}, binaryURL='http://x/', \
         columnName=util.Interpolate('%(src::branch)s %(prop:buildnumber)s'), useChangeTime=True)]\n",
        server.port
    );
    let catalog = signalbox::config::Catalog(signalbox::status::kinds());
    let config = signalbox::config::load_text("master.cfg", &text, folder.path(), &catalog).unwrap();
    let project = Project::of(&config);
    let target = tinderbox::make(&config.status[0], project, &house.db, folder.path(), &Rates::default()).unwrap();
    let running = house.start(target);
    let name = running.name().to_owned();
    eventually(|| house.db.read_blocking(|conn| signalbox::db::cursors::get(conn, &name)).unwrap().is_some()).await;
    builders(&house, &["linux"]).await;
    let printed = "cc lamp.c\nTinderboxPrint: 3 warnings\nsee TinderboxPrint: no\n";
    build_ends_with(&house, changed(1), Results::Warnings, printed).await;
    eventually(|| server.letters().len() == 2).await;
    running.stop(SOON).await;
    check("tinderbox", &Value::Array(server.letters()));
}
