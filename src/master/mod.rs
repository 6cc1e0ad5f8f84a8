//! Schedulers, queue, builders, workers: the small build master.
//!
//! [`Master`] takes orders (`orders`) and keeps the others employed: one actor per builder and its queue
//! (`builder`), per local worker (`local_worker`) and per scheduler ([`schedulers`]), and one that gives the builders
//! their turns (`distributor`). A running build is a task (`build`), its steps are functions (`steps`).
//!
//! What must outlive an actor is in the database or in the `house` they share. The master can be killed at any moment:
//! the next one records what was left unfinished as results `retry` and builds it again (`repair`).
//!
//! Not here: who may order what (`authz` is asked by those who pass orders on), and how anything looks.

pub mod authz;
mod build;
mod builder;
mod change;
mod distributor;
mod eta;
pub mod force;
mod house;
mod ledger;
mod local_worker;
mod log_limit;
mod log_writer;
mod merge;
mod objects;
mod orders;
mod repair;
pub mod schedulers;
mod shutdown;
mod staff;
mod steps;
mod submit;
mod turn;
mod users;
mod worker;
mod workers;

pub use orders::*;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::hub::Hub;
use crate::model::*;
use crate::supervise::Group;
use actix::prelude::*;
use build::Stop;
use house::House;
use staff::Staff;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// The root of the master: takes orders, owns schedulers, builders and workers.
pub struct Master {
    setup: Setup,
    house: Arc<House>,
    staff: Rc<Staff>,
}

/// What the master needs from outside.
#[derive(Clone)]
pub struct Setup {
    pub db: Db,
    pub hub: Hub,
    pub clock: Clock,
    /// The branch of the tree under which builders, schedulers and workers are started.
    pub group: Group,
    pub basedir: PathBuf,
    pub config: Arc<Config>,
}

impl Master {
    pub fn new(setup: Setup) -> Master {
        let house = Arc::new(House::new(&setup));
        let staff = Rc::new(Staff::new(&setup, house.clone()));
        Master { setup, house, staff }
    }

    /// An order that only needs what all share.
    fn order<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        order: impl FnOnce(Arc<House>) -> F,
    ) -> ResponseFuture<T> {
        Box::pin(order(self.house.clone()))
    }
}

impl Actor for Master {
    type Context = Context<Self>;

    /// Orders wait until what a dead process left behind is repaired and everyone is at work.
    fn started(&mut self, ctx: &mut Context<Self>) {
        let (house, staff, submit) = (self.house.clone(), self.staff.clone(), ctx.address().recipient());
        let begin = async move {
            repair::repair(&house).await;
            staff.employ(house.config(), submit).await;
        };
        ctx.wait(begin.into_actor(self));
        let staff = self.staff.clone();
        ctx.spawn(async move { staff.see_off().await }.into_actor(self));
    }
}

impl Supervised for Master {
    /// Nothing of its own to forget: builders, workers, schedulers and running builds go on, and are found as they are.
    fn restarting(&mut self, _: &mut Context<Self>) {
        *self = Master { setup: self.setup.clone(), house: self.house.clone(), staff: self.staff.clone() };
    }
}

impl Handler<SubmitBuildset> for Master {
    type Result = ResponseFuture<Result<(Buildset, Vec<BuildRequest>), Refused>>;

    fn handle(&mut self, order: SubmitBuildset, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::submit(&house, order).await })
    }
}

impl Handler<ForceBuild> for Master {
    type Result = ResponseFuture<Result<Vec<BuildRequest>, Refused>>;

    fn handle(&mut self, order: ForceBuild, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::force(&house, order).await })
    }
}

impl Handler<Rebuild> for Master {
    type Result = ResponseFuture<Result<BuildRequest, Refused>>;

    fn handle(&mut self, order: Rebuild, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::rebuild(&house, order).await })
    }
}

impl Handler<AddChange> for Master {
    type Result = ResponseFuture<Result<i64, Refused>>;

    fn handle(&mut self, order: AddChange, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { change::add(&house, order).await })
    }
}

impl Handler<ChangeUser> for Master {
    type Result = ResponseFuture<Result<User, Refused>>;

    fn handle(&mut self, order: ChangeUser, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { users::change(&house, order).await })
    }
}

impl Handler<AddChanges> for Master {
    type Result = ResponseFuture<Result<Vec<i64>, Refused>>;

    fn handle(&mut self, order: AddChanges, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { change::add_all(&house, order).await })
    }
}

impl Handler<StopBuild> for Master {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, order: StopBuild, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::stop(&house, order).await })
    }
}

impl Handler<CancelRequest> for Master {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, order: CancelRequest, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::cancel(&house, order.id).await })
    }
}

impl Handler<StopChange> for Master {
    type Result = ResponseFuture<Result<usize, Refused>>;

    fn handle(&mut self, order: StopChange, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { submit::stop_change(&house, order).await })
    }
}

impl Handler<PingBuilder> for Master {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, order: PingBuilder, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { staff::ping(&house, &order.builder).await })
    }
}

impl Handler<SetWorkerPaused> for Master {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, order: SetWorkerPaused, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { staff::set_paused(&house, order).await })
    }
}

impl Handler<ShutDownWorker> for Master {
    type Result = ResponseFuture<Result<(), Refused>>;

    fn handle(&mut self, order: ShutDownWorker, _: &mut Context<Self>) -> Self::Result {
        let staff = self.staff.clone();
        Box::pin(async move { staff.shut_down_worker(&order.worker).await })
    }
}

impl Handler<CleanShutdown> for Master {
    type Result = ();

    fn handle(&mut self, order: CleanShutdown, _: &mut Context<Self>) {
        self.house.set_shutting_down(!order.cancel);
        self.house.nudge.notify_one();
    }
}

impl Handler<WhenShutDown> for Master {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: WhenShutDown, _: &mut Context<Self>) -> Self::Result {
        self.order(|house| async move { shutdown::when_shut_down(&house).await })
    }
}

impl Handler<StopNow> for Master {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopNow, _: &mut Context<Self>) -> Self::Result {
        let staff = self.staff.clone();
        self.order(|house| async move { shutdown::stop_now(&house, &staff).await })
    }
}

impl Handler<Reconfigure> for Master {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Reconfigure(config): Reconfigure, ctx: &mut Context<Self>) -> Self::Result {
        let (staff, submit) = (self.staff.clone(), ctx.address().recipient());
        Box::pin(async move { staff.employ(config, submit).await })
    }
}

impl Handler<GetOutlook> for Master {
    type Result = MessageResult<GetOutlook>;

    fn handle(&mut self, _: GetOutlook, _: &mut Context<Self>) -> Self::Result {
        let (upcoming, tree_stable) = self.staff.plans();
        MessageResult(Outlook {
            waiting: self.house.waiting(),
            upcoming,
            tree_stable,
            shutting_down: self.house.is_shutting_down(),
            graceful: self.house.workers.graceful(),
        })
    }
}

impl Handler<PanicInBuild> for Master {
    type Result = bool;

    fn handle(&mut self, PanicInBuild(build): PanicInBuild, _: &mut Context<Self>) -> bool {
        self.house.stop_build(&build, Stop::Panic)
    }
}
