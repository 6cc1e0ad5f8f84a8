use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// Where this thread panicked last; set by the hook of [`log_panics`], taken by [`contain`].
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Logs every panic of the process through `tracing`, with its place, instead of writing to stderr.
///
/// Reports of the tree name the place from then on. Called once, by `app`, after logging is set up.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let thread = std::thread::current();
        tracing::error!(
            place = place.as_deref().unwrap_or("unknown"),
            thread = thread.name().unwrap_or("unnamed"),
            "panicked: {}; this is a bug in Signalbox, please report it",
            text(panic.payload()),
        );
        // During the end of a thread its locals are gone; then nobody asks for the place either.
        let _ = PLACE.try_with(|kept| *kept.borrow_mut() = place);
    }));
}

/// Runs `work`; a panic in it is the error: `panicked at src/hub/hub.rs:12: text`.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = text(&*payload).to_owned();
        // Even the payload may panic as it goes.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        match PLACE.try_with(|kept| kept.borrow_mut().take()).ok().flatten() {
            Some(place) => format!("panicked at {place}: {text}"),
            None => format!("panicked: {text}"),
        }
    })
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(contain(|| 1), Ok(1));
        let error = contain(|| -> () { panic!("boom {}", 2) }).unwrap_err();
        assert!(error.ends_with("boom 2"), "{error}");
    }
}
