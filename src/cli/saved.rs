//! Plans in files: written for their owner's eyes, read with a bound, and held against what the numbers are now.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::agent::planning::Planner;
use crate::core::model::bounds;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::redact::without_secrets;
use crate::core::model::roster::Roster;
use crate::core::routing::planned::HandlerPlan;
use crate::core::routing::saved::{NotThisPlan, PlanStanding, SavedPlan};
use crate::file;

/// Numbers of which it is asked who changed them, at the most: each costs a request.
const ASKED: usize = 20;

/// What became of a saved plan.
pub struct Revisited {
    /// What still stands of it.
    pub good: HandlerPlan,
    /// Channels of numbers that are what it makes them.
    pub done: usize,
    pub moved: Vec<Moved>,
    /// Why none of it is to be applied.
    pub refused: Option<NotThisPlan>,
}

/// A number that is not what it was when the plan was made.
pub struct Moved {
    pub number: NumberId,
    pub channel: Channel,
    what: String,
    who: Option<String>,
}

impl Moved {
    /// What has changed, and by whom, where that is known.
    pub fn said(&self) -> String {
        let who = self.who.as_ref().map_or(String::new(), |who| format!("; changed by {who}"));
        format!("{}{who}", self.what)
    }

    pub fn text(&self, roster: &Roster) -> String {
        format!("{} {}: {}", roster.name(self.number), self.channel, self.said())
    }

    pub fn as_json(&self) -> Value {
        json!({ "number": self.number, "channel": self.channel, "what": self.what, "who": self.who })
    }
}

/// Looks at a saved plan's numbers again.
pub async fn revisit(planner: &mut Planner, plan: &SavedPlan) -> anyhow::Result<Revisited> {
    let which = planner.of(plan);
    let now = planner.look(&which, None).await?;
    let (mut numbers, mut done, mut moved) = (Vec::new(), 0, Vec::new());
    let standings = match planner.compare(plan, &now) {
        Ok(standings) => standings,
        Err(why) => return Ok(Revisited { good: HandlerPlan::default(), done, moved, refused: Some(why) }),
    };
    for standing in standings {
        match standing {
            PlanStanding::Good(i) => numbers.push(now.numbers[i].clone()),
            PlanStanding::Done(..) => done += 1,
            PlanStanding::Moved { number, channel, what, seen } => {
                let sid = seen.map(|seen| seen.sid).filter(|_| moved.len() < ASKED);
                let who = match sid {
                    Some(sid) => planner.who(sid, plan.made_at).await,
                    None => None,
                };
                moved.push(Moved { number, channel, what, who });
            }
        }
    }
    let good = HandlerPlan { numbers, ..now };
    Ok(Revisited { good, done, moved, refused: None })
}

/// Reads a saved plan.
pub fn read(path: &Path) -> anyhow::Result<SavedPlan> {
    let shown = path.display();
    let most = u64::try_from(bounds::PLAN_BYTES).unwrap_or(u64::MAX);
    let text = file::bytes(path, most).with_context(|| format!("the plan {shown} cannot be read"))?;
    // What is wrong may quote the file, in which the numbers' URLs are.
    let told = |e: serde_json::Error| anyhow::Error::msg(without_secrets(&e.to_string()).into_owned());
    let plan = serde_json::from_slice(&text).map_err(told);
    plan.with_context(|| format!("{shown} is no saved plan: make one with `ringback plan --out FILE`"))
}

/// Writes a plan, whole or not at all, for nobody but the user.
pub fn write(path: &Path, plan: &SavedPlan) -> anyhow::Result<()> {
    let failed = || format!("the plan cannot be saved as {}", path.display());
    let new = path.with_extension(format!("new{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new).with_context(failed)?;
    let text = serde_json::to_string_pretty(plan)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // What is left of it is of no use to anybody.
        let _ = std::fs::remove_file(&new);
    }
    written.with_context(failed)
}
