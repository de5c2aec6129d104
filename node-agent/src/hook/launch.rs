//! The small program between the agent in its pod and a hook: makes the host's root its own, looks
//! whether the hook may be run there, and becomes the hook.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use nix::unistd::{chdir, chroot};

use super::{HookError, check};

/// First argument of the agent's binary by which it is this program.
pub const SUBCOMMAND: &str = "run-hook";
/// Argument by which the hook is not looked at alone. The hook's own follow.
pub const RUN: &str = "--run";
/// Exit code for a hook that was not run, as a shell has it.
pub const REFUSED: u8 = 126;

/// Becomes a hook.
#[derive(Debug, Parser)]
#[command(name = "lvs-node-agent run-hook")]
pub struct Launch {
    /// Where the host's root is.
    #[arg(long)]
    root: PathBuf,

    /// Where hooks are, seen from there.
    #[arg(long)]
    directory: PathBuf,

    /// Name of the hook.
    name: String,

    /// Become it, with these arguments.
    #[arg(long, num_args = 0.., allow_hyphen_values = true)]
    run: Option<Vec<OsString>>,
}

impl Launch {
    /// From the arguments of the binary, if they ask for this program.
    #[must_use]
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.into_iter().skip(1).peekable();
        let is_asked_for = arguments.peek()? == SUBCOMMAND;
        is_asked_for.then(|| Self::parse_from(arguments))
    }

    /// Looks whether the hook may be run, and becomes it if it is to; returns otherwise.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Err(error) = self.launch() else {
            return ExitCode::SUCCESS;
        };
        // Whoever waits for the exit code reads this too, if anybody does.
        let _ = writeln!(io::stderr(), "{error}");
        ExitCode::from(REFUSED)
    }

    fn launch(self) -> Result<(), HookError> {
        let Self {
            root,
            directory,
            name,
            run,
        } = self;
        let not_started = |name, action| {
            move |error| HookError::NotStarted {
                name,
                action,
                error,
            }
        };
        let action = "make the host's root its own, for which CAP_SYS_CHROOT is needed";
        chroot(&root)
            .and_then(|()| chdir("/"))
            .map_err(|error| not_started(name.clone(), action)(error.into()))?;
        let path = check(&directory, &name)?;
        match run {
            Some(arguments) => {
                let error = Command::new(path).args(arguments).exec();
                Err(not_started(name, "execute it")(error))
            }
            None => Ok(()),
        }
    }
}
