//! Which of the waiting deliveries of a destination come next. Pure.

use super::Pace;
use crate::db::outbox::Waiting;
use crate::model::Time;
use std::collections::HashSet;

#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    /// A newer one of their key waits as well.
    pub(super) superseded: Vec<String>,
    pub(super) next: Next,
}

#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// By their ids.
    Send(Vec<String>),
    /// Nothing is due before then.
    WaitUntil(Time),
    Nothing,
}

/// `waiting` is what is unfinished, oldest first.
pub(super) fn plan(waiting: Vec<Waiting>, now: Time, pace: &Pace) -> Plan {
    let (waiting, superseded) = newest_of_each_key(waiting);
    let due = |waiting: &Waiting| waiting.next_try <= now;
    let (soonest, batch): (Option<Time>, Vec<Waiting>) = if pace.ordered {
        let first = waiting.first().map(|first| first.next_try);
        (first, waiting.into_iter().take_while(due).take(pace.batch).collect())
    } else {
        let waiting = first_of_each_lane(waiting);
        let soonest = waiting.iter().map(|waiting| waiting.next_try).min();
        let due: Vec<Waiting> = waiting.into_iter().filter(due).collect();
        let event = due.first().map(|first| first.seq).filter(|_| pace.by_event);
        let together = |waiting: &Waiting| event.is_none_or(|event| event == waiting.seq);
        (soonest, due.into_iter().filter(together).take(pace.batch).collect())
    };
    let next = match soonest {
        None => Next::Nothing,
        Some(soonest) if batch.is_empty() => Next::WaitUntil(soonest),
        Some(_) => Next::Send(batch.into_iter().map(|waiting| waiting.id).collect()),
    };
    Plan { superseded, next }
}

/// Those without a lane, and of each lane the oldest.
fn first_of_each_lane(waiting: Vec<Waiting>) -> Vec<Waiting> {
    let mut lanes = HashSet::new();
    let first = |waiting: &Waiting| waiting.lane.as_ref().is_none_or(|lane| lanes.insert(lane.clone()));
    waiting.into_iter().filter(first).collect()
}

fn newest_of_each_key(waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<String>) {
    let mut seen = HashSet::new();
    let (mut newest, mut superseded) = (Vec::new(), Vec::new());
    for waiting in waiting.into_iter().rev() {
        match &waiting.key {
            Some(key) if !seen.insert(key.clone()) => superseded.push(waiting.id),
            _ => newest.push(waiting),
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
            by_event: false,
            gather: Duration::ZERO,
            ordered,
            quota: None,
            backoff: Backoff::constant(Duration::ZERO),
            timeout: Duration::ZERO,
            give_up: None,
        }
    }

    fn delivery(id: &str, key: Option<&str>, next_try: i64) -> Waiting {
        Waiting {
            id: id.to_owned(),
            key: key.map(str::to_owned),
            lane: None,
            seq: 1,
            next_try: Time(next_try),
            left: false,
        }
    }

    fn ids(next: &Next) -> Vec<&str> {
        match next {
            Next::Send(batch) => batch.iter().map(String::as_str).collect(),
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
        assert_eq!(superseded, ["pending"]);
    }

    #[test]
    fn the_oldest_of_a_lane_holds_up_its_lane_and_no_other() {
        let on = |lane: &str, waiting: Waiting| Waiting { lane: Some(lane.to_owned()), ..waiting };
        let waiting = vec![
            on("ann", delivery("a1", None, 50)),
            on("ann", delivery("a2", None, 0)),
            on("bob", delivery("b1", None, 0)),
            on("bob", delivery("b2", None, 0)),
        ];
        assert_eq!(ids(&plan(waiting.clone(), Time(10), &pace(false)).next), ["b1"]);
        assert_eq!(ids(&plan(waiting.clone(), Time(50), &pace(false)).next), ["a1", "b1"]);
        assert_eq!(plan(waiting[..2].to_vec(), Time(10), &pace(false)).next, Next::WaitUntil(Time(50)));
    }

    #[test]
    fn what_one_event_made_goes_together_if_that_is_wanted() {
        let of = |seq: i64, id: &str| Waiting { seq, ..delivery(id, None, 0) };
        let waiting = vec![of(1, "a"), of(2, "b"), of(1, "c")];
        let pace = Pace { by_event: true, batch: 9, ..pace(false) };
        assert_eq!(ids(&plan(waiting, Time(0), &pace).next), ["a", "c"]);
    }

    #[test]
    fn nothing_to_do_is_nothing() {
        assert_eq!(plan(Vec::new(), Time(0), &pace(true)).next, Next::Nothing);
    }
}
