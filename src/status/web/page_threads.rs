//! The threads that pages are made on: few, and the last to get a processor when there is work for it.
//!
//! A crowd at the pages so never holds up the master, the workers' steps, hooks, orders or web sockets, and never fills the
//! memory: past a bound whoever comes is asked to come back. Orders need no turn here; what people may do goes through
//! however many look on.

use super::fault::Fault;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pages made at once.
const THREADS: usize = 3;

/// Pages that wait to be begun; whoever comes on top of them is told to come back.
const MOST_WAITING: usize = 300;

/// How often it is logged that there is a crowd.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How far behind everybody else they stand (`man 7 sched`, from 0 to 19).
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one web server; they end with it.
pub struct PageThreads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// What goes on with a page whose facts are there; goes first.
    begun: VecDeque<Job>,
    new: VecDeque<Job>,
    /// Threads without work. The one that had some last is woken first: its memory is still at hand.
    idle: Vec<Thread>,
    ended: bool,
    /// How many were told to come back since that was last logged, and when that was.
    refused: u64,
    told: Option<Instant>,
}

impl Queue {
    /// For each job that is added; a thread that is at work looks for the next by itself.
    fn wake(&mut self) {
        if let Some(thread) = self.idle.pop() {
            thread.unpark();
        }
    }

    /// A crowd is one line a minute in the log, not one for each of them.
    fn refuse(&mut self) {
        self.refused += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!("web: too many pages are asked for: {} visitors were asked to come back", self.refused);
            (self.refused, self.told) = (0, Some(Instant::now()));
        }
    }
}

impl PageThreads {
    /// # Errors
    /// When the system has no threads to give.
    pub fn start() -> std::io::Result<PageThreads> {
        let threads = PageThreads(Arc::default());
        for number in 0..THREADS {
            let shared = Arc::clone(&threads.0);
            thread::Builder::new().name(format!("pages-{number}")).spawn(move || work(&shared))?;
        }
        Ok(threads)
    }

    /// Begins with a page: reads its facts.
    ///
    /// # Errors
    /// [`Fault::Busy`] at once when too many wait already, and when the work panicked.
    pub async fn begin<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let (job, done) = job(work);
        {
            let mut queue = self.0.queue();
            if queue.new.len() >= MOST_WAITING {
                queue.refuse();
                return Err(Fault::Busy);
            }
            queue.new.push_back(job);
            queue.wake();
        }
        done.await.map_err(|_| Fault::Broken)
    }

    /// Goes on with one that was begun, before any is begun.
    ///
    /// # Errors
    /// When the work panicked.
    pub async fn go_on<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let (job, done) = job(work);
        {
            let mut queue = self.0.queue();
            queue.begun.push_back(job);
            queue.wake();
        }
        done.await.map_err(|_| Fault::Broken)
    }
}

impl Drop for PageThreads {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.ended = true;
        queue.idle.drain(..).for_each(|thread| thread.unpark());
    }
}

impl Shared {
    /// A panic never happens while it is locked.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when the server has ended.
    fn next(&self) -> Option<Job> {
        let this = thread::current();
        loop {
            {
                let mut queue = self.queue();
                // It may have woken by itself.
                queue.idle.retain(|idle| idle.id() != this.id());
                if queue.ended {
                    return None;
                }
                if let Some(job) = queue.begun.pop_front().or_else(|| queue.new.pop_front()) {
                    return Some(job);
                }
                queue.idle.push(this.clone());
            }
            thread::park();
        }
    }
}

/// Work that nobody waits for any more is left.
fn job<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Job, oneshot::Receiver<T>) {
    let (reply, done) = oneshot::channel();
    let job = move || {
        if !reply.is_closed() {
            let _ = reply.send(work());
        }
    };
    (Box::new(job), done)
}

fn work(shared: &Shared) {
    step_back();
    while let Some(job) = shared.next() {
        // Whoever waits learns of it by the reply that never comes; the panic itself is logged by the hook.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

/// Lets everybody else go first. Where the system refuses, pages are made all the same.
fn step_back() {
    // SAFETY: it takes only numbers; 0 means this thread, as on Linux each has a priority of its own.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        tracing::debug!("pages are made with the priority of everything else: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Barrier;

    #[actix::test]
    async fn so_many_at_once_so_many_wait_and_the_rest_comes_back() {
        let threads = PageThreads::start().unwrap();
        let busy = Arc::new(Barrier::new(THREADS + 1));
        let wait = |barrier: &Arc<Barrier>| {
            let barrier = Arc::clone(barrier);
            move || {
                barrier.wait();
            }
        };
        let (begun, ended) = (Arc::clone(&busy), Arc::new(Barrier::new(THREADS + 1)));
        let mut line: Vec<_> = (0..THREADS)
            .map(|_| {
                let (begin, end) = (wait(&begun), wait(&ended));
                Box::pin(threads.begin(move || {
                    begin();
                    end();
                }))
            })
            .collect();
        assert!(line.iter_mut().all(|page| page.now_or_never().is_none()));
        busy.wait();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(threads.begin(|| ()))).collect();
        assert!(waiting.iter_mut().all(|page| page.now_or_never().is_none()));
        assert!(matches!(threads.begin(|| ()).now_or_never(), Some(Err(Fault::Busy))));
        let mut last = Box::pin(threads.go_on(|| ()));
        assert!(last.as_mut().now_or_never().is_none(), "what was begun is never sent away");
        ended.wait();
        last.await.unwrap();
        for page in line {
            page.await.unwrap();
        }
        for page in waiting {
            page.await.unwrap();
        }
    }

    #[actix::test]
    async fn a_panic_is_one_page_s() {
        let threads = PageThreads::start().unwrap();
        for _ in 0..2 * THREADS {
            assert!(matches!(threads.begin(|| panic!("provoked by a test")).await, Err(Fault::Broken)));
        }
        assert_eq!(threads.begin(|| 7).await.unwrap(), 7);
    }
}
