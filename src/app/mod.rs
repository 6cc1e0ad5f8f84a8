//! The commands, and the supervision tree written out once.
//!
//! [`Program`] is the tree: it reads like a table of contents, in start order. The rest of this room is what the
//! command line needs around it.

mod basedir;
mod failure;
mod far_end;
mod janitor;
mod password;
mod program;
mod sections;
mod send_change;
mod signals;
mod user;

pub use failure::Failure;
pub use program::Program;
pub use send_change::{Patience, SendChange, Text, send_change};
pub use signals::{reconfig, stop};
pub use user::{UserCommand, UserOp, user};

use crate::clock::Clock;
use crate::config::{self, Catalog, Config};
use crate::db::{self, Db, Location};
use crate::model::{BigState, Builder};
use crate::supervise;
use basedir::Basedir;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};

/// Where `start` runs when it is told nothing.
const DEFAULT_BASEDIR: &str = "master";

/// Runs in the foreground until SIGTERM or SIGINT. Without `basedir`, in ./master, made on first use.
pub fn start(basedir: Option<PathBuf>) -> Result<(), Failure> {
    supervise::log_panics();
    let basedir = match basedir {
        Some(given) => Basedir::open(&given)?,
        None => match Basedir::open(Path::new(DEFAULT_BASEDIR)) {
            Err(Failure::NoConfig(_)) => Basedir::create(Path::new(DEFAULT_BASEDIR))?,
            opened => opened?,
        },
    };
    let _occupied = basedir.occupy()?;
    let config = load(&basedir.config_file())?;
    let db = open(&config, basedir.path())?;
    actix::System::new().block_on(program::run(basedir.path(), config, db))
}

/// Makes a directory for `start` to run in.
pub fn create_master(basedir: &Path) -> Result<(), Failure> {
    let made = Basedir::create(basedir)?;
    println!("start it with: signalbox start {}", made.path().display());
    Ok(())
}

/// Reports every problem of a master.cfg, given itself or by its directory.
pub fn check_config(path: &Path) -> Result<(), Failure> {
    let file = if path.is_dir() { path.join("master.cfg") } else { path.to_owned() };
    load(&file)?;
    println!("{}: the configuration is good", file.display());
    Ok(())
}

/// Adds `builds` plausible finished builds to the database, spread over the builders of the configuration.
pub fn fill(basedir: &Path, builds: u64) -> Result<(), Failure> {
    let basedir = Basedir::open(basedir)?;
    let _occupied = basedir.occupy()?;
    let config = load(&basedir.config_file())?;
    let location = Location::parse(&config.db_url, basedir.path())?;
    let builders: Vec<Builder> = config.builders.iter().map(|builder| described(builder)).collect();
    let bar = ProgressBar::new(builds).with_style(bar_style());
    db::fill(&location, &builders, builds, Clock::system().now(), |done| bar.set_position(done))?;
    bar.finish();
    println!("{builds} builds over {} builders in {:.1?}", builders.len(), bar.elapsed());
    Ok(())
}

/// The constructors every room brings to master.cfg.
pub fn catalog() -> Catalog {
    let mut kinds = crate::status::kinds();
    kinds.extend(crate::changes::kinds());
    Catalog(kinds)
}

fn load(file: &Path) -> Result<Config, Failure> {
    let failure = |problems| Failure::Config { path: file.display().to_string(), problems };
    let config = config::load(file, &catalog()).map_err(failure)?;
    let doubles = crate::status::doubles(&config);
    if !doubles.is_empty() {
        return Err(failure(doubles));
    }
    config.notes.iter().for_each(|note| tracing::warn!("{}: {}", note.place, note.message));
    Ok(config)
}

fn open(config: &Config, basedir: &Path) -> Result<Db, Failure> {
    Ok(Db::open(&Location::parse(&config.db_url, basedir)?)?)
}

fn described(builder: &config::BuilderConfig) -> Builder {
    Builder {
        name: builder.name.clone(),
        basedir: builder.builddir.clone(),
        description: builder.description.clone(),
        tags: builder.tags.clone(),
        workers: builder.workers.clone(),
        schedulers: Vec::new(),
        state: BigState::Offline,
    }
}

fn bar_style() -> ProgressStyle {
    let template = "{bar:40} {pos}/{len} builds, {per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
