//! Every address this server answers at, with the action it takes to use it.

use super::fault::Fault;
use super::{hooks, json, live, orders, pages};
use crate::master::authz::Action;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, guard, web};

/// One address and method.
pub struct Route {
    /// `GET` (which stands for `HEAD` too), `POST`, or both.
    pub method: &'static str,
    /// As actix-web writes patterns; a `/` more at the end leads to the same.
    pub path: &'static str,
    /// What one must be allowed, beside viewing; `None` for what anyone may ask for.
    pub action: Option<Action>,
    /// Its answers are kept.
    kept: bool,
    to: fn() -> actix_web::Route,
}

macro_rules! get {
    ($path:literal, $action:ident, $handler:path) => {
        Route { method: "GET", path: $path, action: Some(Action::$action), kept: false, to: || read().to($handler) }
    };
    ($path:literal, $handler:path) => {
        Route { method: "GET", path: $path, action: None, kept: false, to: || read().to($handler) }
    };
}

/// For those who may view, and the same for all of them who are not logged in.
macro_rules! kept {
    ($path:literal, $handler:path) => {
        Route { method: "GET", path: $path, action: Some(Action::View), kept: true, to: || read().to($handler) }
    };
}

macro_rules! post {
    ($path:literal, $action:ident, $handler:path) => {
        Route {
            method: "POST",
            path: $path,
            action: Some(Action::$action),
            kept: false,
            to: || web::post().to($handler),
        }
    };
}

/// For code hosts and scripts, whatever the method: the hook says which it takes.
macro_rules! hook {
    ($path:literal) => {
        Route { method: "GET, POST", path: $path, action: None, kept: false, to: || web::route().to(hooks::take) }
    };
}

/// The table. A test walks it.
pub const ROUTES: &[Route] = &[
    kept!("/", pages::root::page),
    get!("/login", pages::login::page),
    get!("/authfail", pages::login::authfail),
    get!("/authzfail", pages::login::authzfail),
    get!("/live", View, live::connect),
    kept!("/waterfall", pages::waterfall::page),
    kept!("/waterfall/help", pages::waterfall_help::page),
    kept!("/builders", pages::builders::page),
    kept!("/builders/{builder}", pages::builder::page),
    kept!("/builders/{builder}/builds", pages::builder::page),
    kept!("/builders/{builder}/builds/{number}", pages::build::page),
    get!("/builders/{builder}/builds/{number}/steps", View, pages::build::steps),
    kept!("/builders/{builder}/builds/{number}/steps/{step}", pages::step::page),
    kept!("/builders/{builder}/builds/{number}/steps/{step}/logs", pages::step::page),
    kept!("/builders/{builder}/builds/{number}/steps/{step}/logs/{log}", pages::log::page),
    get!("/builders/{builder}/builds/{number}/steps/{step}/logs/{log}/text", View, pages::log::text),
    kept!("/one_box_per_builder", pages::builders::one_box),
    kept!("/one_line_per_build", pages::recent::page),
    kept!("/one_line_per_build/{builder}", pages::recent::of_builder),
    kept!("/buildslaves", pages::workers::page),
    kept!("/buildslaves/{worker}", pages::worker::page),
    kept!("/changes", pages::changes::page),
    kept!("/changes/{number}", pages::change::page),
    get!("/users", ShowUsersPage, pages::users::page),
    get!("/users/table", ShowUsersPage, pages::users::page),
    get!("/users/table/{uid}", ShowUsersPage, pages::user::page),
    get!("/users/{uid}", ShowUsersPage, pages::user::page),
    get!("/about", View, pages::about::page),
    get!("/about/supervision", View, pages::supervision::page),
    get!("/deliveries", ShowInternals, pages::deliveries::page),
    get!("/hooks", ShowInternals, pages::hooks::page),
    hook!("/change_hook"),
    hook!("/change_hook/{dialect}"),
    kept!("/json", json::answer),
    kept!("/json/changes", json::changes),
    get!("/json/events", View, json::events),
    get!("/json/supervision", View, json::supervision),
    get!("/json/deliveries", ShowInternals, json::deliveries),
    get!("/json/hooks", ShowInternals, json::hooks),
    kept!("/json/{rest:.*}", json::answer),
    post!("/builders/_all/forceall", ForceAllBuilds, orders::force::all),
    post!("/builders/_all/stopall", StopAllBuilds, orders::stop::all),
    post!("/builders/_all/stopchangeall", StopChange, orders::cancel::change_everywhere),
    post!("/builders/_all/cancelpendingall", CancelAllPendingBuilds, orders::cancel::all),
    post!("/builders/_selected/forceselected", ForceAllBuilds, orders::force::selected),
    post!("/builders/_selected/stopselected", StopAllBuilds, orders::stop::selected),
    post!("/builders/_selected/cancelpendingselected", CancelAllPendingBuilds, orders::cancel::selected),
    post!("/builders/{builder}/force", ForceBuild, orders::force::one),
    post!("/builders/{builder}/ping", PingBuilder, orders::builder::ping),
    post!("/builders/{builder}/cancelbuild", CancelPendingBuild, orders::cancel::one),
    post!("/builders/{builder}/stopchange", StopChange, orders::cancel::change),
    post!("/builders/{builder}/builds/{number}/stop", StopBuild, orders::stop::one),
    post!("/builders/{builder}/builds/{number}/rebuild", ForceBuild, orders::builder::rebuild),
    post!("/buildslaves/{worker}/shutdown", GracefulShutdown, orders::worker::shutdown),
    post!("/buildslaves/{worker}/pause", PauseSlave, orders::worker::pause),
    post!("/buildslaves/{worker}/unpause", PauseSlave, orders::worker::unpause),
    post!("/deliveries/resend", ResendDeliveries, orders::delivery::send_again),
    post!("/deliveries/drop", ResendDeliveries, orders::delivery::drop),
    post!("/hooks/replay", ReplayHooks, orders::hook::replay),
    post!("/shutdown", CleanShutdown, orders::shutdown::shutdown),
    post!("/cancel_shutdown", CleanShutdown, orders::shutdown::cancel),
];

/// Sets up the addresses of the table; anything else is a file.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    for (index, route) in ROUTES.iter().enumerate() {
        if ROUTES[..index].iter().any(|earlier| earlier.path == route.path) {
            continue;
        }
        let with_slash = format!("{}/", route.path);
        let patterns = if route.path == "/" || route.path.ends_with('}') && route.path.contains(".*") {
            vec![route.path.to_owned()]
        } else {
            vec![route.path.to_owned(), with_slash]
        };
        let here = ROUTES.iter().filter(|other| other.path == route.path);
        let resource = here.fold(web::resource(patterns), |resource, route| resource.route((route.to)()));
        match (route.method, route.kept) {
            ("POST", _) => app.service(resource.default_service(web::to(only_post))),
            (_, false) => app.service(resource.default_service(web::to(only_get))),
            (_, true) => app.service(resource.default_service(web::to(only_get)).wrap(from_fn(super::kept::kept))),
        };
    }
    app.default_service(web::to(pages::files::serve));
}

fn read() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn only_get(_: HttpRequest) -> Result<&'static str, Fault> {
    Err(Fault::Method("GET, HEAD"))
}

async fn only_post(_: HttpRequest) -> Result<&'static str, Fault> {
    Err(Fault::Method("POST"))
}
