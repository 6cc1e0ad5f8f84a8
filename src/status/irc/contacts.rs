//! All the contacts of a bot, by name and in the order they came.

use super::contact::{Contact, Kind, Settings};
use super::wire::Casemapping;
use crate::model::Time;
use std::collections::{BTreeMap, HashMap};

/// How many there are at most. Past this who has nothing to remember is forgotten sooner, and strangers are not heard.
const MOST: usize = 2000;

/// Stays the same when a nick changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u64);

/// See the module.
#[derive(Debug)]
pub struct Contacts {
    all: BTreeMap<Id, Contact>,
    by_name: HashMap<String, Id>,
    casemapping: Casemapping,
    last: u64,
}

impl Contacts {
    pub fn new(casemapping: Casemapping) -> Contacts {
        Contacts { all: BTreeMap::new(), by_name: HashMap::new(), casemapping, last: 0 }
    }

    /// The server has said how it compares names.
    pub fn refold(&mut self, casemapping: Casemapping) {
        self.casemapping = casemapping;
        let named = self.all.iter().map(|(id, contact)| (casemapping.fold(&contact.name), *id));
        self.by_name = named.collect();
    }

    pub fn find(&self, name: &str) -> Option<Id> {
        self.by_name.get(&self.casemapping.fold(name)).copied()
    }

    pub fn peek(&self, id: Id) -> Option<&Contact> {
        self.all.get(&id)
    }

    pub fn get(&mut self, id: Id) -> Option<&mut Contact> {
        self.all.get_mut(&id)
    }

    /// The one of this name, a new one if need be; `None` when there are too many already.
    pub fn meet(&mut self, name: &str, kind: Kind, now: Time) -> Option<Id> {
        if let Some(id) = self.find(name) {
            return Some(id);
        }
        if self.all.len() >= MOST {
            return None;
        }
        Some(self.add(Contact::new(name, kind, now)))
    }

    fn add(&mut self, contact: Contact) -> Id {
        self.last += 1;
        let id = Id(self.last);
        self.by_name.insert(self.casemapping.fold(&contact.name), id);
        self.all.insert(id, contact);
        id
    }

    /// In the order they came.
    pub fn ids(&self) -> Vec<Id> {
        self.all.keys().copied().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.all.values()
    }

    /// How many have something set that is kept over restarts.
    pub fn with_settings(&self) -> usize {
        self.all.values().filter(|contact| contact.settings != Settings::default()).count()
    }

    /// Forgets those who have nothing to remember, and are not to `stay`.
    pub fn sweep(&mut self, now: Time, stay: impl Fn(&Contact) -> bool) {
        self.all.retain(|_, contact| stay(contact) || !contact.is_forgotten(now));
        let all = &self.all;
        self.by_name.retain(|_, id| all.contains_key(id));
    }

    /// Somebody is called otherwise now: what they were promised goes with them. What is set stays with the name, as
    /// `pm_to_nicks` and the database have it.
    pub fn rename(&mut self, from: &str, to: &str, now: Time) {
        let Some(old) = self.find(from).filter(|old| self.find(to) != Some(*old)) else { return };
        let promised = |contact: &Contact| !contact.watched.is_empty() || !contact.forced.is_empty();
        if !self.all.get(&old).is_some_and(promised) {
            return;
        }
        let Some(new) = self.meet(to, Kind::Person, now) else { return };
        let Some(mut left) = self.all.remove(&old) else { return };
        if let Some(taken) = self.all.get_mut(&new) {
            taken.take_promises(&mut left);
        }
        self.all.insert(old, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BuildRef;

    fn contacts() -> Contacts {
        Contacts::new(Casemapping::Rfc1459)
    }

    fn now() -> Time {
        Time::from_seconds(1000)
    }

    #[test]
    fn names_are_compared_as_the_server_says() {
        let mut contacts = contacts();
        let id = contacts.meet("Ann[a]", Kind::Person, now()).unwrap();
        assert_eq!(contacts.find("ann{A}"), Some(id));
        contacts.refold(Casemapping::Ascii);
        assert_eq!((contacts.find("ann{a}"), contacts.find("ann[a]")), (None, Some(id)));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut contacts = contacts();
        let met = (0..10_000).filter(|n| contacts.meet(&format!("n{n}"), Kind::Person, now()).is_some());
        assert_eq!(met.count(), MOST);
        contacts.sweep(Time::from_seconds(2000), |contact| contact.name == "n7");
        assert_eq!(contacts.iter().map(|contact| contact.name.as_str()).collect::<Vec<_>>(), ["n7"]);
        assert_eq!(contacts.find("n8"), None);
    }

    #[test]
    fn what_is_promised_follows_the_nick() {
        let mut contacts = contacts();
        let ann = contacts.meet("ann", Kind::Person, now()).unwrap();
        let build = BuildRef { builder: "linux".into(), number: 1 };
        contacts.get(ann).unwrap().watched.insert(build.clone());
        contacts.rename("ann", "ann_away", now());
        contacts.rename("nobody", "x", now());
        assert_eq!((contacts.find("ann"), contacts.find("x")), (Some(ann), None));
        let away = contacts.find("ann_away").unwrap();
        assert!(contacts.get(away).unwrap().watched.contains(&build));
        assert!(contacts.get(ann).unwrap().watched.is_empty());
        contacts.rename("ann_away", "ANN_away", now());
        assert!(contacts.get(away).unwrap().watched.contains(&build));
    }
}
