use crate::support::irc_ear::{IrcEar, hasty};
use crate::support::ngircd::{KEY, Ngircd};

#[actix::test]
async fn a_channel_with_a_key_opens_to_the_right_one() {
    let server = Ngircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join_with("#keyed", "wrong").await;
    let (why, again) = bot.left("#keyed").await;
    assert_eq!((why.as_str(), again), ("cannot join #keyed: wrong key (475)", true));

    bot.join_with("#keyed", KEY).await;
    bot.joined("#keyed").await;
}

#[actix::test]
async fn who_is_kicked_comes_back() {
    let server = Ngircd::start().await;
    let mut op = server.client("op").await;
    op.join("#builds").await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#Builds").await;
    bot.joined("#Builds").await;

    op.send("KICK #builds bb :too \x02loud\x02");
    let (why, again) = bot.left("#Builds").await;
    assert!(why.starts_with("kicked by op from #") && why.ends_with(": too loud") && again, "{why}");
    op.expect(" JOIN ").await;
    op.expect(" JOIN ").await;
    bot.say("#builds", "sorry").await;
    assert_eq!(op.expect_from("bb").await, "sorry");
}

#[actix::test]
async fn a_channel_that_lets_nobody_in_is_tried_until_it_does() {
    let server = Ngircd::start().await;
    let mut op = server.client("op").await;
    op.join("#builds").await.send("MODE #builds +i");
    op.expect("+i").await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#builds").await;
    let (why, again) = bot.left("#builds").await;
    assert_eq!((why.as_str(), again), ("cannot join #builds: invite only (473)", true));
    bot.left("#builds").await;

    op.send("MODE #builds -i+l 1");
    let full = "cannot join #builds: it is full (471)";
    while bot.left("#builds").await.0 != full {}
    op.send("MODE #builds -l+b bb!*@*");
    let banned = "cannot join #builds: banned (474)";
    while bot.left("#builds").await.0 != banned {}
    op.send("MODE #builds -b bb!*@*");
    bot.joined("#builds").await;
}

#[actix::test]
async fn what_it_leaves_it_does_not_come_back_to() {
    let mut server = Ngircd::start().await;
    let mut bot = IrcEar::start(hasty(server.port));
    bot.join("#one").await;
    bot.join("#two").await;
    bot.joined("#one").await;
    bot.joined("#two").await;
    bot.part("#ONE").await;
    let (why, again) = bot.left("#one").await;
    assert!(why.starts_with("left #one") && !again, "{why}");

    server.kill();
    server.restart().await;
    bot.joined("#two").await;
    let mut ada = server.client("ada").await;
    ada.send("WHOIS bb");
    let channels = ada.expect(" 319 ").await;
    assert!(channels.contains("#two") && !channels.contains("#one"), "{channels}");
}
