//! From a worker's output to the logs of a step.

use super::compile::WarningCounter;
use super::secrets::hide;
use super::{Fault, STDIO, StepRun};
use crate::master::build::Stop;
use crate::master::log_writer::LogWriter;
use crate::master::worker::{CommandLine, Ended, Output, Work};
use crate::model::*;
use std::future::pending;
use std::time::Duration;

/// Pieces larger than this are searched on a blocking thread.
const LARGE: usize = 4096;

/// The most that is kept of output that becomes a property.
const CAPTURE: usize = 16 * 1024 * 1024;

/// Looks at the output of a command as it goes by.
pub(in crate::master) enum Observer {
    Nothing,
    Capture(Captured),
    Warnings(Box<WarningCounter>),
}

/// The output of a command, kept apart; no more than 16 MiB each.
#[derive(Default)]
pub(in crate::master) struct Captured {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Observer {
    async fn see(&mut self, segment: &Segment) -> Result<(), Fault> {
        match self {
            Observer::Nothing => {}
            Observer::Capture(captured) => captured.keep(segment),
            Observer::Warnings(counter) if segment.bytes.len() <= LARGE => counter.see(segment),
            Observer::Warnings(_) => {
                let Observer::Warnings(mut counter) = std::mem::replace(self, Observer::Nothing) else { return Ok(()) };
                let segment = segment.clone();
                let searched = tokio::task::spawn_blocking(move || {
                    counter.see(&segment);
                    counter
                });
                let counter = searched.await.map_err(|cause| Fault::Exception(format!("warningPattern: {cause}")))?;
                *self = Observer::Warnings(counter);
            }
        }
        Ok(())
    }
}

impl Captured {
    fn keep(&mut self, segment: &Segment) {
        let into = match segment.channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
            Channel::Header => return,
        };
        let room = CAPTURE.saturating_sub(into.len()).min(segment.bytes.len());
        into.extend_from_slice(&segment.bytes[..room]);
    }
}

impl StepRun<'_> {
    /// Runs a command to its end, its output going to `stdio` and its watched files to logs of their own.
    ///
    /// An order to stop ends the command first and is then the fault.
    pub async fn command(&mut self, line: CommandLine, observer: &mut Observer) -> Result<Ended, Fault> {
        self.work(Work::Command(line), observer).await
    }

    /// The same for any work.
    pub async fn work(&mut self, work: Work, observer: &mut Observer) -> Result<Ended, Fault> {
        if let Some(stop) = self.stop.pending() {
            return Err(Fault::Stopped(stop));
        }
        if self.stdio.is_none() {
            let (_, event) = self.new_log(STDIO);
            self.build.house.record(vec![event]).await?;
        }
        let mut running = self.build.lease.session.start(work).await;
        let mut stopped: Option<Stop> = None;
        let ended = loop {
            tokio::select! {
                biased;
                stop = self.stop.wait() => {
                    if stop == Stop::Panic {
                        panic!("provoked in build {}", self.reference());
                    }
                    running.killer.kill(why(&stop));
                    stopped = Some(stop);
                }
                item = running.output.recv() => match item {
                    Some(Output::Text(mut segment)) => {
                        observer.see(&segment).await?;
                        segment.bytes = hide(segment.bytes, &self.secrets);
                        if let Some(at) = self.stdio {
                            self.writers[at].add(segment).await;
                        }
                    }
                    Some(Output::File { index, bytes }) => self.add_to_file(index, bytes).await?,
                    Some(Output::Ended(ended)) => break ended,
                    None => break Ended::Lost,
                },
                () = tick(&mut self.writers) => {}
            }
        };
        match (stopped, ended) {
            (Some(stop), _) => Err(Fault::Stopped(stop)),
            (None, Ended::Lost) => Err(Fault::Stopped(Stop::WorkerLost)),
            (None, ended) => Ok(ended),
        }
    }

    /// Waits, unless an order to stop comes first.
    pub async fn pause(&mut self, pause: Duration) -> Result<(), Fault> {
        let wake = tokio::time::sleep(pause);
        tokio::pin!(wake);
        loop {
            tokio::select! {
                stop = self.stop.wait() => return Err(Fault::Stopped(stop)),
                () = &mut wake => return Ok(()),
                () = tick(&mut self.writers) => {}
            }
        }
    }

    /// Names the logs of watched files, in the order of the command's list.
    pub fn watch_files(&mut self, names: &[String]) {
        let known: Vec<String> = self.writers.iter().map(|writer| writer.log().name.clone()).collect();
        let files = names.iter().map(|name| {
            let writer = known.iter().position(|known| known == name && name != STDIO);
            super::FileLog { name: name.clone(), writer }
        });
        self.files = files.collect();
    }

    async fn add_to_file(&mut self, index: usize, bytes: Vec<u8>) -> Result<(), Fault> {
        let Some(file) = self.files.get(index) else { return Ok(()) };
        let at = match file.writer {
            Some(at) => at,
            None => {
                let name = file.name.clone();
                let (at, event) = self.new_log(&name);
                self.build.house.record(vec![event]).await?;
                self.files[index].writer = Some(at);
                at
            }
        };
        let bytes = hide(bytes, &self.secrets);
        self.writers[at].add(Segment { channel: Channel::Stdout, bytes }).await;
        Ok(())
    }
}

/// Does what is due for any of these logs.
async fn tick(writers: &mut [LogWriter]) {
    match writers {
        [] => pending().await,
        [only] => only.tick().await,
        several => {
            let ticks = several.iter_mut().map(|writer| Box::pin(writer.tick()));
            futures::future::select_all(ticks).await;
        }
    }
}

/// As the command's log says it.
fn why(stop: &Stop) -> &'static str {
    match stop {
        Stop::Interrupted { .. } => "interrupted",
        Stop::Shutdown => "interrupted, as Signalbox is shutting down",
        Stop::WorkerLost => "interrupted, as the worker has gone",
        Stop::Panic => "interrupted, as the build has failed within Signalbox",
    }
}
