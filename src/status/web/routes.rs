//! Every address this server answers at, with the action it takes to use it.

use super::fault::Fault;
use super::{json, live, orders, pages};
use crate::master::authz::Action;
use actix_web::{HttpRequest, guard, web};

/// One address and method.
pub struct Route {
    /// `GET` (which stands for `HEAD` too) or `POST`.
    pub method: &'static str,
    /// As actix-web writes patterns; a `/` more at the end leads to the same.
    pub path: &'static str,
    /// What one must be allowed, beside viewing; `None` for what anyone may ask for.
    pub action: Option<Action>,
    to: fn() -> actix_web::Route,
}

macro_rules! get {
    ($path:literal, $action:ident, $handler:path) => {
        Route { method: "GET", path: $path, action: Some(Action::$action), to: || read().to($handler) }
    };
    ($path:literal, $handler:path) => {
        Route { method: "GET", path: $path, action: None, to: || read().to($handler) }
    };
}

macro_rules! post {
    ($path:literal, $action:ident, $handler:path) => {
        Route { method: "POST", path: $path, action: Some(Action::$action), to: || web::post().to($handler) }
    };
}

/// The table. A test walks it.
pub const ROUTES: &[Route] = &[
    get!("/", View, pages::root::page),
    get!("/login", pages::login::page),
    get!("/authfail", pages::login::authfail),
    get!("/authzfail", pages::login::authzfail),
    get!("/live", View, live::connect),
    get!("/waterfall", View, pages::waterfall::page),
    get!("/waterfall/help", View, pages::waterfall_help::page),
    get!("/builders", View, pages::builders::page),
    get!("/builders/{builder}", View, pages::builder::page),
    get!("/builders/{builder}/builds", View, pages::builder::page),
    get!("/builders/{builder}/builds/{number}", View, pages::build::page),
    get!("/builders/{builder}/builds/{number}/steps", View, pages::build::steps),
    get!("/builders/{builder}/builds/{number}/steps/{step}", View, pages::step::page),
    get!("/builders/{builder}/builds/{number}/steps/{step}/logs", View, pages::step::page),
    get!("/builders/{builder}/builds/{number}/steps/{step}/logs/{log}", View, pages::log::page),
    get!("/builders/{builder}/builds/{number}/steps/{step}/logs/{log}/text", View, pages::log::text),
    get!("/one_box_per_builder", View, pages::builders::one_box),
    get!("/one_line_per_build", View, pages::recent::page),
    get!("/one_line_per_build/{builder}", View, pages::recent::of_builder),
    get!("/buildslaves", View, pages::workers::page),
    get!("/buildslaves/{worker}", View, pages::worker::page),
    get!("/changes", View, pages::changes::page),
    get!("/changes/{number}", View, pages::change::page),
    get!("/about", View, pages::about::page),
    get!("/about/supervision", View, pages::supervision::page),
    get!("/deliveries", ShowInternals, pages::deliveries::page),
    get!("/json", View, json::answer),
    get!("/json/changes", View, json::changes),
    get!("/json/events", View, json::events),
    get!("/json/supervision", View, json::supervision),
    get!("/json/deliveries", ShowInternals, json::deliveries),
    get!("/json/{rest:.*}", View, json::answer),
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
        app.service(match route.method {
            "POST" => resource.default_service(web::to(only_post)),
            _ => resource.default_service(web::to(only_get)),
        });
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
