//! What a drill came to: stages with their times, as text, Markdown and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::core::id::E164;
use crate::core::time::Time;

/// How the handler is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// It answers HTTP 500.
    Error,
    /// It does not answer in time.
    Timeout,
    /// It answers with the wrong TwiML, which leaves no trace in any log.
    WrongAnswer,
}

impl Variant {
    pub const ALL: [Variant; 3] = [Variant::Error, Variant::Timeout, Variant::WrongAnswer];

    pub const fn text(self) -> &'static str {
        match self {
            Variant::Error => "the handler answers HTTP 500",
            Variant::Timeout => "the handler does not answer in time",
            Variant::WrongAnswer => "the handler gives the wrong answer",
        }
    }
}

/// A step of the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Good,
    Found,
    Swapped,
    Proven,
    Restored,
    Healed,
    PutBack,
}

impl Stage {
    pub const fn text(self) -> &'static str {
        match self {
            Stage::Good => "good handler, test call",
            Stage::Found => "broken, found and decided",
            Stage::Swapped => "swapped and read back",
            Stage::Proven => "fallback proven by a test call",
            Stage::Restored => "restored and read back",
            Stage::Healed => "handler mended, test call",
            Stage::PutBack => "number put back",
        }
    }

    /// What it means that the stage did not end.
    pub const fn failure(self) -> &'static str {
        match self {
            Stage::Good | Stage::Healed => "no test call was answered by the good handler",
            Stage::Found => "test calls did not find the fault",
            Stage::Swapped => "the number was not swapped",
            Stage::Proven => "no test call was answered by the fallback",
            Stage::Restored => "the number was not restored",
            Stage::PutBack => "the number is not what it was",
        }
    }

    /// What to do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            Stage::Good | Stage::Healed => {
                "check rehearsal.good_url by hand, that group.probe.from may call the spare number, and the log's probes"
            }
            Stage::Found => {
                "a wrong answer is heard only with group.probe.hear; for the others, check that the broken URL is what it \
                 should be, and that alerts can be read"
            }
            Stage::Swapped => "check that the credentials may write numbers, and that the fallback is not broken",
            Stage::Proven => "call the spare number by hand while it is on the fallback; check the TwiML Bin",
            Stage::Restored | Stage::PutBack => "look at the number in the console; run the drill again to put it back",
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    pub stage: Stage,
    pub passed: bool,
    /// From the stage's beginning.
    pub seconds: f64,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<&'static str>,
}

impl StageReport {
    pub fn passed(stage: Stage, began: Time, ended: Time, detail: &str) -> StageReport {
        let seconds = ended.since(began).as_secs_f64();
        StageReport { stage, passed: true, seconds, detail: detail.to_owned(), cure: None }
    }

    pub fn failed(stage: Stage, began: Time, ended: Time, detail: &str) -> StageReport {
        let seconds = ended.since(began).as_secs_f64();
        StageReport { stage, passed: false, seconds, detail: detail.to_owned(), cure: Some(stage.cure()) }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct VariantReport {
    pub variant: Variant,
    pub stages: Vec<StageReport>,
}

/// A drill from its beginning to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub number: E164,
    pub started_at: Time,
    pub ended_at: Time,
    pub variants: Vec<VariantReport>,
    pub put_back: StageReport,
    /// What it does not show.
    pub cautions: Vec<String>,
}

impl Report {
    pub fn is_passed(&self) -> bool {
        self.put_back.passed && self.variants.iter().all(|v| v.stages.iter().all(|s| s.passed))
    }

    fn stages(&self) -> impl Iterator<Item = (&'static str, &StageReport)> {
        let variants = self.variants.iter().flat_map(|v| v.stages.iter().map(|s| (v.variant.text(), s)));
        variants.chain(std::iter::once(("at the end", &self.put_back)))
    }

    /// For a person at a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("Fire drill on {}, {}\n", self.number, self.started_at);
        let mut variant = "";
        for (of, s) in self.stages() {
            if of != variant {
                variant = of;
                let _ = write!(text, "\n  {of}\n");
            }
            let mark = if s.passed { "pass" } else { "FAIL" };
            let _ = writeln!(text, "  {mark} {:>7.1} s  {}: {}", s.seconds, s.stage.text(), s.detail);
            if let Some(cure) = s.cure {
                let _ = writeln!(text, "                  {cure}");
            }
        }
        let _ = writeln!(text, "\n  {}", self.result());
        for caution in &self.cautions {
            let _ = writeln!(text, "  {caution}");
        }
        text
    }

    fn result(&self) -> &'static str {
        if self.is_passed() { "Passed: every stage, and the number is what it was." } else { "FAILED: see above." }
    }

    /// For the change ticket.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Fire drill on {}\n\n{} to {}. **{}**\n\n| variant | stage | result | seconds | detail |\n|---|---|---|---|---|\n",
            self.number,
            self.started_at,
            self.ended_at,
            self.result()
        );
        for (of, s) in self.stages() {
            let mark = if s.passed { "pass" } else { "**FAIL**" };
            let detail = match s.cure {
                Some(cure) => format!("{}: {cure}", s.detail),
                None => s.detail.clone(),
            };
            let detail = detail.replace('|', "\\|");
            let _ = writeln!(text, "| {of} | {} | {mark} | {:.1} | {detail} |", s.stage.text(), s.seconds);
        }
        for caution in &self.cautions {
            let _ = write!(text, "\n{caution}\n");
        }
        text
    }
}
