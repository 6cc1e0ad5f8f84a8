use crate::config::{Config, Horizons};
use crate::db::{Db, DbError, janitor};
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long after a sweep the next one begins.
const PAUSE: Duration = Duration::from_secs(600);

/// Has what lies beyond the horizons deleted, from time to time and after each reconfig.
pub struct Janitor {
    db: Db,
    config: watch::Receiver<Arc<Config>>,
}

impl Janitor {
    pub fn new(db: Db, config: watch::Receiver<Arc<Config>>) -> Janitor {
        Janitor { db, config }
    }
}

impl Actor for Janitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (db, mut config) = (self.db.clone(), self.config.clone());
        let sweeping = async move {
            loop {
                let horizons = config.borrow_and_update().horizons.clone();
                sweep(&db, &horizons).await;
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    changed = config.changed() => if changed.is_err() { return },
                }
            }
        };
        ctx.spawn(sweeping.into_actor(self));
    }
}

impl Supervised for Janitor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Janitor::new(self.db.clone(), self.config.clone());
    }
}

async fn sweep(db: &Db, horizons: &Horizons) {
    match janitor::sweep(db, horizons).await {
        Ok(swept) if swept == janitor::Swept::default() => {}
        Ok(swept) => tracing::info!("beyond the horizons and deleted: {swept:?}"),
        // The program ends; the next one goes on.
        Err(DbError::Closed) => {}
        Err(error) => tracing::warn!("cannot delete what is beyond the horizons: {error}; trying again in {PAUSE:?}"),
    }
}
