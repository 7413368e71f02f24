//! `ringback completions` and `ringback man`: what shells and `man` know of the commands, from the commands' own
//! definitions.

use std::path::PathBuf;

use anyhow::Context;
use clap_complete::Shell;

use super::{Exit, say};

#[derive(Debug, clap::Args)]
pub struct ManArguments {
    /// Write a page for each command into this folder, and print none
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Prints what a shell reads to complete our commands.
pub fn completions(shell: Shell, mut command: clap::Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "ringback", &mut script);
    say(String::from_utf8(script).context("the completions are no text")?.trim_end())?;
    Ok(Exit::Done)
}

/// Prints the page that `man` shows, or writes them all.
pub fn man(arguments: &ManArguments, command: clap::Command) -> anyhow::Result<Exit> {
    match &arguments.out {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            clap_mangen::generate_to(command, folder)
                .with_context(|| format!("cannot write the pages into {}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            say(String::from_utf8(page).context("the page is no text")?.trim_end())?;
        }
    }
    Ok(Exit::Done)
}
