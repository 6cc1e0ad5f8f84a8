//! A subscriber of the hub that writes down what it is told, as slowly as a test wants.

use actix::prelude::*;
use signalbox::db::{Db, events};
use signalbox::hub::{LogGrew, News, Told};
use signalbox::model::{Seq, Stored};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// What was heard, from outside.
#[derive(Clone)]
pub struct Heard {
    pub addr: Addr<Ear>,
    news: Arc<Mutex<Vec<News>>>,
    /// One permit per message; closed means as fast as it can.
    pace: Arc<Semaphore>,
    /// For the hub to count what waits.
    pub mailbox: Arc<AtomicUsize>,
}

pub struct Ear {
    news: Arc<Mutex<Vec<News>>>,
    pace: Arc<Semaphore>,
    capacity: usize,
}

impl Heard {
    pub fn start() -> Heard {
        let heard = Heard::deaf(1024);
        heard.listen();
        heard
    }

    /// Takes one message, then none until it is told to [`listen`](Heard::listen).
    pub fn deaf(capacity: usize) -> Heard {
        let (news, pace) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let ear = Ear { news: Arc::clone(&news), pace: Arc::clone(&pace), capacity };
        Heard { addr: ear.start(), news, pace, mailbox: Arc::default() }
    }

    pub fn listen(&self) {
        self.pace.close();
    }

    pub fn news(&self) -> Vec<News> {
        self.news.lock().unwrap().clone()
    }

    pub fn seqs(&self) -> Vec<Seq> {
        let seq = |news: &News| match news {
            News::Fact(fact) => Some(fact.seq),
            News::Gap { .. } | News::LogGrew(_) => None,
        };
        self.news().iter().filter_map(seq).collect()
    }

    pub fn gaps(&self) -> Vec<(Seq, Seq)> {
        let gap = |news: &News| match news {
            News::Gap { after, upto } => Some((*after, *upto)),
            News::Fact(_) | News::LogGrew(_) => None,
        };
        self.news().iter().filter_map(gap).collect()
    }

    pub fn logs(&self) -> Vec<LogGrew> {
        let log = |news: &News| match news {
            News::LogGrew(grew) => Some((**grew).clone()),
            News::Fact(_) | News::Gap { .. } => None,
        };
        self.news().iter().filter_map(log).collect()
    }

    /// Everything it knows once it has read its gaps, in the order it learned it.
    pub async fn learned(&self, db: &Db) -> Vec<Stored> {
        let mut learned = Vec::new();
        for news in self.news() {
            match news {
                News::Fact(fact) => learned.push((*fact).clone()),
                News::Gap { after, upto } => {
                    let read = db.read(move |conn| events::after(conn, after, upto - after)).await.unwrap();
                    learned.extend(read);
                }
                News::LogGrew(_) => {}
            }
        }
        learned
    }
}

impl Actor for Ear {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.capacity);
    }
}

impl Handler<Told> for Ear {
    type Result = ();

    fn handle(&mut self, told: Told, ctx: &mut Self::Context) {
        self.news.lock().unwrap().push(told.news.clone());
        let pace = Arc::clone(&self.pace);
        if !pace.is_closed() {
            let wait = async move { pace.acquire().await.map(|permit| permit.forget()).is_ok() };
            ctx.wait(wait.into_actor(self).map(|_, _, _| ()));
        }
    }
}
