//! Databases to test with: an SQLite file in a folder of its own, or a database of a PostgreSQL server that this
//! process starts once and that ends with it.

use diesel::prelude::*;
use signalbox::db::{Db, DbError, Location};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database of its own for one test; gone when dropped.
pub struct Place {
    pub location: Location,
    pub engine: Engine,
    _folder: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Place {
    pub fn new(engine: Engine) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => "sqlite:///state.sqlite".to_owned(),
            Engine::Postgres => new_database(),
        };
        let location = Location::parse(&url, folder.path()).unwrap();
        Place { location, engine, _folder: folder }
    }

    /// A database that is somewhere already, and stays there.
    pub fn of(location: Location) -> Place {
        let engine = match location {
            Location::Sqlite(_) => Engine::Sqlite,
            Location::Postgres(_) => Engine::Postgres,
        };
        Place { location, engine, _folder: tempfile::tempdir().unwrap() }
    }

    pub fn open(&self) -> Db {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Db, DbError> {
        Db::open(&self.location)
    }

    /// The SQLite file.
    pub fn file(&self) -> &Path {
        match &self.location {
            Location::Sqlite(path) => path,
            Location::Postgres(_) => panic!("PostgreSQL has no file"),
        }
    }

    /// Runs SQL past Signalbox.
    pub fn execute(&self, sql: &str) -> QueryResult<()> {
        use diesel::connection::SimpleConnection;
        match &self.location {
            Location::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                conn.batch_execute("PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000")?;
                conn.batch_execute(sql)
            }
            Location::Postgres(url) => PgConnection::establish(url).unwrap().batch_execute(sql),
        }
    }

    /// Rows of one text column each.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            value: String,
        }
        let rows: Vec<Row> = match &self.location {
            Location::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                diesel::sql_query(sql).load(&mut conn).unwrap()
            }
            Location::Postgres(url) => diesel::sql_query(sql).load(&mut PgConnection::establish(url).unwrap()).unwrap(),
        };
        rows.into_iter().map(|row| row.value).collect()
    }
}

/// Closes it the way a clean shutdown does.
pub fn close(db: Db) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(db.close());
}

/// Declares each of these functions, which take a [`Place`], as a test on both engines.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&$crate::support::database::Place::new($crate::support::database::Engine::Sqlite));
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                super::$name(&$crate::support::database::Place::new($crate::support::database::Engine::Postgres));
            })*
        }
    };
}
pub(crate) use on_both_engines;

/// The URL of a fresh, empty database.
pub fn new_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let server = server();
    let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
    diesel::sql_query(format!("CREATE DATABASE {name}")).execute(&mut conn).unwrap();
    server.url(&name)
}

struct Server {
    /// Where its socket is.
    folder: PathBuf,
    /// Its standard input is a pipe that closes when this process ends, however it ends; then the server stops.
    _watch: Child,
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgresql://signalbox@/{database}?host={}", self.folder.display())
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

const SCRIPT: &str = r#"
folder=$(mktemp -d /tmp/signalbox-postgres.XXXXXX) || exit 1
trap 'rm -rf "$folder"' EXIT
trap '' INT TERM HUP
"$1/initdb" -D "$folder/data" -A trust -U signalbox -E UTF8 --locale=C --no-sync >"$folder/initdb.log" 2>&1 \
    || { cat "$folder/initdb.log" >&2; exit 1; }
"$1/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=500 \
    -c shared_buffers=64MB -c log_min_messages=panic >"$folder/log" 2>&1 &
server=$!
until "$1/pg_isready" -q -h "$folder"; do
    kill -0 $server || { cat "$folder/log" >&2; exit 1; }
    sleep 0.05
done
echo "$folder"
cat >/dev/null
kill -QUIT $server
wait $server
"#;

fn start() -> Server {
    let programs = programs().expect("the database tests need a PostgreSQL server: apt-get install postgresql");
    // SAFETY: it only asks who we are.
    let root = unsafe { libc::geteuid() } == 0;
    let mut command = if root {
        // The server refuses to run as root.
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut watch = command
        .args(["-c", SCRIPT, "sh", programs.to_str().unwrap()])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut folder = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut folder).unwrap();
    assert!(!folder.is_empty(), "PostgreSQL did not start, see above");
    Server { folder: PathBuf::from(folder.trim_end()), _watch: watch }
}

/// Where `initdb` is: the newest of Debian's folders, else wherever the path leads.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions.pop().or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
}
