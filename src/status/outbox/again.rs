use crate::db::outbox::{self, Delivery, State};
use crate::db::{Conn, Db, DbError};
use crate::hub::{Hub, HubError};
use crate::master::Refused;
use crate::model::*;
use serde_json::json;

/// What people may order about a delivery that is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It waits again, as if it had been made now.
    SendAgain,
    /// It is never sent, and nobody is asked about it again.
    Drop,
}

/// Carries the order out in the name of `who`, whether the target runs just now or not.
///
/// The composer of the target reads the fact that is recorded here, and wakes its senders.
pub async fn order(
    db: &Db,
    hub: &Hub,
    now: Time,
    id: &str,
    order: Order,
    who: &str,
) -> Result<Result<(), Refused>, HubError> {
    let wanted = id.to_owned();
    let delivery = match db.write(move |conn| carry_out(conn, &wanted, order, now)).await? {
        Ok(delivery) => delivery,
        Err(refused) => return Ok(Err(refused)),
    };
    let (state, done) = match order {
        Order::SendAgain => (WAITING, "sent again"),
        Order::Drop => ("dropped", "dropped"),
    };
    tracing::info!("{}: {id} is {done} by {who}", delivery.target);
    let detail = Some(json!(format!("{done} by {who}")));
    let delivery = DeliveryState { id: delivery.id, target: delivery.target, state: state.to_owned(), detail };
    hub.record(Event::DeliveryState { delivery }).await?;
    Ok(Ok(()))
}

const WAITING: &str = "waiting";

/// Whether a dead delivery of this target waits again.
pub(super) fn wakes(event: &Event, target: &str) -> bool {
    matches!(event, Event::DeliveryState { delivery } if delivery.target == target && delivery.state == WAITING)
}

fn carry_out(conn: &mut Conn, id: &str, order: Order, now: Time) -> Result<Result<Delivery, Refused>, DbError> {
    let Some(delivery) = outbox::find(conn, id)? else {
        return Ok(Err(Refused::NotFound(format!("there is no delivery \"{id}\""))));
    };
    if delivery.state != State::Dead {
        return Ok(Err(Refused::NotNow(format!("{id} is not dead"))));
    }
    match order {
        Order::SendAgain if outbox::is_overtaken(conn, &delivery)? => {
            outbox::update(conn, &[Delivery { state: State::Superseded, ..delivery }])?;
            Ok(Err(Refused::NotNow(format!("{id} is superseded: a newer one says how things stand"))))
        }
        Order::SendAgain => {
            outbox::renew(conn, id, now)?;
            Ok(Ok(delivery))
        }
        Order::Drop => {
            outbox::update(conn, &[Delivery { state: State::Dropped, ..delivery.clone() }])?;
            Ok(Ok(delivery))
        }
    }
}
