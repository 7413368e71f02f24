//! The documentation, as the program was built with it: `ringback docs` prints it and the agent serves it, so that what
//! somebody reads is about the version that they run.
//!
//! Each page is Markdown in `pages`, fit to be read as it stands. Pages that say what the code defines (commands,
//! metrics, findings, error codes, reasons, settings, the drawing of the parts) are written or checked by tests in
//! `tests/it`, which fail when the page is not current. The runbooks are those of `alerts/runbooks`.

use crate::core::model::nearest::nearest;

/// A page of the documentation.
#[derive(Debug)]
pub struct DocsPage {
    pub name: &'static str,
    /// One line: what it is about.
    pub about: &'static str,
    /// Markdown.
    pub text: &'static str,
}

macro_rules! pages {
    ($($name:literal: $about:literal,)*) => {
        /// In the order in which they are listed.
        pub const PAGES: &[DocsPage] = &[$(
            DocsPage { name: $name, about: $about, text: include_str!(concat!("pages/", $name, ".md")) },
        )*];
    };
}

pages! {
    "practise": "a break, a rollback and the way back against the pretend Twilio, in ten minutes",
    "configuration": "every key of ringback.toml, with its default and an example",
    "deciding": "when callers count as failed, and how much evidence makes a rollback",
    "silence": "how it is told that calls are missing, by the weeks before",
    "reasons": "why a caller was not served, which of it a swap cures, and a story to see each",
    "commands": "every verb with its options, and the exit codes",
    "orders": "what rollback, restore, apply, hold and the others do, and when they refuse",
    "status": "looking: status, the page, explain, journal",
    "probes": "test calls and test messages",
    "handlers": "plan, apply and adopt: what the numbers are to point at",
    "ports": "how far each number's port is, and when the old provider may be cancelled",
    "drill": "the fire drill on a spare number",
    "notices": "how people are told, and by what",
    "replay": "a recorded log through the rules in force, and how to record one",
    "learn": "call records of the weeks before the port, and the profile that comes of them",
    "report": "what happened, with its evidence, and the page for the next shift",
    "operations": "log, health, state file, backups, two agents, signals",
    "security": "who gets in, what is secret, and what never leaves",
    "metrics": "every metric and label",
    "checks": "every finding of `ringback check` with its cure",
    "error-codes": "what each of Twilio's error codes is taken for",
    "sim": "the pretend Twilio: stories, traps, moving its clock",
    "scenario": "the whole grammar of a scenario file",
    "pretend-twilio": "the pretend Twilio for tests of your own code",
    "limits": "what was tested without a real Twilio, and what is therefore not known",
    "design": "why it is built so",
    "architecture": "the parts and who may use whom, as a drawing",
    "dependencies": "every crate that is used: what for, who keeps it, its licence, what it brings",
    "contributing": "how to start changing it",
    "releasing": "how a release is made",
    "faults": "how to report a fault, with what it takes to find it",
}

macro_rules! runbooks {
    ($($name:literal,)*) => {
        /// Each by the name of its alert.
        pub const RUNBOOKS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../alerts/runbooks/", $name, ".md")))),*];
    };
}

runbooks! {
    "RingbackAbsent", "RingbackAgentDown", "RingbackBlind", "RingbackClockSkew", "RingbackDown", "RingbackDrift",
    "RingbackEngineStuck", "RingbackErrorBudgetFast", "RingbackErrorBudgetSlow", "RingbackErrorBudgetTicket",
    "RingbackErrorsBesideService", "RingbackFallbackBroken", "RingbackFallbackBrokenForSome",
    "RingbackFallbackFailing", "RingbackFewCallersAllFail", "RingbackGroupFailing", "RingbackHeldTooLong",
    "RingbackJournalFailing", "RingbackJournalWentBack", "RingbackLeaseLost", "RingbackLogLag", "RingbackNobodyAnswers", "RingbackNotCurable",
    "RingbackNotificationsFailing", "RingbackNumberFailing", "RingbackNumberQuieterThanLastWeek",
    "RingbackNumbersMissing", "RingbackPollStale", "RingbackPortActionRequired", "RingbackPortRejected",
    "RingbackPortStatusUnknown", "RingbackPortWithdrawn", "RingbackPortedOut", "RingbackPortsUnread",
    "RingbackProbeErrors", "RingbackProbeFailing", "RingbackQueueFull", "RingbackQuieterThanLastWeek",
    "RingbackRestarting", "RingbackRollbackFailed", "RingbackRollbackUnproven", "RingbackRolledBack",
    "RingbackRowsNotUnderstood", "RingbackSilent", "RingbackSuppressed", "RingbackTwilioErrors",
    "RingbackUnknownErrorCode", "RingbackWatchdog",
}

/// What a link to a heading calls it, after `#`. A finding's goes by its code (`## RB301: …` is `RB301`), whatever its
/// title becomes; others by their words, as GitHub has it.
pub fn anchor(heading: &str) -> String {
    if let Some((code, _)) = heading.split_once(':').filter(|(code, _)| is_code(code)) {
        return code.to_owned();
    }
    let kept = |c: char| (c.is_alphanumeric() || c == '_').then(|| c.to_lowercase().to_string());
    let letters = heading.chars().filter_map(|c| kept(c).or_else(|| matches!(c, ' ' | '-').then(|| "-".to_owned())));
    letters.collect()
}

fn is_code(text: &str) -> bool {
    text.strip_prefix("RB").is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// How deep a heading is, and its words.
fn heading(line: &str) -> Option<(usize, &str)> {
    let words = line.trim_start_matches('#');
    let depth = line.len() - words.len();
    (depth > 0).then(|| words.strip_prefix(' ')).flatten().map(|words| (depth, words.trim()))
}

/// The part of a page below the heading that `#part` leads to, with the heading.
fn part(text: &'static str, part: &str) -> Option<&'static str> {
    let (mut begins, mut is_code) = (None, false);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        is_code ^= line.trim_start().starts_with("```");
        if let Some((depth, words)) = heading(line.trim_end()).filter(|_| !is_code) {
            match begins {
                None if anchor(words).eq_ignore_ascii_case(part) => begins = Some((at, depth)),
                Some((from, above)) if depth <= above => return Some(&text[from..at]),
                None | Some(_) => {}
            }
        }
        at += line.len();
    }
    begins.map(|(from, _)| &text[from..])
}

/// The text of the page, or of the runbook, of this name; it may end in `.md`, and `PAGE#PART` is a part of it.
pub fn page(name: &str) -> Option<&'static str> {
    if let Some((name, of_it)) = name.split_once('#') {
        return part(page(name)?, of_it);
    }
    let name = name.strip_suffix(".md").unwrap_or(name);
    let of_runbooks = || runbook(name);
    PAGES.iter().find(|p| p.name == name).map(|p| p.text).or_else(of_runbooks)
}

/// The text of the runbook of this name; it may end in `.md`.
pub fn runbook(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".md").unwrap_or(name);
    RUNBOOKS.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The page or runbook that was perhaps meant.
pub fn near(name: &str) -> Option<&'static str> {
    nearest(name, PAGES.iter().map(|p| p.name).chain(RUNBOOKS.iter().map(|(n, _)| *n)))
}

/// The pages, one a line, as a page of its own.
pub fn list() -> String {
    let rows: String = PAGES.iter().map(|p| format!("| [{0}]({0}.md) | {1} |\n", p.name, p.about)).collect();
    format!(
        "# Pages\n\n`ringback docs PAGE` prints one. A runbook goes by the name of its alert: \
         `ringback docs RingbackSilent`.\n\n| page | is about |\n|---|---|\n{rows}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::check::code::FindingCode;

    /// Names of the Markdown files of a folder.
    fn files(folder: &str) -> Vec<String> {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let names = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.map(|n| n.strip_suffix(".md").unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_page_and_every_runbook_is_there() {
        let mut pages: Vec<&str> = PAGES.iter().map(|p| p.name).collect();
        pages.sort_unstable();
        assert_eq!(files("src/docs/pages"), pages);
        assert_eq!(files("alerts/runbooks"), RUNBOOKS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_is_found_by_its_name_and_by_its_files() {
        assert!(page("configuration").is_some_and(|t| t.starts_with("# ")));
        assert_eq!(page("configuration.md"), page("configuration"));
        assert_eq!(page("RingbackSilent"), runbook("RingbackSilent.md"));
        assert!(page("nothing").is_none());
        assert_eq!(near("configuraton"), Some("configuration"));
    }

    #[test]
    fn a_part_of_a_page_ends_where_the_next_begins() {
        let text = "# A page\n## One `thing`\nx\n```\n# no heading\n```\n### Below\n## RB301: two\ny\n";
        assert_eq!(part(text, "one-thing"), Some("## One `thing`\nx\n```\n# no heading\n```\n### Below\n"));
        assert_eq!(part(text, "rb301"), Some("## RB301: two\ny\n"));
        assert_eq!((part(text, "no-heading"), part(text, "")), (None, None));
        assert_eq!(part(text, "a-page"), Some(text));
        for code in FindingCode::ALL {
            let found = page(&format!("checks#{code}")).unwrap_or_default();
            assert!(found.starts_with(&format!("## {code}: ")) && found.contains("\nCure: "), "{code}: {found}");
        }
    }
}
