//! `worker.LocalWorker`: runs commands on this machine.
//!
//! Every command has a process group of its own and a thread of Signalbox that watches it ([`command`]); when it ends,
//! is stopped or runs out of time, the whole group is killed. Should Signalbox itself die without a chance to do so,
//! the kernel kills the command (the death of its watching thread is its death) and the [`guard`] kills the rest of its
//! group.
//!
//! Commands outlive a restart of this actor: they are kept by what its parent and its builds hold.

mod command;
mod control;
mod environment;
mod files;
mod guard;
mod system;

pub(super) use control::Control;

use super::house::House;
use super::worker::{Killer, OUTPUT_QUEUE, Output, Running, Session, Work, join};
use crate::model::*;
use actix::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::{error, info};

/// Begin a piece of work.
#[derive(Message)]
#[rtype(result = "Running")]
pub(super) struct Run(pub Work);

pub(super) struct LocalWorker {
    name: String,
    house: Arc<House>,
    directory: PathBuf,
}

impl LocalWorker {
    pub fn new(name: &str, house: Arc<House>) -> LocalWorker {
        let directory = house.basedir.join("workers").join(name);
        LocalWorker { name: name.to_owned(), house, directory }
    }

    /// As the pages show it.
    fn described(&self) -> Worker {
        let known = self.house.workers.describe(&self.name);
        Worker {
            connected: true,
            graceful: false,
            host: Some(system::host_name()),
            version: Some(concat!("Signalbox ", env!("CARGO_PKG_VERSION")).to_owned()),
            last_heard: Some(self.house.clock.now()),
            ..known
        }
    }
}

impl Actor for LocalWorker {
    type Context = Context<Self>;

    /// Connects, unless it is back after a restart and was never seen to go.
    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.house.workers.is_connected(&self.name) {
            return;
        }
        let directory = self.directory.to_string_lossy().into_owned();
        let session = Session::Local { addr: ctx.address(), directory };
        let (house, worker, folder) = (self.house.clone(), self.described(), self.directory.clone());
        let connect = async move {
            let name = worker.name.clone();
            let made = tokio::task::spawn_blocking(move || std::fs::create_dir_all(&folder).map_err(|e| (folder, e)));
            if let Ok(Err((folder, cause))) = made.await {
                let folder = folder.display();
                error!("worker {name}: cannot make {folder}: {cause}; its builds fail until it can be made");
            }
            info!("worker {name} is connected");
            // From here to the queued facts nothing else runs, so nobody hears of a build on a worker before they hear of
            // the worker.
            house.workers.connected(&name, session, house.clock.now());
            let mut events = vec![Event::SlaveConnected { slave: worker }];
            events.extend(house.state_changes());
            if house.record(events).await.is_ok() {
                house.nudge.notify_one();
            }
        };
        ctx.spawn(connect.into_actor(self));
    }
}

impl Supervised for LocalWorker {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = LocalWorker::new(&self.name, self.house.clone());
    }
}

impl Handler<Run> for LocalWorker {
    type Result = MessageResult<Run>;

    fn handle(&mut self, Run(work): Run, _: &mut Context<Self>) -> MessageResult<Run> {
        let (output, receive) = mpsc::channel(OUTPUT_QUEUE);
        let base = self.directory.to_string_lossy().into_owned();
        let killer = match work {
            Work::Command(line) => {
                let line = super::worker::CommandLine { directory: join(&base, &line.directory), ..line };
                Killer::Local(command::start(line, output))
            }
            Work::Remove(path) => files::start(output, move || files::remove(&join(&base, &path))),
            Work::Exists(path) => files::start(output, move || files::exists(&join(&base, &path))),
            Work::Copy { from, to } => Killer::Local(command::start(files::copy(&base, &from, &to), output)),
        };
        MessageResult(Running { output: receive, killer })
    }
}

/// Sends the end of some work; a build that no longer listens does not want to know.
fn end(output: &mpsc::Sender<Output>, ended: super::worker::Ended) {
    let _ = output.blocking_send(Output::Ended(ended));
}
