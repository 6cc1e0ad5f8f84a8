//! A master in this process, with a folder, a database and a configuration of its own.

use actix::prelude::*;
use signalbox::clock::Clock;
use signalbox::config::{Catalog, Config, load};
use signalbox::db::{Db, Location, builds, events, logs, requests, workers};
use signalbox::hub::{Hub, StatusHub};
use signalbox::master::{Master, Setup, StopNow, SubmitBuildset};
use signalbox::model::*;
use signalbox::supervise::{Child, Pause, Policy, Strategy, Tree, WhenExhausted};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Far longer than anything here takes; a test that reaches it has failed.
const LIMIT: Duration = Duration::from_secs(180);

/// A running master. [`Server::stop`] ends it as a shutdown does; [`Server::crash`] as a kill does.
pub struct Server {
    pub folder: Arc<TempDir>,
    pub db: Db,
    pub hub: Hub,
    pub tree: Tree,
    pub master: Addr<Master>,
    child: Child<Master>,
    _hub: Child<StatusHub>,
}

impl Server {
    /// With this master.cfg in a new folder.
    pub async fn start(config: &str) -> Server {
        Server::start_in(Arc::new(tempfile::tempdir().unwrap()), config).await
    }

    /// The same in a folder another master may have worked in.
    pub async fn start_in(folder: Arc<TempDir>, config: &str) -> Server {
        let config = Arc::new(configuration(folder.path(), config));
        let location = Location::parse("sqlite:///state.sqlite", folder.path()).unwrap();
        let db = Db::open(&location).unwrap();
        let clock = Clock::system();
        let tree = Tree::new(clock.clone(), Strategy::RestForOne);
        let root = tree.group("root", Strategy::OneForOne);
        let (for_hub, hub_clock) = (db.clone(), clock.clone());
        let hub_child = root.start("hub", policy(), move |_, _| StatusHub::new(for_hub, hub_clock));
        let hub = Hub::new(hub_child.addr.clone());
        let group = tree.group("master", Strategy::OneForOne);
        let basedir = folder.path().to_owned();
        let setup = Setup { db: db.clone(), hub: hub.clone(), clock, group: group.clone(), basedir, config };
        let child = group.start("master", policy(), move |_, _| Master::new(setup));
        Server { folder, db, hub, tree, master: child.addr.clone(), child, _hub: hub_child }
    }

    /// Interrupts what runs and closes the database, so that another may be started in the folder.
    pub async fn stop(self) -> Arc<TempDir> {
        self.master.send(StopNow).await.unwrap();
        self.child.stop().await;
        self.db.close().await;
        self.folder
    }

    /// Closes the database under the feet of whatever runs.
    pub async fn crash(self) -> Arc<TempDir> {
        self.db.close().await;
        self.folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until worker `w` is there.
    pub async fn connected(&self) {
        self.until("the worker", |conn| Ok(workers::find(conn, "w")?.filter(|worker| worker.connected))).await;
    }

    /// Asks for one build of this builder.
    pub async fn request(&self, builder: &str) -> BuildRequest {
        self.request_with(builder, Vec::new(), Properties::new()).await
    }

    pub async fn request_with(
        &self,
        builder: &str,
        source_stamps: Vec<SourceStamp>,
        properties: Properties,
    ) -> BuildRequest {
        let order = SubmitBuildset {
            scheduler: "test".into(),
            builders: vec![builder.into()],
            source_stamps,
            properties,
            reason: "because".into(),
            external_idstring: None,
            state: Vec::new(),
        };
        let (_, mut requests) = self.master.send(order).await.unwrap().unwrap();
        requests.remove(0)
    }

    /// Asks for a build and waits for its end.
    pub async fn build(&self, builder: &str) -> Build {
        let request = self.request(builder).await;
        self.built(&request).await
    }

    /// The finished build made for a request that is then complete.
    #[track_caller]
    pub fn built(&self, request: &BuildRequest) -> impl Future<Output = Build> {
        let id = request.id;
        let complete = self.until("a request to be built", move |conn| {
            Ok(requests::find(conn, id)?.filter(|request| request.complete_at.is_some()))
        });
        async move {
            let request = complete.await;
            let number = *request.builds.last().expect("it was built");
            self.find(&request.builder, number).await
        }
    }

    pub async fn find(&self, builder: &str, number: i64) -> Build {
        let builder = builder.to_owned();
        self.db.read(move |conn| builds::find(conn, &builder, number)).await.unwrap().expect("there is such a build")
    }

    /// Waits until a query has an answer.
    #[track_caller]
    pub fn until<T: Send + 'static>(
        &self,
        what: impl Into<String>,
        query: impl Fn(&mut signalbox::db::Conn) -> Result<Option<T>, signalbox::db::DbError> + Send + Clone + 'static,
    ) -> impl Future<Output = T> {
        let caller = std::panic::Location::caller();
        let (db, what, until) = (self.db.clone(), what.into(), Instant::now() + LIMIT);
        async move {
            loop {
                if let Some(answer) = db.read(query.clone()).await.unwrap() {
                    return answer;
                }
                assert!(Instant::now() < until, "{caller}: waited {LIMIT:?} in vain for {what}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Waits until a build of this builder runs the step, and gives it as it then is.
    #[track_caller]
    pub fn running(&self, builder: &str, number: i64, step: &str) -> impl Future<Output = Build> {
        let (builder, step) = (builder.to_owned(), step.to_owned());
        self.until("a step to run", move |conn| {
            let build = builds::find(conn, &builder, number)?;
            Ok(build.filter(|build| build.current_step().is_some_and(|running| running.name == step)))
        })
    }

    /// Waits until what the step of the newest build prints contains `wanted`.
    #[track_caller]
    pub fn output(&self, builder: &str, step: &str, wanted: &str) -> impl Future<Output = String> {
        let (builder, step, wanted) = (builder.to_owned(), step.to_owned(), wanted.to_owned());
        let what = format!("output {wanted:?}");
        self.until(what, move |conn| {
            let Some(build) = builds::find(conn, &builder, -1)? else { return Ok(None) };
            let Some((_, log)) = logs::find(conn, &build.reference(), &step, "stdio")? else { return Ok(None) };
            let (segments, _) = logs::from_byte(conn, log.id, 0, 10_000_000)?;
            let text = text_of(&segments, &[Channel::Stdout, Channel::Stderr]);
            Ok(Some(text).filter(|text| text.contains(&wanted)))
        })
    }

    /// All segments of a log.
    pub async fn segments(&self, build: &Build, step: &str, log: &str) -> Vec<Segment> {
        let (reference, step, log) = (build.reference(), step.to_owned(), log.to_owned());
        let read = move |conn: &mut signalbox::db::Conn| {
            let found = logs::find(conn, &reference, &step, &log)?;
            let (_, log) = found.unwrap_or_else(|| panic!("{reference}, step {step} has no log {log}"));
            Ok(logs::from_byte(conn, log.id, 0, 100_000_000)?.0)
        };
        self.db.read(read).await.unwrap()
    }

    /// What came on standard output and standard error, without what the master says.
    pub async fn printed(&self, build: &Build, step: &str) -> String {
        text_of(&self.segments(build, step, "stdio").await, &[Channel::Stdout, Channel::Stderr])
    }

    /// What the master says in a log.
    pub async fn header(&self, build: &Build, step: &str) -> String {
        text_of(&self.segments(build, step, "stdio").await, &[Channel::Header])
    }

    pub async fn log(&self, build: &Build, step: &str, log: &str) -> String {
        text_of(&self.segments(build, step, log).await, &[Channel::Stdout, Channel::Stderr, Channel::Header])
    }

    /// Every fact stored so far.
    pub async fn facts(&self) -> Vec<Event> {
        let stored = self.db.read(|conn| events::after(conn, 0, 1_000_000)).await.unwrap();
        stored.into_iter().map(|stored| stored.event).collect()
    }
}

/// A checked configuration; fails the test with all its problems.
pub fn configuration(folder: &Path, text: &str) -> Config {
    let path = folder.join("master.cfg");
    std::fs::write(&path, text).unwrap();
    load(&path, &Catalog::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A configuration of one local worker `w` and these builders, given as `name: [steps]`.
pub fn with_builders(builders: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "c = BuildmasterConfig = {}\nc['workers'] = [worker.LocalWorker('w', max_builds=4)]\nc['builders'] = [\n",
    );
    for (name, steps) in builders {
        text.push_str(&format!(
            "    util.BuilderConfig(name='{name}', workernames=['w'], factory=util.BuildFactory([{steps}])),\n"
        ));
    }
    text.push_str("]\n");
    text
}

pub fn text_of(segments: &[Segment], channels: &[Channel]) -> String {
    let wanted = segments.iter().filter(|segment| channels.contains(&segment.channel));
    let bytes: Vec<u8> = wanted.flat_map(|segment| segment.bytes.clone()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A git repository to build from.
pub struct Repository {
    pub folder: TempDir,
}

impl Repository {
    /// With one commit on branch `main`.
    pub fn new() -> Repository {
        let repository = Repository { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit("README", "first\n");
        repository
    }

    pub fn url(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Writes a file and commits it; gives the revision.
    pub fn commit(&self, file: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(file), text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", &format!("change {file}")]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]);
        let output = command.args(arguments).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// Whether a process of this number is there and not dead.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('Z' | 'X')))
}

fn policy() -> Policy {
    Policy {
        pause: Pause::Constant(Duration::from_millis(20)),
        max_restarts: 5,
        window: Duration::from_secs(60),
        when_exhausted: WhenExhausted::Escalate,
    }
}
