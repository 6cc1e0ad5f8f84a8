//! JSON: 0.8's tree and transport, and the events of today.

use crate::support::facts::change;
use crate::support::site::{Site, history};
use actix_web::http::StatusCode;
use serde_json::{Value, json};
use signalbox::model::*;

fn keys(value: &Value) -> String {
    value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
}

#[actix::test]
async fn a_build_is_what_0_8_says_it_is() {
    let site = Site::usual().await;
    let answer = site.get("/json/builders/linux/builds/1").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(site.get("/json/builders/linux").await.header("pragma"), "no-cache");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"/json/builders/linux/builds/1.json\"");
    let build = answer.json();
    assert_eq!(
        keys(&build),
        "blame builderName currentStep eta logs number properties reason results slave sourceStamps steps text times"
    );
    assert_eq!(build["results"], 2);
    assert_eq!(build["text"], json!(["failed", "test it"]));
    assert_eq!(
        build["logs"][1],
        json!(["stdio", "http://ci.example.org/builders/linux/builds/1/steps/test%20it/logs/stdio"])
    );
    assert_eq!(build["times"], json!([1_795_305_700.0, 1_795_305_730.0]));
    for (path, number) in [("-1", 2), ("-3", 0), ("+1", 1), ("_all/1", 1), ("1/", 1)] {
        assert_eq!(site.get(&format!("/json/builders/linux/builds/{path}")).await.json()["number"], number);
    }
    site.stop().await;
}

#[actix::test]
async fn every_node_of_the_tree() {
    let site = Site::usual().await;
    let get = async |path: &str| site.get(path).await.json();
    assert_eq!(keys(&get("/json").await), "builders change_sources metrics project slaves");
    assert_eq!(
        get("/json/project").await,
        json!({"buildbotURL": "http://ci.example.org/", "title": "Widget <Foundry>", "titleURL": "http://widget.example.org/"})
    );
    assert_eq!(get("/json/metrics").await, Value::Null);
    assert_eq!(keys(&get("/json/builders").await), "docs linux mac/arm");
    let builder = get("/json/builders/linux").await;
    assert_eq!(keys(&builder), "basedir cachedBuilds currentBuilds pendingBuilds schedulers slaves state tags");
    assert_eq!(builder["cachedBuilds"], json!([0, 1, 2]));
    assert_eq!(site.get("/json/builders/linux/builds").await.text, r#"{"0":null,"1":null,"2":null}"#);
    assert_eq!(keys(&get("/json/builders/linux/builds/_all?max=2").await), "1 2");
    assert_eq!(keys(&get("/json/builders/linux/builds/1/steps").await), "0 1");
    assert_eq!(get("/json/builders/linux/builds/1/steps/test%20it").await["results"], json!([2, ["test it"]]));
    assert_eq!(get("/json/builders/linux/builds/1/steps/-1").await["name"], "test it");
    assert_eq!(get("/json/builders/linux/builds/1/source_stamp").await["branch"], "main");
    assert_eq!(keys(&get("/json/builders/linux/builds/1/source_stamp/changes").await), "2");
    assert_eq!(get("/json/builders/linux/builds/1/source_stamp/changes/2").await["number"], 2);
    assert_eq!(get("/json/builders/linux/pendingBuilds").await, json!([]));
    assert_eq!(keys(&get("/json/builders/linux/slaves").await), "w1");
    assert_eq!(get("/json/builders/mac%2Farm/slaves/w2").await["connected"], true);
    let slave = get("/json/slaves/w1").await;
    assert_eq!(keys(&slave), "access_uri admin builders connected host info name runningBuilds version");
    assert_eq!(slave["builders"], json!({"docs": [], "linux": [2, 1, 0]}));
    assert_eq!(get("/json/change_sources").await, json!({}));
    site.stop().await;
}

#[actix::test]
async fn errors_are_json_and_say_which() {
    let site = Site::usual().await;
    for (path, words) in [
        ("/json/nosuch", "nosuch"),
        ("/json/builders/nosuch", "no builder \\\"nosuch\\\""),
        ("/json/builders/linux/builds/77", "has no build 77"),
        ("/json/builders/linux/builds/x", "builds/x"),
        ("/json/builders/linux/builds/1/steps/99", "steps/99"),
        ("/json/slaves/nosuch", "no worker"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::NOT_FOUND, "application/json"),
            "{path}"
        );
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
    }
    let answer = site.get("/json/changes?count=x").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json()["error"].as_str().unwrap().contains("count"));
    assert_eq!(site.post("/json/builders", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let head = site.request("HEAD", "/json/project").await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    site.stop().await;
}

#[actix::test]
async fn the_arguments_of_0_8() {
    let site = Site::usual().await;
    let text = site.get("/json/project?as_text=1").await;
    assert_eq!(text.header("content-disposition"), "");
    assert_eq!(
        text.text,
        "{\n  \"buildbotURL\": \"http://ci.example.org/\", \n  \"title\": \"Widget <Foundry>\", \n  \"titleURL\": \"http://widget.example.org/\"\n}"
    );
    assert!(site.get("/json/project?callback=cb").await.text.starts_with("cb({\"buildbotURL\""));
    assert!(site.get("/json/project?callback=alert(1)").await.text.starts_with("{\"buildbotURL\""));
    assert_eq!(site.get("/json/builders/docs?filter=1").await.json().get("cachedBuilds"), None);
    assert_eq!(site.get("/json/builders/linux/builds/0?filter=1").await.json()["results"], 0);
    let selected =
        site.get("/json?select=builders/linux&select=builders/docs&select=project&select=nosuch").await.json();
    assert_eq!(keys(&selected), "builders nosuch project");
    assert_eq!(keys(&selected["builders"]), "docs linux");
    assert_eq!(selected["nosuch"], json!({ "error": "Not available" }));
    let selected = site.get("/json/builders/linux/builds?select=-1&select=0").await.json();
    assert_eq!((keys(&selected).as_str(), &selected["-1"]["number"]), ("-1 0", &json!(2)));
    assert!(site.get("/json/project?select=").await.json()["title"].is_string());
    site.stop().await;
}

#[actix::test]
async fn changes_are_paged_newest_first() {
    let site = Site::usual().await;
    let numbers = async |path: &str| -> Vec<i64> {
        let changes = site.get(path).await.json();
        changes.as_array().unwrap().iter().map(|change| change["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers("/json/changes").await, [3, 2, 1]);
    assert_eq!(numbers("/json/changes?count=2").await, [3, 2]);
    assert_eq!(numbers("/json/changes?before=2").await, [1]);
    site.stop().await;
}

#[actix::test]
async fn events_can_be_waited_for() {
    let site = Site::start("authz=util.Authz(forceBuild=True)", history()).await;
    let first = site.get("/json/events?since=0&count=2").await.json();
    assert_eq!(first["events"][0]["event"], "builderAdded");
    assert_eq!((first["events"].as_array().unwrap().len(), &first["last"]), (2, &json!(2)));

    let mut last = 0;
    loop {
        let page = site.get(&format!("/json/events?since={last}&count=1000")).await.json();
        last = page["last"].as_i64().unwrap();
        if page["events"].as_array().unwrap().is_empty() {
            break;
        }
    }
    // What is not shown to everybody is passed over, however much of it there is.
    let user = User { uid: 1, identifier: "ada".into(), ..User::default() };
    let hidden = vec![Event::UserChanged { user }; 250];
    site.server.hub.record_all(hidden, Vec::new()).await.unwrap();
    site.server.hub.record(Event::ChangeAdded { change: change(99) }).await.unwrap();
    let page = site.get(&format!("/json/events?since={last}")).await.json();
    assert_eq!((&page["events"][0]["event"], &page["last"]), (&json!("changeAdded"), &json!(last + 251)));

    last = page["last"].as_i64().unwrap();
    let path = format!("/json/events?since={last}&wait=20");
    let forced = site.post("/builders/linux/force", &[("forcescheduler", "force")]);
    let (news, _) = futures::join!(site.get(&path), forced);
    assert!(news.json()["last"].as_i64().unwrap() > last);
    site.stop().await;
}

#[actix::test]
async fn reasons_of_the_supervision_tree_are_for_those_who_run_it() {
    let site = Site::usual().await;
    let reports = site.get("/json/supervision").await.json();
    let reports = reports.as_array().unwrap();
    assert!(reports.iter().any(|report| report["path"] == "master/master" && report["state"] == "running"));
    assert_eq!(site.get("/json/deliveries").await.status, StatusCode::FORBIDDEN);
    site.stop().await;

    let site = Site::start("authz=util.Authz(showInternals=True)", history()).await;
    assert_eq!(site.get("/json/deliveries").await.json(), json!([]));
    assert_eq!(site.get("/deliveries").await.status, StatusCode::OK);
    site.stop().await;
}
