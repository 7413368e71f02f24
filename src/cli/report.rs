//! `ringback report`: what happened, for people who were not there, and whether a report is what it was.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::config::{AlertRules, Offline, ProcessEnv};
use crate::core::detect::rules::Rules;
use crate::core::model::bounds;
use crate::core::model::roster::UNNAMED_ACCOUNT;
use crate::core::model::time::Time;
use crate::file;
use crate::report::document::Document;
use crate::report::gather::{Configured, WantedReport, gather};
use crate::report::handover::handover;
use crate::report::verify::{ReportFile, verify};
use crate::report::{html, lines, markdown, model};
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct ReportArguments {
    /// The configuration file; no credentials are needed
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// From when on, such as 2026-11-21T09:00:00Z; without it, the last day that was journaled
    #[arg(long, value_name = "TIME")]
    from: Option<Time>,
    /// Until when; without it, now
    #[arg(long, value_name = "TIME")]
    to: Option<Time>,
    /// Where to: a file whose name ends in .html or .md, or - for Markdown on the output stream
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Leave room for a person's words
    #[arg(long)]
    gaps: bool,
    /// Say what the settings of another configuration would have done
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// One page for the next shift instead
    #[arg(long, conflicts_with_all = ["gaps", "compare"])]
    handover: bool,
    /// Verify this report from itself alone: its text, its chain, its decisions; exits 1 if anything was changed
    #[arg(long, value_name = "FILE", exclusive = true)]
    verify: Option<PathBuf>,
}

pub fn report(arguments: &ReportArguments) -> anyhow::Result<Exit> {
    match &arguments.verify {
        Some(file) => verified(file),
        None => written(arguments),
    }
}

/// In which form a report is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Markdown,
    /// Markdown, on the output stream.
    Stream,
}

fn form(out: &Path) -> Option<Form> {
    match out.extension().and_then(|e| e.to_str()) {
        _ if out == Path::new("-") => Some(Form::Stream),
        Some("html" | "htm") => Some(Form::Html),
        Some("md") => Some(Form::Markdown),
        Some(_) | None => None,
    }
}

/// Where the evidence of a report in Markdown is.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".evidence");
    PathBuf::from(name)
}

fn written(arguments: &ReportArguments) -> anyhow::Result<Exit> {
    let Some(form) = form(&arguments.out) else {
        complain(&format!(
            "ringback: --out {}: name a file that ends in .html or .md, or - for the output stream",
            arguments.out.display()
        ));
        return Ok(Exit::BadUsage);
    };
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from >= to
    {
        complain(&format!("ringback: --from {from} is not before --to {to}"));
        return Ok(Exit::BadUsage);
    }
    let config = Offline::load(&arguments.config, &ProcessEnv)?;
    if config.rules.account == UNNAMED_ACCOUNT {
        complain("ringback: whose numbers these are is not said: set twilio.account_sid, or TWILIO_ACCOUNT_SID");
        return Ok(Exit::BadUsage);
    }
    let other = match &arguments.compare {
        None => None,
        Some(path) => {
            let rules = AlertRules::load(path)?;
            let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            Some((name, Rules::of(&rules.roster, &rules.engine)))
        }
    };
    let now = Clock::system().now();
    let ReportArguments { from, to, gaps, handover: stands_alone, .. } = *arguments;
    let wanted = WantedReport { from, to, now, gaps, stands_alone, other };
    let configured = Configured {
        roster: &config.rules.roster,
        mode: config.rules.rollback.mode,
        overlap: config.overlap + crate::agent::poll::MOST_SKEW,
    };
    let material = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let store = Store::open_read_only(&config.state).await?;
        gather(&store, &configured, &wanted).await
    })?;
    if arguments.handover {
        return put(&arguments.out, form, &handover(&material), &[]);
    }
    put(&arguments.out, form, &model::report(&material), &lines::write(&material))
}

fn put(out: &Path, form: Form, document: &Document, evidence: &[lines::MaterialSection]) -> anyhow::Result<Exit> {
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    match form {
        Form::Stream => say(markdown::page(document).trim_end())?,
        Form::Html => {
            write(out, &html::page(document, evidence))?;
            say(&format!("written: {}", out.display()))?;
        }
        Form::Markdown => {
            write(out, &markdown::page(document))?;
            if evidence.is_empty() {
                say(&format!("written: {}", out.display()))?;
            } else {
                write(&beside(out), &markdown::evidence(evidence))?;
                say(&format!("written: {}, with its evidence in {}", out.display(), beside(out).display()))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn verified(path: &Path) -> anyhow::Result<Exit> {
    let read = |path: &Path| {
        file::bytes(path, bounds::REPORT_BYTES).with_context(|| format!("cannot read {}", path.display()))
    };
    let text = |path: &Path| anyhow::Ok(String::from_utf8_lossy(&read(path)?).into_owned());
    let page = text(path)?;
    let found = if form(path) == Some(Form::Markdown) {
        let evidence = text(&beside(path))?;
        verify(ReportFile::Markdown(&page, &evidence))
    } else {
        verify(ReportFile::Html(&page))
    };
    match found {
        Ok(v) => {
            say(&format!(
                "{}: whole: {} journal records, the last one's hash {}; decisions made once more: {}, without their \
                 entries: {}; entries: {}",
                path.display(),
                v.records,
                v.head,
                v.follow,
                v.not_kept,
                v.entries
            ))?;
            if let Some(version) = v.written_by {
                say(&format!(
                    "Ringback {version} wrote it: its text was not compared; verify it with that version too"
                ))?;
            }
            Ok(Exit::Done)
        }
        Err(damages) => {
            for damage in &damages {
                complain(&format!("{}: {damage}", path.display()));
            }
            Ok(Exit::FoundTrouble)
        }
    }
}
