use crate::support::inspircd::Inspircd;
use crate::support::irc_ear::{IrcEar, hasty};
use crate::support::ngircd::Ngircd;
use signalbox::status::irc::connection::settings::{Limits, Settings};
use std::time::Duration;

#[actix::test]
async fn long_text_arrives_whole_on_lines_that_fit() {
    let server = Inspircd::start().await;
    let mut ada = server.client("ada").await;
    ada.join("#builds").await;
    // InspIRCd throws out who sends more than 8 KiB at once.
    let limits = Limits { burst: 4, per_line: Duration::from_millis(300), ..hasty(0).limits };
    let mut bot = IrcEar::start(Settings { limits, ..hasty(server.port) });
    bot.join("#builds").await;
    bot.joined("#builds").await;
    let words: Vec<String> = (0..300).map(|number| format!("builder-{number}é漢")).collect();

    bot.say("#builds", &words.join(" ")).await;

    let mut seen = Vec::new();
    while seen.len() < words.len() {
        seen.extend(ada.expect_from("bb").await.split(' ').map(str::to_owned));
    }
    assert_eq!(seen, words);
    let lines: Vec<String> = ada.seen().into_iter().filter(|line| line.starts_with(":bb!")).collect();
    assert!(lines.iter().all(|line| line.len() <= 510), "{lines:#?}");
    let full = lines.iter().filter(|line| line.len() > 380).count();
    assert!(full >= lines.len() - 2, "no room is wasted: {lines:#?}");
}

#[actix::test]
async fn nothing_that_is_said_becomes_a_command() {
    let server = Ngircd::start().await;
    let mut ada = server.client("ada").await;
    ada.join("#builds").await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#builds").await;
    bot.joined("#builds").await;

    bot.say("#builds", "one\r\nQUIT :two\n\0\nMODE #builds\x00 +i\x01\n:four").await;
    bot.say("#builds\r\nQUIT", "five").await;
    bot.say("#builds,ada", "six").await;
    bot.say("#builds", "seven").await;

    for said in ["one", "QUIT :two", "MODE #builds +i", ":four", "seven"] {
        assert_eq!(ada.expect_from("bb").await, said);
    }
}

#[actix::test]
async fn a_long_answer_in_one_channel_does_not_hold_up_another() {
    let server = Ngircd::start().await;
    let mut ada = server.client("ada").await;
    ada.join("#long").await.join("#short").await;
    let limits = Limits { burst: 4, per_line: Duration::from_millis(300), ..hasty(0).limits };
    let mut bot = IrcEar::start(Settings { limits, ..hasty(server.port) });
    bot.join("#long").await;
    bot.join("#short").await;
    bot.joined("#long").await;
    bot.joined("#short").await;

    let long: Vec<String> = (0..500).map(|number| format!("line {number}")).collect();
    bot.say("#long", &long.join("\n")).await;
    bot.say("#short", "here I am").await;

    ada.expect("here I am").await;
    let before = ada.seen().iter().filter(|line| line.contains("PRIVMSG #long")).count();
    assert!(before <= 8, "{before} lines went before");
    bot.quit("").await;
}
