//! The `signalbox` command: reads arguments and calls [`signalbox::app`].

use clap::{Args, Parser, Subcommand, ValueEnum};
use signalbox::app;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A build-status server with a small build master behind it.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How log lines are written to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Human)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM or SIGINT.
    ///
    /// Without BASEDIR it runs in ./master, made on first use with a sample master.cfg that builds the git
    /// repository you stand in.
    Start { basedir: Option<PathBuf> },
    /// Make a directory for `start` to run in, with a commented sample master.cfg.
    CreateMaster { basedir: PathBuf },
    /// Report every problem of a master.cfg; exit 2 if there is one.
    Checkconfig {
        /// A master.cfg, or the directory it is in.
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Have the running Signalbox read its master.cfg again.
    Reconfig(Running),
    /// End the running Signalbox and wait until it has ended.
    Stop(Running),
    /// Fill the database with plausible finished builds, to see how large a machine you need.
    Fill {
        basedir: PathBuf,
        /// How many, spread over the builders of its master.cfg.
        #[arg(long)]
        builds: u64,
    },
}

#[derive(Args)]
struct Running {
    /// The directory it runs in.
    #[arg(default_value = "master")]
    basedir: PathBuf,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.log_format);
    let outcome = match cli.command {
        Command::Start { basedir } => app::start(basedir),
        Command::CreateMaster { basedir } => app::create_master(&basedir),
        Command::Checkconfig { path } => app::check_config(&path),
        Command::Reconfig(running) => app::reconfig(&running.basedir),
        Command::Stop(running) => app::stop(&running.basedir),
        Command::Fill { basedir, builds } => app::fill(&basedir, builds),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("signalbox: {failure}");
            failure.exit_code()
        }
    }
}

/// `SIGNALBOX_LOG` chooses what is logged, in the syntax of `RUST_LOG`; `info` by default.
fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("SIGNALBOX_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match format {
        LogFormat::Human => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
