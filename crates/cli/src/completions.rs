//! `footlight completions`: what a shell needs to complete the command.

use clap::{CommandFactory, Parser};
use clap_complete::{Shell, generate};

/// Print completions for a shell
#[derive(Parser)]
#[command(after_help = "Example:\n  footlight completions bash > ~/.local/share/bash-completion/completions/footlight")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> footlight::Result<()> {
        let mut text = Vec::new();
        generate(self.shell, &mut crate::Arguments::command(), "footlight", &mut text);
        crate::output::print(&String::from_utf8_lossy(&text))
    }
}
