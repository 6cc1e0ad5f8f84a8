//! The one thread that writes.
//!
//! Jobs wait in call order. The thread takes what is there into one transaction, commits, and only then answers; while
//! it commits, the next group gathers. An idle database so answers one job at once, and a busy one pays for one
//! commit per group.
//!
//! A job that fails or panics takes its group's transaction with it, so the group is run again one job to a
//! transaction: nobody else's work is lost. When the disk is full or the connection gone, the group waits and is run
//! again as it was, with a growing pause, until it gets through; callers only see that it took longer.
//!
//! The queue has no limit of its own. Whoever writes waits for the answer before it writes more, so at most one job
//! per waiting caller is queued, and callers are bounded by their own mailboxes and connections.

use super::checkpointer::Checkpointer;
use super::engine::{Conn, Purpose, TransactionId};
use super::error::Trouble;
use super::lately::{Effects, Lately};
use super::lock::FileLock;
use super::{DbError, Location};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// No more jobs than this share a transaction, so that the first of them does not wait for ever.
const GROUP: usize = 1000;

/// No job is added to a transaction that has run this long.
const GROUP_TIME: Duration = Duration::from_millis(20);

/// The pauses before a group is tried again double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// One thing to be written, with the means to answer whoever asked for it.
trait Job: Send {
    /// May be called several times; the value of the last call is the one answered.
    fn run(&mut self, conn: &mut Conn) -> Result<(), DbError>;
    fn answer(self: Box<Self>, outcome: Result<(), DbError>);
}

struct Task<T, F, A> {
    job: F,
    value: Option<T>,
    then: A,
}

impl<T, F, A> Job for Task<T, F, A>
where
    T: Send,
    F: FnMut(&mut Conn) -> Result<T, DbError> + Send,
    A: FnOnce(Result<T, DbError>) + Send,
{
    fn run(&mut self, conn: &mut Conn) -> Result<(), DbError> {
        self.value = None;
        match catch_unwind(AssertUnwindSafe(|| (self.job)(conn))) {
            Ok(value) => self.value = Some(value?),
            Err(panic) => return Err(DbError::Panicked(message(panic.as_ref()))),
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), DbError>) {
        let Task { job, value, then } = *self;
        // What it holds is let go of here before anyone who shares it goes on, and so mostly freed elsewhere.
        drop(job);
        then(outcome.and_then(|()| value.ok_or(DbError::Closed)));
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".to_owned(),
    }
}

/// What the callers and the thread share.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something was queued, or the end was asked for.
    news: Condvar,
    trouble: Mutex<Option<String>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    /// The thread has found nothing to do, and is to be woken.
    idle: bool,
    closing: bool,
    closed: bool,
    /// Told when the thread has ended.
    ended: Vec<oneshot::Sender<()>>,
}

/// A panic never happens while one of these locks is held, so what they guard is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The callers' end of the writing thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    /// Starts the thread, which owns the connection and the lock from here on.
    pub fn start(conn: Conn, lock: FileLock, location: Location, lately: Arc<Lately>) -> Result<Writer, DbError> {
        let shared = Arc::new(Shared::default());
        let bench = Bench {
            shared: shared.clone(),
            conn: Some(conn),
            checkpointer: Checkpointer::start(&location)?,
            location,
            lately,
            unsure: None,
            failures: 0,
            lock: Some(lock),
        };
        thread::Builder::new().name("db-writer".to_owned()).spawn(move || bench.run()).map_err(DbError::Thread)?;
        Ok(Writer { shared })
    }

    /// Queues a job now; the answer comes after its commit.
    pub fn queue<T, F>(&self, job: F) -> oneshot::Receiver<Result<T, DbError>>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> Result<T, DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have stopped waiting; the work is done all the same.
        self.queue_then(job, |outcome| drop(reply.send(outcome)));
        answer
    }

    /// Queues a job now; `then` is called after its commit, on the writing thread, in the order of the calls.
    pub fn queue_then<T, F, A>(&self, job: F, then: A)
    where
        T: Send + 'static,
        F: FnMut(&mut Conn) -> Result<T, DbError> + Send + 'static,
        A: FnOnce(Result<T, DbError>) + Send + 'static,
    {
        let task = Box::new(Task { job, value: None, then });
        let mut queue = locked(&self.shared.queue);
        if queue.closing {
            drop(queue);
            return task.answer(Err(DbError::Closed));
        }
        queue.jobs.push_back(task);
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.shared.news.notify_one();
        }
    }

    pub fn trouble(&self) -> Option<String> {
        locked(&self.shared.trouble).clone()
    }

    /// How many jobs wait.
    pub fn queued(&self) -> usize {
        locked(&self.shared.queue).jobs.len()
    }

    /// Takes no more jobs; resolves when those queued are committed and the thread has ended.
    pub fn close(&self) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        let mut queue = locked(&self.shared.queue);
        queue.closing = true;
        if !queue.closed {
            queue.ended.push(reply);
        }
        drop(queue);
        self.shared.news.notify_one();
        answer
    }
}

impl Drop for Writer {
    /// With nobody left to queue more, what is queued is committed and the thread ends.
    fn drop(&mut self) {
        locked(&self.shared.queue).closing = true;
        self.shared.news.notify_one();
    }
}

/// The thread's end.
struct Bench {
    shared: Arc<Shared>,
    /// `None` after it was lost, until the next try.
    conn: Option<Conn>,
    checkpointer: Option<Checkpointer>,
    location: Location,
    /// Told of every commit before anybody else is.
    lately: Arc<Lately>,
    /// The transaction whose commit was not answered, until it is known what became of it.
    unsure: Option<(TransactionId, Effects)>,
    /// Failed tries in a row.
    failures: u32,
    /// Let go of before anyone is told that the thread has ended, so that the file can be opened again.
    lock: Option<FileLock>,
}

/// How far a group got in one transaction.
enum Attempt {
    Committed,
    /// Nothing is wrong with the jobs; try them again later.
    Later(DbError),
    /// A job failed, and the transaction with it.
    Failed(DbError),
    /// All ran, and still they could not be committed.
    Refused(DbError),
}

impl Bench {
    fn run(mut self) {
        while let Some(first) = self.next() {
            let mut group = vec![first];
            match self.persist(&mut group, true) {
                Attempt::Failed(_) | Attempt::Refused(_) if group.len() > 1 => {
                    for job in group {
                        self.alone(job);
                    }
                }
                attempt => finish(group, attempt),
            }
        }
        if let Some(conn) = &mut self.conn {
            super::lock::release_advisory(conn);
        }
        self.checkpointer = None;
        // The connection before the lock: closing it empties SQLite's write-ahead log into the file.
        self.conn = None;
        self.lock = None;
        let mut queue = locked(&self.shared.queue);
        queue.closed = true;
        for ended in queue.ended.drain(..) {
            // Whoever asked may have stopped waiting.
            ended.send(()).ok();
        }
    }

    fn alone(&mut self, job: Box<dyn Job>) {
        let mut group = vec![job];
        let attempt = self.persist(&mut group, false);
        finish(group, attempt);
    }

    /// Waits for a job; `None` once there is none and will be none.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = locked(&self.shared.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closing {
                return None;
            }
            queue.idle = true;
            queue = self.shared.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tries until the jobs are committed or one of them turns out to be at fault.
    fn persist(&mut self, group: &mut Vec<Box<dyn Job>>, mut more: bool) -> Attempt {
        loop {
            let attempt = self.attempt(group, more);
            let Attempt::Later(cause) = attempt else {
                self.well();
                if let (Attempt::Committed, Some(checkpointer)) = (&attempt, &mut self.checkpointer) {
                    checkpointer.committed(group.len());
                }
                return attempt;
            };
            // A group that waits is not added to, or it could outgrow the room there is.
            more = false;
            self.wait(&cause);
        }
    }

    /// Runs the jobs in one transaction, adding what is queued meanwhile if `more`.
    fn attempt(&mut self, group: &mut Vec<Box<dyn Job>>, more: bool) -> Attempt {
        let shared = self.shared.clone();
        match self.unanswered_commit() {
            Ok(true) => return Attempt::Committed,
            Ok(false) => {}
            Err(cause) => return Attempt::Later(cause),
        }
        let conn = match self.connection() {
            Ok(conn) => conn,
            Err(cause) => return Attempt::Later(cause),
        };
        if let Err(cause) = conn.begin(Purpose::Write) {
            // Whatever it is, no job is at fault; a fresh connection may help.
            self.conn = None;
            return Attempt::Later(cause.into());
        }
        let began = Instant::now();
        let mut done = 0;
        loop {
            while done < group.len() {
                if let Err(cause) = group[done].run(conn) {
                    return self.take_back(cause);
                }
                done += 1;
            }
            if !more || began.elapsed() >= GROUP_TIME || group.len() >= GROUP {
                break;
            }
            let mut queue = locked(&shared.queue);
            let room = (GROUP - group.len()).min(queue.jobs.len()).min(64);
            if room == 0 {
                break;
            }
            group.extend(queue.jobs.drain(..room));
        }
        let id = match conn.transaction_id() {
            Ok(id) => id,
            Err(cause) => return self.take_back(cause.into()),
        };
        let effects = std::mem::take(&mut conn.effects);
        match conn.commit() {
            Ok(()) => {
                self.lately.committed(effects);
                Attempt::Committed
            }
            Err(cause) => match self.take_back(cause) {
                Attempt::Failed(cause) => Attempt::Refused(cause),
                attempt => {
                    self.unsure = id.map(|id| (id, effects));
                    attempt
                }
            },
        }
    }

    /// Whether a commit whose answer was lost has taken place after all. PostgreSQL knows; doing it twice would be wrong.
    fn unanswered_commit(&mut self) -> Result<bool, DbError> {
        let Some(&(id, _)) = self.unsure.as_ref() else {
            return Ok(false);
        };
        let committed = self.connection()?.was_committed(id)?;
        if let Some((_, effects)) = self.unsure.take_if(|_| committed) {
            self.lately.committed(effects);
        }
        self.unsure = None;
        Ok(committed)
    }

    /// Undoes the transaction and tells whether the job or the circumstances were at fault.
    fn take_back(&mut self, cause: DbError) -> Attempt {
        let trouble = cause.trouble();
        if let Some(conn) = &mut self.conn {
            conn.roll_back();
        }
        if trouble.is_some() || matches!(cause, DbError::Panicked(_)) {
            // What state it is in cannot be told, and a new one costs little.
            self.conn = None;
        }
        match trouble {
            Some(_) => Attempt::Later(cause),
            None => Attempt::Failed(cause),
        }
    }

    fn connection(&mut self) -> Result<&mut Conn, DbError> {
        match &mut self.conn {
            Some(conn) => Ok(conn),
            empty => {
                if let Location::Sqlite(path) = &self.location
                    && !path.exists()
                {
                    // Opening it would make an empty one, and what is stored would seem to be gone.
                    let place = self.location.to_string();
                    let cause = io::Error::from(io::ErrorKind::NotFound);
                    return Err(DbError::Unreadable { place, cause });
                }
                let mut conn = Conn::establish(&self.location, Purpose::Write)?;
                super::lock::take_advisory(&mut conn, &self.location)?;
                Ok(empty.insert(conn))
            }
        }
    }

    /// Makes the trouble known and lets some time pass.
    fn wait(&mut self, cause: &DbError) {
        let words = cause.trouble().map_or_else(|| cause.to_string(), |trouble| Trouble::words(trouble).to_owned());
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LAST_PAUSE);
        let mut trouble = locked(&self.shared.trouble);
        if trouble.is_none() {
            let since = since_epoch();
            let error = cause as &dyn std::error::Error;
            tracing::error!(
                error,
                "{}: nothing can be written: {words}; what waits is kept and tried again; no restart is needed",
                self.location
            );
            *trouble = Some(format!("{words} since {since}"));
        }
        drop(trouble);
        self.failures = self.failures.saturating_add(1);
        thread::sleep(pause);
    }

    fn well(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            *locked(&self.shared.trouble) = None;
            tracing::warn!("{}: writing goes on", self.location);
        }
    }
}

fn finish(group: Vec<Box<dyn Job>>, attempt: Attempt) {
    match attempt {
        Attempt::Committed => group.into_iter().for_each(|job| job.answer(Ok(()))),
        // Only ever with a single job: a larger group is run again one by one.
        Attempt::Failed(cause) | Attempt::Refused(cause) | Attempt::Later(cause) => {
            let mut cause = Some(cause);
            group.into_iter().for_each(|job| job.answer(Err(cause.take().unwrap_or(DbError::Closed))));
        }
    }
}

/// `2026-11-22 07:42:48 UTC`.
fn since_epoch() -> String {
    let now: chrono::DateTime<chrono::Utc> = SystemTime::now().into();
    now.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
