use crate::support::inspircd::Inspircd;
use crate::support::irc_ear::{IrcEar, hasty};
use crate::support::ngircd::Ngircd;
use crate::support::wait::eventually;
use futures::future::join_all;
use signalbox::status::irc::connection::settings::{Limits, Settings};
use signalbox::status::irc::wire::Heard;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[actix::test]
async fn it_comes_back_to_its_channels_however_the_server_went() {
    let mut server = Ngircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#builds").await;
    assert_eq!(bot.connected().await, "bb");
    bot.joined("#builds").await;

    server.kill();
    bot.lost().await;
    server.restart().await;
    bot.connected().await;
    bot.joined("#builds").await;

    server.stop();
    bot.lost().await;
    server.restart().await;
    bot.joined("#builds").await;

    let mut ada = server.client("ada").await;
    ada.join("#builds").await;
    bot.say("#builds", "here again").await;
    assert_eq!(ada.expect_from("bb").await, "here again");
}

#[actix::test]
async fn a_server_that_stands_still_is_noticed_and_left() {
    let server = Ngircd::start().await;
    let limits = Limits {
        quiet: Duration::from_millis(300),
        answer: Duration::from_secs(1),
        register: Duration::from_secs(5),
        ..hasty(0).limits
    };
    let mut bot = IrcEar::start(Settings { limits, ..hasty(server.port) });
    bot.connected().await;

    server.stand_still(true);
    assert_eq!(bot.lost().await, "the server does not answer within 1s");
    server.stand_still(false);
    bot.connected().await;
}

#[actix::test]
async fn a_server_that_takes_connections_and_says_nothing_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let silent = actix_rt::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, SeqCst);
            held.push(connection);
        }
    });
    let limits = Limits { register: Duration::from_millis(200), ..hasty(0).limits };
    let bot = IrcEar::start(Settings { limits, ..hasty(port) });

    eventually(|| tries.load(SeqCst) >= 3).await;
    assert_eq!(bot.heard(), []);
    bot.quit("enough").await;
    silent.abort();
}

#[actix::test]
async fn a_ban_is_waited_for() {
    let server = Ngircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.connected().await;
    let mut operator = server.operator().await;

    server.kline(&mut operator, "bb", 2).await;
    bot.lost().await;
    let banned = Instant::now();
    bot.connected().await;
    assert!(banned.elapsed() > Duration::from_millis(900), "while it lasts nobody gets in");
}

#[actix::test]
async fn a_ban_of_another_kind_of_server_is_waited_for() {
    let server = Inspircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.connected().await;
    let mut operator = server.operator().await;

    server.kline(&mut operator, "bb", 2);
    let why = bot.lost().await;
    assert!(why.contains("enough of you") || why.contains("K-Lined"), "{why}");
    bot.connected().await;
}

#[actix::test]
async fn it_says_its_last_words_and_does_not_come_back() {
    let server = Ngircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#builds").await;
    bot.joined("#builds").await;
    let mut ada = server.client("ada").await;
    ada.join("#builds").await;

    bot.say("#builds", "one\ntwo").await;
    bot.quit("the master is shut down").await;

    assert_eq!(ada.expect_from("bb").await, "one");
    assert_eq!(ada.expect_from("bb").await, "two");
    let quit = ada.expect(" QUIT ").await;
    assert!(quit.contains("the master is shut down"), "{quit}");
    bot.quit("again").await;
    bot.connection.clone().stop().await;
}

#[actix::test]
async fn fifty_bots_come_back_one_by_one_and_none_is_thrown_out_for_talking() {
    let mut server = Ngircd::start().await;
    let mut bots: Vec<IrcEar> = (0..50)
        .map(|number| {
            let settings = Settings::plain("127.0.0.1", server.port, &format!("bot{number}"));
            // The manual's delays and the usual pace; only a start that meets a busy machine does not wait a minute.
            IrcEar::start(Settings { failed_delay: Some(Duration::from_millis(500)), ..settings })
        })
        .collect();
    join_all(bots.iter_mut().map(|bot| bot.connected())).await;
    join_all(bots.iter().map(|bot| bot.join("#builds"))).await;
    join_all(bots.iter_mut().map(|bot| bot.joined("#builds"))).await;

    server.kill();
    join_all(bots.iter_mut().map(|bot| bot.lost())).await;
    server.restart().await;
    join_all(bots.iter_mut().map(|bot| bot.joined("#builds"))).await;
    join_all(bots.iter().map(|bot| bot.say("#builds", "back\nand\nready\nto\ntell\nmore"))).await;
    bots[0].said("bot1").await;

    let last =
        |bot: &IrcEar, is_it: fn(&Heard) -> bool| bot.heard().iter().rev().find(|(_, heard)| is_it(heard)).unwrap().0;
    let came_back = |bot: &IrcEar| last(bot, |heard| matches!(heard, Heard::Connected { .. }));
    let waited = |bot: &IrcEar| came_back(bot) - last(bot, |heard| matches!(heard, Heard::Lost { .. }));
    assert!(bots.iter().all(|bot| waited(bot) >= Duration::from_secs(1)), "nobody comes back at once");
    let moments: Vec<Instant> = bots.iter().map(came_back).collect();
    let spread = *moments.iter().max().unwrap() - *moments.iter().min().unwrap();
    assert!(spread > Duration::from_millis(1500), "they all came back within {spread:?}");
    let losses = |bot: &IrcEar| bot.heard().iter().filter(|(_, heard)| matches!(heard, Heard::Lost { .. })).count();
    assert!(bots.iter().all(|bot| losses(bot) == 1), "some were thrown out");
}
