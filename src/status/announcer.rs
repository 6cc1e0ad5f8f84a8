use crate::hub::Hub;
use crate::model::*;
use crate::supervise::{ChildChanged, Report};
use actix::prelude::*;
use std::collections::BTreeSet;

/// Records what people must hear of the supervision tree: a part that is parked, and its return.
///
/// It watches the tree ([`crate::supervise::Tree::watch`]); other changes are for those who look at the tree itself.
pub struct Announcer {
    hub: Hub,
    /// Paths announced as parked. Those of an earlier self are forgotten: their return then goes unannounced.
    parked: BTreeSet<String>,
}

impl Announcer {
    pub fn new(hub: Hub) -> Announcer {
        Announcer { hub, parked: BTreeSet::new() }
    }

    fn announce(&self, report: Report, state: &str, ctx: &mut Context<Self>) {
        let reason = report.last_reason.filter(|_| state == "parked");
        let target = TargetState { name: report.path, state: state.to_owned(), reason };
        let recorded = self.hub.record(Event::TargetState { target });
        let logged = async {
            if let Err(error) = recorded.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot record that a part was parked");
            }
        };
        ctx.spawn(logged.into_actor(self));
    }
}

impl Actor for Announcer {
    type Context = Context<Self>;
}

impl Supervised for Announcer {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Announcer::new(self.hub.clone());
    }
}

impl Handler<ChildChanged> for Announcer {
    type Result = ();

    fn handle(&mut self, ChildChanged(report): ChildChanged, ctx: &mut Self::Context) {
        match report.state {
            "parked" if self.parked.insert(report.path.clone()) => self.announce(report, "parked", ctx),
            "running" if self.parked.remove(&report.path) => self.announce(report, "running", ctx),
            _ => {}
        }
    }
}
