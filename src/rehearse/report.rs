//! What a drill came to: stages with their times, as text, Markdown and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::core::model::id::{AccountSid, E164, GroupName};
use crate::core::model::time::Time;

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
pub enum DrillStage {
    Good,
    Found,
    Swapped,
    Proven,
    Restored,
    Healed,
    PutBack,
}

impl DrillStage {
    pub const fn text(self) -> &'static str {
        match self {
            DrillStage::Good => "good handler: a test call is answered",
            DrillStage::Found => "handler broken: found, and a rollback decided",
            DrillStage::Swapped => "swapped to the fallback, and read back",
            DrillStage::Proven => "fallback proven by a test call",
            DrillStage::Restored => "restored to what it was before the swap, and read back",
            DrillStage::Healed => "good handler again: a test call is answered",
            DrillStage::PutBack => "the number put back as it was",
        }
    }

    /// What it means that the stage did not end.
    pub const fn failure(self) -> &'static str {
        match self {
            DrillStage::Good | DrillStage::Healed => "no test call was answered by the good handler",
            DrillStage::Found => "test calls did not find the fault",
            DrillStage::Swapped => "the number was not swapped",
            DrillStage::Proven => "no test call was answered by the fallback",
            DrillStage::Restored => "the number was not restored",
            DrillStage::PutBack => "the number is not what it was",
        }
    }

    /// What to do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            DrillStage::Good | DrillStage::Healed => {
                "check rehearsal.good_url by hand, and that group.probe.from may call the spare number; `--log warn` shows \
                 what each test call met"
            }
            DrillStage::Found => {
                "a wrong answer is heard only with group.probe.hear; for the others, check that the broken URL is what it \
                 should be, and that alerts can be read; `--log warn` shows what each test call met"
            }
            DrillStage::Swapped => "check that the credentials may write numbers, and that the fallback is not broken",
            DrillStage::Proven => "call the spare number by hand while it is on the fallback; check the TwiML Bin",
            DrillStage::Restored => "run it with `--log warn`: somebody else may be changing the number",
            DrillStage::PutBack => {
                "once that is mended run `ringback rehearse --put-back`, and look at the number in the console"
            }
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    pub stage: DrillStage,
    pub passed: bool,
    /// From the stage's beginning.
    pub seconds: f64,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<&'static str>,
}

impl StageReport {
    pub fn passed(stage: DrillStage, began: Time, ended: Time, detail: &str) -> StageReport {
        let seconds = ended.since(began).as_secs_f64();
        StageReport { stage, passed: true, seconds, detail: detail.to_owned(), cure: None }
    }

    pub fn failed(stage: DrillStage, began: Time, ended: Time, detail: &str) -> StageReport {
        let seconds = ended.since(began).as_secs_f64();
        StageReport { stage, passed: false, seconds, detail: detail.to_owned(), cure: Some(stage.cure()) }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct VariantReport {
    pub variant: Variant,
    /// The broken handler, without what may be secret.
    pub url: String,
    pub stages: Vec<StageReport>,
}

/// What was rehearsed, and by whom.
#[derive(Debug, Clone, Serialize)]
pub struct DrillSubject {
    pub account: AccountSid,
    pub number: E164,
    /// Who held the drill.
    pub by: String,
    /// The group that the number stood for.
    pub group: GroupName,
    /// The good handler and the fallback, without what may be secret.
    pub good: String,
    pub fallback: String,
    /// Where test calls came from.
    pub calls_from: Vec<String>,
}

/// A drill from its beginning to its end.
#[derive(Debug, Clone, Serialize)]
pub struct DrillReport {
    #[serde(flatten)]
    pub subject: DrillSubject,
    pub started_at: Time,
    pub ended_at: Time,
    pub variants: Vec<VariantReport>,
    pub put_back: StageReport,
    /// What it does not show.
    pub cautions: Vec<&'static str>,
}

impl DrillReport {
    pub fn is_passed(&self) -> bool {
        self.put_back.passed && self.variants.iter().all(|v| v.stages.iter().all(|s| s.passed))
    }

    fn stages(&self) -> impl Iterator<Item = (&'static str, &StageReport)> {
        let variants = self.variants.iter().flat_map(|v| v.stages.iter().map(|s| (v.variant.text(), s)));
        variants.chain(std::iter::once(("at the end", &self.put_back)))
    }

    /// For a person at a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("Fire drill on {}, {}\n", self.subject.number, self.started_at);
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
        match (self.is_passed(), self.put_back.passed) {
            (true, _) => "Passed: every stage, and the number is what it was.",
            (false, true) => "FAILED: see the stages. The number is what it was.",
            (false, false) => "FAILED, and THE NUMBER IS NOT PUT BACK: see the last stage.",
        }
    }

    /// For the change ticket: read by people who were not there.
    pub fn markdown(&self) -> String {
        let DrillSubject { account: _, number, by, group, good, fallback, calls_from } = &self.subject;
        let seconds = self.ended_at.since(self.started_at).as_secs();
        let mut text = format!("# Fire drill on {number}\n\n**{}**\n\n", self.result());
        let facts = [
            (
                "what",
                format!(
                    "The whole rollback of group {group}, on a spare number: its handler is broken, test calls find it, the number is swapped to the group's fallback, and back."
                ),
            ),
            ("who", by.clone()),
            (
                "when",
                format!("{} to {} ({} min {} s)", utc(self.started_at), utc(self.ended_at), seconds / 60, seconds % 60),
            ),
            ("good handler", good.clone()),
            ("fallback", fallback.clone()),
            ("test calls from", calls_from.join(", ")),
            ("with", concat!("Ringback ", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        text.push_str("| | |\n|---|---|\n");
        for (name, value) in facts {
            let _ = writeln!(text, "| {name} | {} |", cell(&value));
        }
        for v in &self.variants {
            let _ = write!(text, "\n## Broken: {}\n\n{}\n\n{HEAD}", v.variant.text(), v.url);
            v.stages.iter().for_each(|s| text.push_str(&row(s)));
        }
        let _ = write!(text, "\n## At the end\n\n{HEAD}{}", row(&self.put_back));
        for caution in &self.cautions {
            let _ = write!(text, "\n{caution}\n");
        }
        text
    }
}

const HEAD: &str = "| stage | result | took | what was seen |\n|---|---|---|---|\n";

/// A stage as a line of a table.
fn row(s: &StageReport) -> String {
    let mark = if s.passed { "pass" } else { "**FAIL**" };
    let mut detail = cell(&s.detail);
    if let Some(cure) = s.cure {
        let _ = write!(detail, ". **To do:** {}", cell(cure));
    }
    format!("| {} | {mark} | {:.1} s | {detail} |\n", s.stage.text(), s.seconds)
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn utc(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
