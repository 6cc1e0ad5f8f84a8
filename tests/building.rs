//! Builds that really run: real commands, a real git, a real database.

mod commands;
mod crashing;
mod logs;
mod ordering;
mod queue;
mod reconfiguring;
mod source;
mod steps;
