use crate::config::Problems;
use crate::db::DbError;
use crate::status;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a command ended without having done its work; printed as one message to the operator.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What is wrong with a master.cfg, all of it.
    #[error("{path}: {} found; nothing was started\n{problems}", count(.problems))]
    Config { path: String, problems: Problems },
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{what} {}: {error}", path.display())]
    File { what: &'static str, path: PathBuf, error: std::io::Error },
    #[error("{} holds no master.cfg; make one with `signalbox create-master {}`", .0.display(), .0.display())]
    NoConfig(PathBuf),
    #[error("{} is there already and holds a master.cfg; nothing was changed", .0.display())]
    ExistsAlready(PathBuf),
    #[error("nothing is running in {}", .0.display())]
    NotRunning(PathBuf),
    #[error("Signalbox is running in {} already (process {pid})", basedir.display())]
    RunningAlready { basedir: PathBuf, pid: i32 },
    #[error("the new configuration was refused and the running one stays; see its log, or run `signalbox checkconfig {}`", .0.display())]
    ReconfigRefused(PathBuf),
    #[error("process {pid} has not {what} within {seconds} s")]
    TooSlow { pid: i32, what: &'static str, seconds: u64 },
    /// A target that cannot start: a port in use, an address that is not ours.
    #[error("{0}")]
    Target(#[from] status::StartError),
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
    /// An option of the command line that cannot be what it is.
    #[error("--{option}: {why}")]
    Argument { option: &'static str, why: String },
    /// A change that no server has said it has.
    #[error("{address}: the change was not sent: {why}")]
    NotSent { address: String, why: String },
    /// What users were wanted to be and are not, each in a sentence.
    #[error("{}", .0.join("\nsignalbox: "))]
    Users(Vec<String>),
    /// A user manager that could not be asked.
    #[error("{address}: {why}")]
    UserManager { address: String, why: String },
    /// A part the others need kept dying.
    #[error("{0} kept failing and the others need it; see the log. Nothing stored was lost; starting again is safe")]
    Fallen(String),
}

impl Failure {
    /// 2 where the operator has to mend something first, 1 otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Config { .. }
            | Failure::Db(_)
            | Failure::File { .. }
            | Failure::NoConfig(_)
            | Failure::ExistsAlready(_)
            | Failure::RunningAlready { .. }
            | Failure::Target(_)
            | Failure::Argument { .. } => ExitCode::from(2),
            Failure::NotRunning(_)
            | Failure::Signals(_)
            | Failure::ReconfigRefused(_)
            | Failure::TooSlow { .. }
            | Failure::NotSent { .. }
            | Failure::Users(_)
            | Failure::UserManager { .. }
            | Failure::Fallen(_) => ExitCode::from(1),
        }
    }
}

fn count(problems: &Problems) -> String {
    match problems.0.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}
