//! Gives the builders their turns: in the order of their oldest request, or as `prioritizeBuilders` says.
//!
//! One turn at a time, so that builders that share workers get them in that order.

use super::builder::{Look, TakeTurn};
use super::house::House;
use super::turn::described;
use crate::config::{Arg, Callback, Object, builder_object};
use crate::model::Time;
use actix::prelude::*;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// How often a function of the configuration that made a request wait is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How long a builder may take to say what waits, and to start what can start, before the others go on.
const LOOK: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_secs(60);

pub(super) struct Distributor {
    house: Arc<House>,
}

impl Distributor {
    pub fn new(house: Arc<House>) -> Distributor {
        Distributor { house }
    }
}

impl Actor for Distributor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let house = self.house.clone();
        ctx.spawn(
            async move {
                let mut ask_again = true;
                loop {
                    let nudged = house.nudge.notified();
                    if ask_again {
                        let _ = tokio::time::timeout(ASK_AGAIN, nudged).await;
                    } else {
                        nudged.await;
                    }
                    ask_again = give_turns(&house).await;
                }
            }
            .into_actor(self),
        );
        self.house.nudge.notify_one();
    }
}

impl Supervised for Distributor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Distributor::new(self.house.clone());
    }
}

/// True when asking again after a while may start something.
async fn give_turns(house: &Arc<House>) -> bool {
    let looks = house.builders().into_iter().map(|(name, addr)| async move {
        // One that does not answer was removed or is parked, or is being restarted and asks for a turn itself.
        let oldest = tokio::time::timeout(LOOK, addr.send(Look)).await.ok()?.ok()??;
        Some((oldest, name))
    });
    let mut waiting: Vec<(Time, String)> = futures::future::join_all(looks).await.into_iter().flatten().collect();
    waiting.sort();
    let mut order: Vec<String> = waiting.into_iter().map(|(_, name)| name).collect();
    if let Some(prioritize) = &house.config().prioritize_builders
        && order.len() > 1
    {
        order = prioritized(house, prioritize, order).await;
    }
    let mut ask_again = false;
    for name in order {
        let Some(addr) = house.builder(&name) else { continue };
        match tokio::time::timeout(TURN, addr.send(TakeTurn)).await {
            Ok(Ok(again)) => ask_again |= again,
            Ok(Err(cause)) => warn!("builder {name} did not finish its turn: {cause}; it takes another once restarted"),
            Err(_) => {
                warn!("builder {name} has not finished its turn within {TURN:?}; the others go on");
                ask_again = true;
            }
        }
    }
    ask_again
}

/// Builders the function leaves out get no turn; a function that fails changes nothing.
async fn prioritized(house: &House, prioritize: &Callback, order: Vec<String>) -> Vec<String> {
    let config = house.config();
    let find = |name: &String| config.builders.iter().find(|builder| builder.name == *name);
    let objects = order.iter().enumerate().filter_map(|(at, name)| {
        let object = builder_object(&described(house, find(name)?));
        Some(Arg::Object(Object { id: i64::try_from(at).unwrap_or(i64::MAX), ..object }))
    });
    let master = Object { kind: "BuildMaster", id: 0, attributes: Vec::new(), methods: Vec::new() };
    match prioritize.call(vec![Arg::Object(master), Arg::List(objects.collect())]).await {
        Ok(Value::Array(answer)) => {
            let places = answer.iter().filter_map(|builder| usize::try_from(builder.get("$id")?.as_u64()?).ok());
            places.filter_map(|at| order.get(at).cloned()).collect()
        }
        Ok(other) => {
            error!("prioritizeBuilders answered {other} instead of a list of builders; the usual order is kept");
            order
        }
        Err(cause) => {
            error!("prioritizeBuilders failed: {cause}; the usual order is kept");
            order
        }
    }
}
