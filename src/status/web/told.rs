//! Hearing of news for as long as one answer lasts.

use crate::hub::{Hub, HubError, Interest, SubscriptionId, Told};
use crate::model::Seq;
use actix::prelude::*;
use std::sync::Arc;
use tokio::sync::Notify;

/// A subscription to the hub that ends when it is dropped.
///
/// It says *that* something happened; what happened is read from the database, in order and without gaps. So it
/// needs no memory however slow its reader is.
pub struct Bell {
    rung: Arc<Notify>,
    hub: Hub,
    subscription: SubscriptionId,
    _clapper: Addr<Clapper>,
}

struct Clapper {
    rung: Arc<Notify>,
}

impl Actor for Clapper {
    type Context = Context<Self>;
}

impl Handler<Told> for Clapper {
    type Result = ();

    fn handle(&mut self, _: Told, _: &mut Context<Self>) {
        self.rung.notify_one();
    }
}

impl Bell {
    /// From now on; with the last number stored before.
    pub async fn hang(hub: &Hub, name: &str, interest: Interest) -> Result<(Bell, Seq), HubError> {
        let rung = Arc::new(Notify::new());
        let clapper = Clapper { rung: rung.clone() }.start();
        let (subscription, last) = hub.subscribe(name, interest, clapper.clone().recipient(), None).await?;
        Ok((Bell { rung, hub: hub.clone(), subscription, _clapper: clapper }, last))
    }

    /// Resolves once something has happened since the last time, or at once if it already has.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.subscription);
    }
}
