use super::convert::{Functions, arg_value, to_json};
use serde_json::Value;
use starlark::environment::Module;
use starlark::eval::{BeforeStmtFunc, BeforeStmtFuncDyn, Evaluator};
use starlark::values::{Heap, OwnedFrozenValue, Value as StarValue};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A function of the configuration, to be called later with limits on steps, depth, memory and time.
///
/// Two are equal when they stand at the same place of the same text: what a function calls may stand anywhere in the
/// file, so any change of the file makes it a new one.
#[derive(Clone)]
pub struct Callback {
    pub(super) function: OwnedFrozenValue,
    pub(super) name: String,
    /// `master.cfg:14`.
    pub(super) place: String,
    /// Its number among the functions of its file.
    pub(super) index: usize,
    /// Of the whole file.
    pub(super) digest: u64,
}

/// A value given to a callback.
#[derive(Clone, Debug)]
pub enum Arg {
    Json(Value),
    Object(Object),
    List(Vec<Arg>),
}

/// An object of 0.8 as callbacks see it: attributes and methods under 0.8's names.
///
/// Returned from a callback it comes back as JSON `{"$object": kind, "$id": id}`; given to a method it arrives as that
/// and its attributes.
#[derive(Clone, Default)]
pub struct Object {
    /// `Builder`, `BuildStatus`, `BuildRequest`, `Change`, …
    pub kind: &'static str,
    /// Tells it from others of its kind: a request's id, a change's number.
    pub id: i64,
    pub attributes: Vec<(&'static str, Arg)>,
    pub methods: Vec<(&'static str, Method)>,
}

/// What a method of an [`Object`] does with its positional arguments.
pub type Method = Arc<dyn Fn(&[Value]) -> Result<Arg, String> + Send + Sync>;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {name}: {message}")]
pub struct CallbackError {
    /// `master.cfg:14`.
    pub place: String,
    pub name: String,
    /// What went wrong and where, or which limit it ran into.
    pub message: String,
}

/// What one call, or the evaluation of a whole file, may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Calls and turns of loops.
    pub ticks: u64,
    /// Functions inside functions.
    pub depth: usize,
    /// Bytes.
    pub heap: usize,
    pub time: Duration,
}

/// For one call. A callback decides something small; a second is for a machine under load.
const CALL: Limits = Limits { ticks: 20_000_000, depth: 50, heap: 128 << 20, time: Duration::from_secs(1) };

/// How long a caller waits for a call that does not keep its limits: one statement can take long by itself.
const PATIENCE: Duration = Duration::from_millis(1500);

impl Limits {
    /// Sets the limits on an evaluator.
    ///
    /// Starlark itself looks only every thousand ticks, which `l = l + l` fills memory in a fraction of; the guard looks
    /// before each statement too.
    pub fn apply(self, eval: &mut Evaluator<'_, '_, '_>) -> starlark::Result<()> {
        let end = Instant::now() + self.time;
        eval.set_max_tick_count(self.ticks).map_err(starlark::Error::new_other)?;
        eval.set_max_callstack_size(self.depth).map_err(starlark::Error::new_other)?;
        eval.set_max_heap_size(self.heap).map_err(starlark::Error::new_other)?;
        eval.set_check_cancelled(Box::new(move || Instant::now() > end));
        eval.before_stmt_for_dap(BeforeStmtFunc::from_dyn(Box::new(Guard { end, limits: self })));
        Ok(())
    }

    /// A sentence for an error that comes from a limit.
    pub fn explain(self, message: &str) -> Option<String> {
        let megabytes = self.heap >> 20;
        let why = if message.contains("cancelled") || message.contains("Cancelled") {
            format!("took longer than {} s", self.time.as_secs())
        } else if message.contains("heap") {
            format!("used more than {megabytes} MB of memory")
        } else if message.contains("tick") {
            format!("took more than {} million steps", self.ticks / 1_000_000)
        } else if message.contains("stack overflow") || message.contains("call stack") {
            format!("called itself more than {} levels deep", self.depth)
        } else {
            return None;
        };
        Some(why)
    }
}

struct Guard {
    end: Instant,
    limits: Limits,
}

impl<'e> BeforeStmtFuncDyn<'e> for Guard {
    fn call<'v>(
        &mut self,
        _span: starlark::codemap::FileSpanRef,
        _continued: bool,
        eval: &mut Evaluator<'v, '_, 'e>,
    ) -> starlark::Result<()> {
        if eval.heap().peak_allocated_bytes() > self.limits.heap {
            return Err(starlark::Error::new_other(anyhow::anyhow!("heap limit")));
        }
        if Instant::now() > self.end {
            return Err(starlark::Error::new_other(anyhow::anyhow!("cancelled")));
        }
        Ok(())
    }
}

/// Results are plain data; an object is its kind and id.
struct Results;

impl<'v> Functions<'v> for Results {
    fn function(&mut self, _value: StarValue<'v>) -> starlark::Result<Value> {
        Err(starlark::Error::new_value(anyhow::anyhow!("returned a function")))
    }

    fn place(&mut self, _first: usize, _last: usize) -> String {
        String::new()
    }

    fn unknown(&mut self, _kind: &str, _place: Option<String>) {}
}

impl Callback {
    /// The name it was defined under; `lambda` for one without.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands, `master.cfg:14`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Calls it on a blocking thread.
    pub async fn call(&self, args: Vec<Arg>) -> Result<Value, CallbackError> {
        let callback = self.clone();
        let running = tokio::task::spawn_blocking(move || callback.call_blocking(args));
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.error("its thread ended early")),
            Err(_) => Err(self.error(format!("gave no answer within {} ms", PATIENCE.as_millis()))),
        }
    }

    /// Calls it here, for callers that may block.
    pub fn call_blocking(&self, args: Vec<Arg>) -> Result<Value, CallbackError> {
        // Starlark panics where a value would be larger than it can hold.
        let result = catch_unwind(AssertUnwindSafe(|| Module::with_temp_heap(|module| self.run(&module, &args))));
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => Err(self.error("made a value too large to hold")),
        }
    }

    fn run<'v>(&self, module: &Module<'v>, args: &[Arg]) -> starlark::Result<Value> {
        let function = module.frozen_heap().alloc(self.function.clone()).to_value();
        let heap: Heap<'v> = module.heap();
        let mut eval = Evaluator::new(module);
        CALL.apply(&mut eval)?;
        let args: Vec<StarValue<'v>> = args.iter().map(|arg| arg_value(arg, heap)).collect();
        let result = eval.eval_function(function, &args, &[])?;
        to_json(result, &mut Results, heap)
    }

    fn error(&self, message: impl Into<String>) -> CallbackError {
        CallbackError { place: self.place.clone(), name: self.name.clone(), message: message.into() }
    }

    fn explain(&self, error: &starlark::Error) -> CallbackError {
        let message = error.without_diagnostic().to_string();
        let Some(span) = error.span() else {
            return self.error(CALL.explain(&message).unwrap_or(message));
        };
        let place = format!("{}:{}", span.filename(), span.resolve_span().begin.line + 1);
        let message = CALL.explain(&message).unwrap_or(message);
        CallbackError { place, name: self.name.clone(), message }
    }
}

impl PartialEq for Callback {
    fn eq(&self, other: &Callback) -> bool {
        self.digest == other.digest && self.index == other.index && self.place == other.place
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<function {} at {}>", self.name, self.place)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {}>", self.kind, self.id)
    }
}
