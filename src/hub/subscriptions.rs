use super::{LogGrew, News, Told};
use crate::model::*;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Which events a subscriber wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Interest {
    Everything,
    Builder(String),
    /// Also told how far its logs reach.
    Build(BuildRef),
    /// Events about builders with any of these tags.
    Tags(Vec<String>),
}

/// Identifies a subscription, to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId(pub u64);

/// Who is told what; outlives a panic of the hub.
#[derive(Default)]
pub(super) struct Subscriptions {
    last_id: u64,
    all: Vec<Subscription>,
    /// By builder, as configured.
    tags: BTreeMap<String, Vec<String>>,
}

struct Subscription {
    id: SubscriptionId,
    name: String,
    interest: Interest,
    to: Recipient<Told>,
    mailbox: Option<Arc<AtomicUsize>>,
    /// It has been told all it wants up to this number.
    told: Seq,
    /// Its mailbox was full: nothing more until it has been told of the gap.
    lagging: bool,
}

impl Subscriptions {
    pub(super) fn add(
        &mut self,
        name: String,
        interest: Interest,
        to: Recipient<Told>,
        mailbox: Option<Arc<AtomicUsize>>,
        told: Seq,
    ) -> SubscriptionId {
        self.all.retain(|old| old.name != name || old.interest != interest || old.to != to);
        self.last_id += 1;
        let id = SubscriptionId(self.last_id);
        self.all.push(Subscription { id, name, interest, to, mailbox, told, lagging: false });
        id
    }

    pub(super) fn remove(&mut self, id: SubscriptionId) {
        self.all.retain(|subscription| subscription.id != id);
    }

    pub(super) fn know_builders(&mut self, builders: Vec<Builder>) {
        self.tags = builders.into_iter().map(|builder| (builder.name, builder.tags)).collect();
    }

    pub(super) fn tell(&mut self, fact: &Arc<Stored>) {
        if let Event::BuilderAdded { builder } = &fact.event {
            self.tags.insert(builder.name.clone(), builder.tags.clone());
        }
        let tags = &self.tags;
        self.all.retain_mut(|subscription| {
            if subscription.lagging {
                return true;
            }
            if !subscription.interest.takes(&fact.event, tags) {
                subscription.told = fact.seq;
                return true;
            }
            subscription.send(News::Fact(Arc::clone(fact)), fact.seq)
        });
        if let Event::BuilderRemoved { builder } = &fact.event {
            self.tags.remove(builder);
        }
    }

    pub(super) fn tell_growth(&mut self, grew: LogGrew) {
        let grew = Arc::new(grew);
        self.all.retain_mut(|subscription| match &subscription.interest {
            Interest::Build(build) if *build == grew.build && !subscription.lagging => {
                let told = subscription.told;
                subscription.send(News::LogGrew(Arc::clone(&grew)), told)
            }
            _ => true,
        });
    }

    /// Tells those that lag, and have room again, of their gap up to `upto`. `true` when some still lag.
    pub(super) fn catch_up(&mut self, upto: Seq) -> bool {
        self.all.retain_mut(|subscription| {
            !subscription.lagging || subscription.send(News::Gap { after: subscription.told, upto }, upto)
        });
        self.all.iter().any(|subscription| subscription.lagging)
    }

    /// Facts up to `last` are stored, and some may not have been told: those behind get a gap.
    pub(super) fn stored_meanwhile(&mut self, last: Seq) {
        for subscription in self.all.iter_mut().filter(|subscription| subscription.told < last) {
            subscription.lagging = true;
        }
    }
}

impl Subscription {
    /// `false` when the subscriber has gone.
    fn send(&mut self, news: News, told: Seq) -> bool {
        match self.to.try_send(Told::new(news, self.mailbox.as_ref())) {
            Ok(()) => {
                self.told = told;
                self.lagging = false;
                true
            }
            Err(SendError::Full(_)) => {
                if !self.lagging {
                    tracing::debug!("{} lags behind event {}; it will read on from the database", self.name, self.told);
                }
                self.lagging = true;
                true
            }
            Err(SendError::Closed(_)) => false,
        }
    }
}

impl Interest {
    fn takes(&self, event: &Event, tags: &BTreeMap<String, Vec<String>>) -> bool {
        match self {
            Interest::Everything => true,
            Interest::Builder(name) => event.builder() == Some(name),
            Interest::Build(build) => {
                event.build_number() == Some(build.number) && event.builder() == Some(&build.builder)
            }
            Interest::Tags(wanted) => {
                let tags = event.builder().and_then(|builder| tags.get(builder));
                tags.is_some_and(|tags| tags.iter().any(|tag| wanted.contains(tag)))
            }
        }
    }
}
