//! `ringback docs`: the documentation, page by page. On a terminal it is laid out for it; a pipe is given the Markdown.

mod terminal;

use std::io::IsTerminal as _;

use super::names::OneOf;
use super::text::Shape;
use super::{Exit, complain, say};
use crate::docs;

#[derive(Debug, clap::Args)]
pub struct DocsArguments {
    /// The page, a part of it (checks#RB301), or the name of an alert for its runbook; without it, the list of pages
    #[arg(value_name = "PAGE", value_parser = OneOf(names), hide_possible_values = true)]
    page: Option<String>,
    /// Print the Markdown, on a terminal too
    #[arg(long)]
    raw: bool,
}

fn names() -> Vec<(&'static str, &'static str)> {
    docs::PAGES.iter().map(|p| (p.name, p.about)).collect()
}

pub fn docs(arguments: &DocsArguments) -> anyhow::Result<Exit> {
    let Some(name) = &arguments.page else {
        let widest = docs::PAGES.iter().map(|p| p.name.len()).max().unwrap_or(0);
        let mut out = String::from("Pages of the documentation; `ringback docs PAGE` prints one:\n\n");
        for page in docs::PAGES {
            let mut lines = super::text::wrapped(page.about, Shape::of_output().width.saturating_sub(widest + 4));
            let rest = lines.split_off(lines.len().min(1));
            out += &format!("  {:widest$}  {}\n", page.name, lines.concat());
            for line in rest {
                out += &format!("  {:widest$}  {line}\n", "");
            }
        }
        out += "\nThe runbook of an alert goes by its name: `ringback docs RingbackSilent`.\n\
                A running agent serves the same under /docs/ and /runbooks/.";
        say(&out)?;
        return Ok(Exit::Done);
    };
    let Some(text) = docs::page(name) else {
        // The page is there, and has no such part.
        if let Some((page, part)) = name.split_once('#').filter(|(page, _)| docs::page(page).is_some()) {
            complain(&format!("ringback: {page} has no part {part:?}: `ringback docs {page}` prints all of it"));
            return Ok(Exit::BadUsage);
        }
        let near = docs::near(name).map_or_else(String::new, |near| format!("did you mean `ringback docs {near}`? "));
        complain(&format!("ringback: there is no page {name:?}: {near}`ringback docs` lists all of them"));
        return Ok(Exit::BadUsage);
    };
    if arguments.raw || !std::io::stdout().is_terminal() {
        say(text.trim_end())?;
    } else {
        say(terminal::laid_out(text, Shape::of_output()).trim_end())?;
    }
    Ok(Exit::Done)
}
