//! The runbooks that alerts and dashboards link to, as the agent was built with them: they are there whenever it is,
//! and say what this version does.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};

use super::ApiProblem;

macro_rules! runbooks {
    ($($name:literal,)*) => {
        /// Each by the name of its alert.
        const RUNBOOKS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../alerts/runbooks/", $name, ".md")))),*];
    };
}

runbooks! {
    "RingbackAbsent", "RingbackAgentDown", "RingbackBlind", "RingbackClockSkew", "RingbackDown", "RingbackDrift",
    "RingbackEngineStuck", "RingbackErrorBudgetFast", "RingbackErrorBudgetSlow", "RingbackErrorBudgetTicket",
    "RingbackErrorsBesideService", "RingbackFallbackBroken", "RingbackFallbackBrokenForSome",
    "RingbackFallbackFailing", "RingbackFewCallersAllFail", "RingbackGroupFailing", "RingbackHeldTooLong",
    "RingbackJournalFailing", "RingbackJournalWentBack", "RingbackLeaseLost", "RingbackLogLag",
    "RingbackNobodyAnswers", "RingbackNotCurable",
    "RingbackNotificationsFailing", "RingbackNumberFailing", "RingbackNumberQuieterThanLastWeek",
    "RingbackNumbersMissing", "RingbackPollStale", "RingbackPortActionRequired", "RingbackPortRejected",
    "RingbackPortStatusUnknown", "RingbackPortWithdrawn", "RingbackPortedOut", "RingbackPortsUnread",
    "RingbackProbeErrors", "RingbackProbeFailing", "RingbackQueueFull", "RingbackQuieterThanLastWeek",
    "RingbackRestarting", "RingbackRollbackFailed", "RingbackRollbackUnproven", "RingbackRolledBack",
    "RingbackRowsNotUnderstood", "RingbackSilent", "RingbackSuppressed", "RingbackTwilioErrors",
    "RingbackUnknownErrorCode", "RingbackWatchdog",
}

type Text = ([(HeaderName, &'static str); 1], String);

const fn plain(text: String) -> Text {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text)
}

/// `GET /runbooks/`: all of them, one a line.
pub async fn list() -> Text {
    plain(RUNBOOKS.iter().map(|(name, _)| format!("/runbooks/{name}\n")).collect())
}

/// `GET /runbooks/{name}`, with or without `.md`.
pub async fn runbook(Path(name): Path<String>) -> Result<Text, ApiProblem> {
    let wanted = name.strip_suffix(".md").unwrap_or(&name);
    let found = RUNBOOKS.iter().find(|(name, _)| *name == wanted).map(|(_, text)| plain((*text).to_owned()));
    found.ok_or_else(|| ApiProblem::new(StatusCode::NOT_FOUND, "no runbook of this name: /runbooks/ lists them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runbook_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/runbooks");
        let mut files: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, RUNBOOKS.iter().map(|(name, _)| format!("{name}.md")).collect::<Vec<_>>());
    }
}
