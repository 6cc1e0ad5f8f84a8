//! A web status in this process, over a real master and database that already hold some history.

use super::facts::*;
use super::master::Server;
use actix_web::http::StatusCode;
use awc::ClientResponse;
use awc::error::WsProtocolError as ProtocolError;
use awc::ws::{Frame, Message};
use futures::stream::LocalBoxStream;
use futures::{Sink, SinkExt, StreamExt};
use scraper::{Html, Selector};
use signalbox::clock::Clock;
use signalbox::config::{Catalog, Problems, load};
use signalbox::db::{Db, Location, logs};
use signalbox::model::*;
use signalbox::status::web::{self, Orders, WebServer};
use signalbox::supervise::Strategy;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Two builders, a worker, and forms to force builds.
pub const CONFIG: &str = r#"
c = BuildmasterConfig = {}
c['title'] = 'Widget <Foundry>'
c['titleURL'] = 'http://widget.example.org/'
c['buildbotURL'] = 'http://ci.example.org/'
c['workers'] = [worker.LocalWorker('w1', max_builds=4), worker.LocalWorker('w2')]
slow = util.BuildFactory([steps.ShellCommand(name='slow', command='echo started; sleep 60')])
quick = util.BuildFactory([steps.ShellCommand(name='greet', command='echo hello; echo oops >&2')])
c['builders'] = [
    util.BuilderConfig(name='linux', workernames=['w1'], factory=quick, tags=['unix', 'fast']),
    util.BuilderConfig(name='mac/arm', workernames=['w2'], factory=slow, tags=['unix']),
    util.BuilderConfig(name='docs', workernames=['w1'], factory=quick),
]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['linux', 'mac/arm'], properties=[
    util.BooleanParameter(name='clean', label='Clean first:'),
    util.ChoiceStringParameter(name='level', choices=['one', 'two'], default='two', strict=True),
    util.IntParameter(name='times', default=3),
    util.NestedParameter(name='deep', label='Deep', fields=[util.StringParameter(name='inner', default='x"y')]),
])]
"#;

/// What a site is made of that is not the usual one.
pub struct Options {
    pub config: &'static str,
    /// What logs say, by number; [`text`] for those not named.
    pub texts: BTreeMap<i64, Vec<Segment>>,
}

impl Default for Options {
    fn default() -> Options {
        Options { config: CONFIG, texts: BTreeMap::new() }
    }
}

/// A running site and a client for it.
pub struct Site {
    pub server: Server,
    pub url: String,
    web: WebServer,
    client: awc::Client,
    _config: watch::Sender<Arc<signalbox::config::Config>>,
}

/// The web socket of an open page.
pub struct Live {
    sink: Pin<Box<dyn Sink<Message, Error = ProtocolError>>>,
    stream: LocalBoxStream<'static, Result<Frame, ProtocolError>>,
}

impl Live {
    /// What the server says next, beats and the moment aside; `None` once it has closed the connection.
    pub async fn next(&mut self) -> Option<serde_json::Value> {
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(60), self.stream.next());
            match frame.await.expect("the server says something") {
                Some(Ok(Frame::Text(text))) => {
                    let mut said: serde_json::Value = serde_json::from_slice(&text).unwrap();
                    if said.get("beat").is_none() {
                        // Whatever the page shows is of a moment.
                        let now = said.as_object_mut().unwrap().remove("now");
                        assert!(now.is_some_and(|now| now.is_i64()) || said.get("reload").is_some(), "{said}");
                        return Some(said);
                    }
                }
                Some(Ok(Frame::Ping(said))) => self.say(Message::Pong(said)).await,
                Some(Ok(Frame::Pong(_))) => {}
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("an odd frame: {other:?}"),
            }
        }
    }

    pub async fn say(&mut self, message: Message) {
        self.sink.send(message).await.unwrap();
    }
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Site {
    /// With these options of WebStatus beside the port, and this history.
    pub async fn start(options: &str, history: Vec<Event>) -> Site {
        Site::with(options, history, Options::default()).await
    }

    /// The same with another master and other logs.
    pub async fn with(options: &str, history: Vec<Event>, Options { config, texts }: Options) -> Site {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let db = Db::open(&Location::parse("sqlite:///state.sqlite", folder.path()).unwrap()).unwrap();
        fill(&db, history, texts).await;
        let server = Server::start_in(folder.clone(), config).await;
        let text =
            format!("{config}\nc['status'] = [status.WebStatus(http_port='tcp:0:interface=127.0.0.1', {options})]\n");
        let path = folder.path().join("web.cfg");
        std::fs::write(&path, text).unwrap();
        let config = load(&path, &Catalog(signalbox::status::kinds())).unwrap_or_else(|problems| panic!("{problems}"));
        let mut problems = Problems::default();
        let settings = web::Config::read(&config.status[0], &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let (keep, config) = watch::channel(Arc::new(config));
        let setup = web::Setup {
            db: server.db.clone(),
            hub: server.hub.clone(),
            orders: Orders::to(&server.master),
            config,
            sources: watch::channel(Vec::new()).1,
            tree: server.tree.clone(),
            group: server.tree.group("status", Strategy::OneForOne),
            clock: Clock::system(),
            basedir: folder.path().to_owned(),
        };
        let web = web::start(settings, setup).unwrap();
        let url = format!("http://{}", web.address);
        let client = awc::Client::builder().timeout(Duration::from_secs(30)).disable_redirects().finish();
        let site = Site { server, url, web, client, _config: keep };
        site.ready().await;
        site
    }

    /// Read-only, with the usual history.
    pub async fn usual() -> Site {
        Site::start("", history()).await
    }

    /// The master has told of its builders and workers.
    async fn ready(&self) {
        use signalbox::db::{builders, workers};
        let known = |conn: &mut signalbox::db::Conn| {
            let connected = workers::all(conn)?.iter().filter(|worker| worker.connected).count();
            let idle = builders::all(conn)?.iter().filter(|builder| builder.state == BigState::Idle).count();
            Ok((connected >= 2 && idle >= 3).then_some(()))
        };
        self.server.until("workers to connect", known).await;
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.client.get(format!("{}{path}", self.url))).await
    }

    /// `None` where the connection broke, as those do that a falling server had taken.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        let sent = self.client.get(format!("{}{path}", self.url)).send().await;
        Some(read(&mut sent.ok()?).await)
    }

    pub async fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        self.request_with("GET", path, headers).await
    }

    pub async fn request(&self, method: &str, path: &str) -> Answer {
        self.request_with(method, path, &[]).await
    }

    pub async fn request_with(&self, method: &str, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        self.ask(headers.iter().fold(request, |request, header| request.insert_header(*header))).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_with(path, form, &[]).await
    }

    pub async fn post_with(&self, path: &str, form: &[(&str, &str)], headers: &[(&'static str, &str)]) -> Answer {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
        let mut answer = request.send_form(&form).await.unwrap();
        read(&mut answer).await
    }

    /// A web socket for the news of a page that shows everything up to event `seq`.
    pub async fn live(&self, page: &str, seq: &str) -> Live {
        self.live_with(page, seq, &[]).await.unwrap_or_else(|error| panic!("{page}: {error}"))
    }

    pub async fn live_with(
        &self,
        page: &str,
        seq: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Live, awc::error::WsClientError> {
        let page: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
        let request = self.client.ws(format!("{}/live?page={page}&seq={seq}", self.url));
        let request = request.max_frame_size(16 << 20);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (sink, stream) = request.connect().await?.1.split();
        Ok(Live { sink: Box::pin(sink), stream: stream.boxed_local() })
    }

    /// The answer as it comes, for those that do not end soon.
    pub async fn open(
        &self,
        path: &str,
    ) -> ClientResponse<
        impl futures::Stream<Item = Result<actix_web::web::Bytes, awc::error::PayloadError>> + Unpin + use<>,
    > {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn ask(&self, request: awc::ClientRequest) -> Answer {
        read(&mut request.send().await.unwrap()).await
    }

    /// The number of the one log of a step.
    pub async fn log(&self, builder: &str, number: i64, step: &str) -> i64 {
        let (build, step) = (BuildRef { builder: builder.to_owned(), number }, step.to_owned());
        let found = move |conn: &mut signalbox::db::Conn| logs::find(conn, &build, &step, "stdio");
        self.server.db.read(found).await.unwrap().unwrap().1.id
    }

    pub async fn stop(self) {
        self.web.stop().await;
        self.server.stop().await;
    }
}

async fn read<S>(answer: &mut ClientResponse<S>) -> Answer
where
    S: futures::Stream<Item = Result<actix_web::web::Bytes, awc::error::PayloadError>> + Unpin,
{
    let body = answer.body().limit(64 * 1024 * 1024).await.unwrap();
    let headers = answer.headers().iter();
    Answer {
        status: answer.status(),
        headers: headers.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect(),
        text: String::from_utf8_lossy(&body).into_owned(),
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The texts of all elements a CSS selector finds, blanks made single.
    #[track_caller]
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let text = |element: scraper::ElementRef| {
            element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        Html::parse_document(&self.text).select(&Selector::parse(selector).unwrap()).map(text).collect()
    }

    /// What a browser sends of a form without lists when nothing in it is touched.
    #[track_caller]
    pub fn fields(&self, form: &str) -> Vec<(String, String)> {
        let (html, selector) = (Html::parse_document(&self.text), Selector::parse(&format!("{form} input")).unwrap());
        let sent = html.select(&selector).filter(|input| match input.attr("type") {
            Some("checkbox" | "radio") => input.attr("checked").is_some(),
            _ => true,
        });
        sent.map(|input| (input.attr("name").unwrap().to_owned(), input.attr("value").unwrap().to_owned())).collect()
    }

    /// An attribute of all elements a CSS selector finds.
    #[track_caller]
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let (html, selector) = (Html::parse_document(&self.text), Selector::parse(selector).unwrap());
        let found = html.select(&selector);
        found.filter_map(|element| element.attr(name)).map(str::to_owned).collect()
    }
}

/// Stores events, and text for each log they start.
async fn fill(db: &Db, history: Vec<Event>, texts: BTreeMap<i64, Vec<Segment>>) {
    let stored = numbered(1, history);
    let job = move |conn: &mut signalbox::db::Conn| {
        for event in &stored {
            append(conn, std::slice::from_ref(event))?;
            if let Event::LogStarted { log, .. } = &event.event {
                let said = texts.get(&log.id).cloned().unwrap_or_else(|| text(log.id));
                logs::append(conn, log.id, &said)?;
            }
        }
        Ok(())
    };
    db.write(job).await.unwrap();
    db.close().await;
}

/// What the log of this number says.
pub fn text(id: i64) -> Vec<Segment> {
    let segment = |channel, text: &str| Segment { channel, bytes: text.as_bytes().to_vec() };
    vec![
        segment(Channel::Header, "make <all>\n"),
        segment(Channel::Stdout, &format!("line one of log {id}\n\u{1b}[32mgreen & good\u{1b}[0m\n")),
        segment(Channel::Stderr, "something <b>broke</b>\n"),
        segment(Channel::Header, "program finished with exit code 2\n"),
    ]
}

/// One build with two steps, the second ending with `results`.
pub fn a_build(builder: &str, number: i64, results: Results, start: i64) -> Vec<Event> {
    let changed = Change { revlink: Some("https://x.example.org/r?a=1&b=2".to_owned()), ..change(number + 1) };
    let begun = Build {
        started: at(start),
        reason: "a <change> came".to_owned(),
        source_stamps: vec![SourceStamp {
            revision: changed.revision.clone(),
            repository: changed.repository.clone(),
            project: "x".to_owned(),
            changes: vec![changed.clone()],
            ..stamp(Some("main"))
        }],
        ..build(builder, number)
    };
    let reference = begun.reference();
    // The others build what `linux` was told of first.
    let mut events = if builder == "linux" { vec![Event::ChangeAdded { change: changed }] } else { Vec::new() };
    events.push(Event::BuildStarted { build: begun.clone() });
    let mut ended_steps = Vec::new();
    let prefix = builder.len() as i64 * 1000 + number * 10;
    for (index, name, how) in [(0, "compile", Results::Success), (1, "test it", results)] {
        let step = step(&begun, index, name);
        let log = log(prefix + i64::from(index), "stdio");
        events.push(Event::StepStarted { build: reference.clone(), step: step.clone() });
        events.push(Event::LogStarted { build: reference.clone(), step: index, log: log.clone() });
        let length: usize = text(log.id).iter().map(|segment| segment.bytes.len()).sum();
        let log = Log { finished: true, lines: 5, bytes: length as i64, ..log };
        events.push(Event::LogFinished { build: reference.clone(), step: index, log: log.clone() });
        let mut ended = step_ended(&step, 10, how);
        ended.logs = vec![log];
        if how != Results::Success {
            ended.text2 = vec![name.to_owned()];
        }
        let finished =
            Event::StepFinished { build: reference.clone(), step: ended.clone(), properties: Properties::new() };
        events.push(finished);
        ended_steps.push(ended);
    }
    let mut done = ended(&begun, results);
    done.steps = ended_steps;
    done.properties.set("got_revision", format!("{number:040x}"), "Git");
    events.push(Event::BuildFinished { build: done });
    events
}

/// `linux` good, then bad twice; `mac/arm` with warnings; `docs` never built.
pub fn history() -> Vec<Event> {
    let mut events = vec![
        Event::BuilderAdded { builder: builder("linux") },
        Event::BuilderAdded { builder: builder("mac/arm") },
        Event::BuilderAdded { builder: builder("docs") },
    ];
    events.extend(a_build("linux", 0, Results::Success, 0));
    events.extend(a_build("mac/arm", 0, Results::Warnings, 20));
    events.extend(a_build("linux", 1, Results::Failure, 100));
    events.extend(a_build("linux", 2, Results::Failure, 200));
    events
}
