//! Which of the waiting deliveries of a destination come next. Pure.

use super::Pace;
use crate::db::outbox::{Delivery, State};
use crate::model::Time;
use std::collections::HashSet;

#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// A newer one of their key waits as well.
    pub(super) superseded: Vec<Delivery>,
    pub(super) next: Next,
}

#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Send(Vec<Delivery>),
    /// Nothing is due before then.
    WaitUntil(Time),
    Nothing,
}

/// `waiting` is what is unfinished, oldest first.
pub(super) fn plan(waiting: Vec<Delivery>, now: Time, pace: &Pace) -> Plan {
    let (waiting, superseded) = newest_of_each_key(waiting);
    let Some(soonest) = soonest(&waiting, pace.ordered) else {
        return Plan { superseded, next: Next::Nothing };
    };
    if soonest > now {
        return Plan { superseded, next: Next::WaitUntil(soonest) };
    }
    let due = |delivery: &Delivery| delivery.next_try <= now;
    let batch = match pace.ordered {
        true => waiting.into_iter().take_while(due).take(pace.batch).collect(),
        false => waiting.into_iter().filter(due).take(pace.batch).collect(),
    };
    Plan { superseded, next: Next::Send(batch) }
}

fn soonest(waiting: &[Delivery], ordered: bool) -> Option<Time> {
    let mut tries = waiting.iter().map(|delivery| delivery.next_try);
    if ordered { tries.next() } else { tries.min() }
}

fn newest_of_each_key(waiting: Vec<Delivery>) -> (Vec<Delivery>, Vec<Delivery>) {
    let mut seen = HashSet::new();
    let (mut newest, mut superseded) = (Vec::new(), Vec::new());
    for delivery in waiting.into_iter().rev() {
        match &delivery.key {
            Some(key) if !seen.insert(key.clone()) => {
                superseded.push(Delivery { state: State::Superseded, ..delivery });
            }
            _ => newest.push(delivery),
        }
    }
    newest.reverse();
    superseded.reverse();
    (newest, superseded)
}

#[cfg(test)]
mod tests {
    use super::super::Backoff;
    use super::*;
    use std::time::Duration;

    fn pace(ordered: bool) -> Pace {
        Pace {
            batch: 2,
            gather: Duration::ZERO,
            ordered,
            quota: None,
            backoff: Backoff::constant(Duration::ZERO),
            timeout: Duration::ZERO,
            give_up: None,
        }
    }

    fn delivery(id: &str, key: Option<&str>, next_try: i64) -> Delivery {
        Delivery {
            id: id.to_owned(),
            target: "t".to_owned(),
            destination: "d".to_owned(),
            key: key.map(str::to_owned),
            seq: 1,
            payload: serde_json::Value::Null,
            state: State::Waiting,
            attempts: 0,
            created: Time(0),
            last_try: None,
            next_try: Time(next_try),
            detail: None,
        }
    }

    fn ids(next: &Next) -> Vec<&str> {
        match next {
            Next::Send(batch) => batch.iter().map(|delivery| delivery.id.as_str()).collect(),
            _ => panic!("{next:?}"),
        }
    }

    #[test]
    fn in_order_nothing_overtakes_the_first() {
        let waiting = vec![delivery("a", None, 50), delivery("b", None, 0)];
        assert_eq!(plan(waiting.clone(), Time(10), &pace(true)).next, Next::WaitUntil(Time(50)));
        assert_eq!(ids(&plan(waiting.clone(), Time(10), &pace(false)).next), ["b"]);
        assert_eq!(ids(&plan(waiting, Time(50), &pace(true)).next), ["a", "b"]);
    }

    #[test]
    fn a_batch_has_a_size_and_ends_before_what_is_not_due() {
        let waiting = vec![delivery("a", None, 0), delivery("b", None, 0), delivery("c", None, 0)];
        assert_eq!(ids(&plan(waiting, Time(0), &pace(true)).next), ["a", "b"]);
        let waiting = vec![delivery("a", None, 0), delivery("b", None, 9), delivery("c", None, 0)];
        assert_eq!(ids(&plan(waiting.clone(), Time(0), &pace(true)).next), ["a"]);
        assert_eq!(ids(&plan(waiting, Time(0), &pace(false)).next), ["a", "c"]);
    }

    #[test]
    fn only_the_newest_of_a_key_is_sent() {
        let waiting = vec![
            delivery("pending", Some("sha"), 0),
            delivery("other", Some("else"), 0),
            delivery("success", Some("sha"), 0),
        ];
        let Plan { superseded, next } = plan(waiting, Time(0), &pace(true));
        assert_eq!(ids(&next), ["other", "success"]);
        assert_eq!((superseded[0].id.as_str(), superseded[0].state), ("pending", State::Superseded));
        assert_eq!(superseded.len(), 1);
    }

    #[test]
    fn nothing_to_do_is_nothing() {
        assert_eq!(plan(Vec::new(), Time(0), &pace(true)).next, Next::Nothing);
    }
}
