//! The `signalbox` command: reads arguments and calls [`signalbox::app`].

use clap::{Args, Parser, Subcommand, ValueEnum};
use signalbox::app::{self, Patience, SendChange, Text, UserCommand, UserOp};
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
    /// Tell a running Signalbox of a change, from a commit script.
    ///
    /// It is posted to the change hook `base` of a web server, which must have change_hook_dialects={'base': True}.
    /// While that cannot be reached it is tried again for up to a minute; nothing is added twice. Exits with 0 when the
    /// change is stored, with 1 when it could not be sent, with 2 when the arguments are wrong.
    Sendchange(Box<Sendchange>),
    /// Add, update, remove or get users of a running Signalbox.
    ///
    /// It speaks to a CommandlineUserManager, which c['user_managers'] must have. Authors of changes become users by
    /// themselves. Exits with 0 when all was done, with 1 when something could not be, with 2 when the arguments are
    /// wrong.
    User(Box<User>),
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

#[derive(Args)]
struct Sendchange {
    /// Its web server: HOST:PORT, or the whole address where it has a prefix (http://HOST/PREFIX).
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:8010")]
    master: String,
    /// A login of its change_hook_auth.
    ///
    /// A missing password is taken from SIGNALBOX_PASSWORD, or asked for on a terminal; both keep it out of the list of
    /// processes.
    #[arg(short, long, value_name = "USER:PASS", allow_hyphen_values = true)]
    auth: Option<String>,
    /// Who made the change.
    #[arg(
        short = 'W',
        long,
        value_name = "USER",
        visible_alias = "username",
        visible_short_alias = 'u',
        allow_hyphen_values = true
    )]
    who: String,
    /// The branch all these files are on; none is the default branch.
    #[arg(short, long, allow_hyphen_values = true)]
    branch: Option<String>,
    /// For schedulers to choose by.
    #[arg(short = 'C', long, allow_hyphen_values = true)]
    category: Option<String>,
    /// The project it belongs to.
    #[arg(short = 'P', long, allow_hyphen_values = true)]
    project: Option<String>,
    /// Where the repository is.
    #[arg(short = 'R', long, allow_hyphen_values = true)]
    repository: Option<String>,
    /// The codebase it belongs to.
    #[arg(long, allow_hyphen_values = true)]
    codebase: Option<String>,
    /// What the version control calls it.
    #[arg(short, long, allow_hyphen_values = true)]
    revision: Option<String>,
    /// A file that holds the revision, as `darcs changes --context` writes it.
    #[arg(long = "revision_file", value_name = "FILE", alias = "revision-file", conflicts_with = "revision")]
    revision_file: Option<PathBuf>,
    /// The address of a page about it.
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    revlink: Option<String>,
    /// When it was made, in seconds since 1970; now, if nothing is said.
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    when: Option<String>,
    /// What its author says of it.
    #[arg(short, long, allow_hyphen_values = true)]
    comments: Option<String>,
    /// A file that holds the comments; - is standard input.
    #[arg(short = 'F', long, value_name = "FILE", conflicts_with = "comments")]
    logfile: Option<PathBuf>,
    /// A property of the change; may be given again for another.
    #[arg(short, long = "property", value_name = "NAME:VALUE", allow_hyphen_values = true)]
    properties: Vec<String>,
    /// How the logfile and the revision file are encoded.
    #[arg(long, default_value = "utf8")]
    encoding: String,
    /// The version control it comes from: who made the change becomes a user of it.
    #[arg(short = 's', long, value_enum)]
    vc: Option<Vc>,
    /// Say nothing but why it failed.
    #[arg(short, long)]
    quiet: bool,
    /// The files that changed.
    files: Vec<String>,
}

#[derive(Args)]
struct User {
    /// What to do.
    #[arg(value_enum, required_unless_present = "op_option")]
    op: Option<Op>,
    /// The same, as 0.8 has it.
    #[arg(long = "op", id = "op_option", value_name = "OP", value_enum, conflicts_with = "op")]
    op_option: Option<Op>,
    /// Its user manager.
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:9990")]
    master: String,
    /// The username of that CommandlineUserManager.
    #[arg(short, long, value_name = "USER", allow_hyphen_values = true)]
    username: String,
    /// Its password.
    ///
    /// A missing one is taken from SIGNALBOX_PASSWORD, or asked for on a terminal; both keep it out of the list of
    /// processes.
    #[arg(short, long, value_name = "PASS", allow_hyphen_values = true)]
    passwd: Option<String>,
    /// update: what the user logs in with where util.UsersAuth decides.
    #[arg(long = "bb_username", value_name = "NAME", alias = "bb-username", allow_hyphen_values = true)]
    bb_username: Option<String>,
    /// update: the password for that, up to 72 bytes; it is stored as a hash.
    ///
    /// A missing one is taken from SIGNALBOX_BB_PASSWORD, or asked for on a terminal.
    #[arg(long = "bb_password", value_name = "PASS", alias = "bb-password", allow_hyphen_values = true)]
    bb_password: Option<String>,
    /// remove, get: whom. An identifier with a comma in it stands in double quotes.
    #[arg(long, value_name = "ID,ID", allow_hyphen_values = true)]
    ids: Vec<String>,
    /// add, update: attributes of a user; may be given again for another.
    ///
    /// For add, TYPE=VALUE,TYPE=VALUE: the first value is the identifier, unless there is an identifier=ID. For update,
    /// ID:TYPE=VALUE,TYPE=VALUE; an empty value takes an attribute away, identifier=NEW renames. A comma that no TYPE=
    /// follows belongs to the value; one that does stands in double quotes: note="a,b=c".
    #[arg(long = "info", value_name = "[ID:]TYPE=VALUE,TYPE=VALUE", allow_hyphen_values = true)]
    infos: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Op {
    Add,
    Update,
    Remove,
    Get,
}

/// The ones of the manual.
#[derive(Clone, Copy, ValueEnum)]
enum Vc {
    Cvs,
    Svn,
    Darcs,
    Hg,
    Bzr,
    Git,
    Mtn,
    P4,
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
        Command::Sendchange(change) => app::send_change(&(*change).into(), &Patience::usual()),
        Command::User(user) => app::user(&(*user).into()),
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

impl From<Sendchange> for SendChange {
    fn from(given: Sendchange) -> SendChange {
        let stdin_or = |path: PathBuf| if path.as_os_str() == "-" { Text::Stdin } else { Text::File(path) };
        SendChange {
            master: given.master,
            auth: given.auth,
            who: given.who,
            branch: given.branch,
            category: given.category,
            project: given.project,
            repository: given.repository,
            codebase: given.codebase,
            revision: given.revision.map(Text::Given).or(given.revision_file.map(Text::File)),
            revlink: given.revlink,
            when: given.when,
            comments: given.comments.map(Text::Given).or(given.logfile.map(stdin_or)),
            properties: given.properties,
            encoding: given.encoding,
            vc: given.vc.and_then(|vc| Some(vc.to_possible_value()?.get_name().to_owned())),
            files: given.files,
            quiet: given.quiet,
        }
    }
}

impl From<User> for UserCommand {
    fn from(given: User) -> UserCommand {
        let op = match given.op.or(given.op_option).expect("clap asks for one of them") {
            Op::Add => UserOp::Add,
            Op::Update => UserOp::Update,
            Op::Remove => UserOp::Remove,
            Op::Get => UserOp::Get,
        };
        UserCommand {
            op,
            master: given.master,
            username: given.username,
            passwd: given.passwd,
            bb_username: given.bb_username,
            bb_password: given.bb_password,
            ids: given.ids,
            infos: given.infos,
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
