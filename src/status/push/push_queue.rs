//! What `serverPushCb` sees: an object with a `queue` of packets, as 0.8's callbacks know it.

use crate::config::{Arg, Method, Object};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The packets one call of the callback may take.
#[derive(Clone, Default)]
pub(super) struct PushQueue(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// Oldest first; the first `popped` have been taken.
    packets: Vec<Value>,
    popped: usize,
}

impl PushQueue {
    pub(super) fn new(packets: Vec<Value>) -> PushQueue {
        PushQueue(Arc::new(Mutex::new(Queue { packets, popped: 0 })))
    }

    /// How many the callback has taken and not put back.
    pub(super) fn popped(&self) -> usize {
        self.queue().popped
    }

    /// `self` of the callback: `self.queue.popChunk()`, `self.queueNextServerPush()`.
    ///
    /// The next push is queued in any case, so that a callback which forgets to ask for it does not end them all.
    pub(super) fn object(&self) -> Object {
        let queue = Object {
            kind: "Queue",
            id: 0,
            attributes: Vec::new(),
            methods: vec![
                ("popChunk", self.method(Queue::pop_chunk)),
                ("insertBackChunk", self.method(Queue::insert_back)),
                ("items", self.method(|queue, _| Ok(json!(queue.packets[queue.popped..])))),
                ("nbItems", self.method(|queue, _| Ok(json!(queue.packets.len() - queue.popped)))),
            ],
        };
        let nothing: Method = Arc::new(|_| Ok(Arg::Json(Value::Null)));
        Object {
            kind: "StatusPush",
            id: 0,
            attributes: vec![("queue", Arg::Object(queue))],
            methods: vec![("queueNextServerPush", nothing)],
        }
    }

    fn method(&self, run: fn(&mut Queue, &[Value]) -> Result<Value, String>) -> Method {
        let this = self.clone();
        Arc::new(move |args| run(&mut this.queue(), args).map(Arg::Json))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The oldest `count`, all without an argument.
    fn pop_chunk(&mut self, args: &[Value]) -> Result<Value, String> {
        let left = self.packets.len() - self.popped;
        let count = match args.first() {
            None | Some(Value::Null) => left,
            Some(count) => {
                let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
                count.ok_or("popChunk: expected a number of packets")?.min(left)
            }
        };
        let chunk = &self.packets[self.popped..self.popped + count];
        self.popped += count;
        Ok(json!(chunk))
    }

    /// Puts packets popped before back in front; which ones follows from their number, as they were popped in order.
    fn insert_back(&mut self, args: &[Value]) -> Result<Value, String> {
        let chunk = args.first().and_then(Value::as_array).ok_or("insertBackChunk: expected a list of packets")?;
        if chunk.len() > self.popped {
            return Err("insertBackChunk: more packets than were popped".to_owned());
        }
        self.popped -= chunk.len();
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(object: &Object, name: &str, args: &[Value]) -> Result<Value, String> {
        let (_, method) = object.methods.iter().find(|(method, _)| *method == name).unwrap();
        match method(args)? {
            Arg::Json(value) => Ok(value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_are_popped_in_order_and_put_back() {
        let packets = PushQueue::new(vec![json!(1), json!(2), json!(3)]);
        let object = packets.object();
        let Arg::Object(queue) = &object.attributes[0].1 else { panic!("no queue") };
        assert_eq!(call(queue, "nbItems", &[]), Ok(json!(3)));
        assert_eq!(call(queue, "popChunk", &[json!(2)]), Ok(json!([1, 2])));
        assert_eq!(call(queue, "items", &[]), Ok(json!([3])));
        assert_eq!(call(queue, "insertBackChunk", &[json!([2])]), Ok(Value::Null));
        assert_eq!(packets.popped(), 1);
        assert_eq!(call(queue, "popChunk", &[]), Ok(json!([2, 3])));
        assert_eq!(call(queue, "popChunk", &[]), Ok(json!([])));
        assert_eq!(packets.popped(), 3);
        assert!(call(queue, "insertBackChunk", &[json!([1, 2, 3, 4])]).is_err());
        assert!(call(queue, "popChunk", &[json!("all")]).is_err());
        assert_eq!(call(&object, "queueNextServerPush", &[]), Ok(Value::Null));
    }
}
