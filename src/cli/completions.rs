//! `tidings completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings completions bash > ~/.local/share/bash-completion/completions/tidings
  tidings completions zsh > ~/.zfunc/_tidings
  tidings completions fish > ~/.config/fish/completions/tidings.fish";

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct Options {
    shell: Shell,
}

/// Prints what a shell reads to complete commands.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "tidings", &mut script);
    Ok(std::io::Write::write_all(&mut std::io::stdout(), &script)?)
}
