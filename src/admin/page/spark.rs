//! Small pictures, drawn here: calls by the minute, and evidence against its threshold. A screen reader is told in
//! words what they show.

use askama::Template;

use super::words;
use crate::agent::publish::recent::MinuteCount;
use crate::core::model::time::Time;
use crate::core::model::verdict::Score;

/// Minutes that a bar stands for.
const MINUTES: usize = 3;

/// A bar's width and the picture's height, in its own units.
const WIDTH: usize = 4;
const HEIGHT: usize = 30;

/// Calls served and failed by the minute.
#[derive(Template)]
#[template(path = "spark.html", config = "src/admin/page/askama.toml")]
pub struct Spark {
    width: usize,
    /// Bars as paths: below what failed, above it what was served.
    failed: String,
    served: String,
    /// From the left edge to here nothing was counted.
    unseen: usize,
    pub text: String,
}

/// `counts` end at `now`; before `since` nothing was counted.
pub fn spark(counts: &[MinuteCount], now: Time, since: Time) -> Spark {
    let bars: Vec<MinuteCount> = counts
        .chunks(MINUTES)
        .map(|chunk| MinuteCount {
            served: chunk.iter().map(|c| c.served).sum(),
            failed: chunk.iter().map(|c| c.failed).sum(),
        })
        .collect();
    let most = bars.iter().map(|b| b.served + b.failed).max().unwrap_or(0).max(4) as usize;
    // What failed is never too low to be seen.
    let tall = |n: u32| if n == 0 { 0 } else { (n as usize * HEIGHT / most).max(2) };
    let (mut failed, mut served) = (String::new(), String::new());
    for (i, bar) in bars.iter().enumerate() {
        let (low, high) = (tall(bar.failed), tall(bar.served));
        let x = i * WIDTH;
        if low > 0 {
            failed += &format!("M{x} {HEIGHT}h{}v-{low}h-{}z", WIDTH - 1, WIDTH - 1);
        }
        if high > 0 {
            let high = high.min(HEIGHT - low.min(HEIGHT));
            served += &format!("M{x} {}h{}v-{high}h-{}z", HEIGHT - low, WIDTH - 1, WIDTH - 1);
        }
    }
    let sum = |of: fn(&MinuteCount) -> u32| counts.iter().map(of).sum::<u32>();
    let (served_sum, failed_sum) = (sum(|c| c.served), sum(|c| c.failed));
    let minutes_seen = usize::try_from(now.since(since).as_secs() / 60).unwrap_or(usize::MAX);
    let before = counts.len().saturating_sub(minutes_seen);
    // An agent reads back what was before its start.
    let first = counts.iter().position(|c| c.served + c.failed > 0).unwrap_or(before);
    let unseen = before.min(first);
    let start = words::moment(since, now);
    let span = if before == 0 {
        format!("in the last {} hours", counts.len() / 60)
    } else if first < before {
        format!(
            "in the last {} minutes: also what was read back of before {start}, the agent's start",
            counts.len() - first
        )
    } else {
        format!("since {start}, the agent's start")
    };
    let text = format!("{served_sum} served, {failed_sum} failed {span}");
    Spark { width: bars.len() * WIDTH, failed, served, unseen: unseen * WIDTH / MINUTES, text }
}

/// Evidence against its threshold.
#[derive(Template)]
#[template(path = "plot.html", config = "src/admin/page/askama.toml")]
pub struct EvidencePlot {
    statistic: String,
    threshold: String,
    is_enough: bool,
    /// Where the bar and the line are, of 300.
    bar: u32,
    line: u32,
}

pub fn plot(score: Score) -> EvidencePlot {
    let most = score.statistic.max(score.threshold).max(1.0) * 1.15;
    // A share of what is finite; what is not is at the edge.
    let place = |x: f64| (x / most * 300.0).clamp(0.0, 300.0) as u32;
    EvidencePlot {
        statistic: format!("{:.1}", score.statistic),
        threshold: format!("{:.1}", score.threshold),
        is_enough: score.is_enough(),
        bar: place(score.statistic),
        line: place(score.threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_seen_beside_any_crowd_and_what_was_not_counted_is_said() {
        let now = Time::from_secs(180 * 60);
        let mut counts = vec![MinuteCount::default(); 180];
        counts[0] = MinuteCount { served: 10_000, failed: 0 };
        counts[179] = MinuteCount { served: 9_999, failed: 1 };
        let drawn = spark(&counts, now, Time::from_secs(0));
        assert!(drawn.failed.contains("v-2"), "{}", drawn.failed);
        assert_eq!(drawn.text, "19999 served, 1 failed in the last 3 hours");
        let start = Time::from_secs(120 * 60);
        let late = spark(&counts[..], now, start);
        assert_eq!(late.unseen, 0);
        assert!(
            late.text.contains("in the last 180 minutes: also what was read back of before 02:00:00"),
            "{}",
            late.text
        );
        counts[0] = MinuteCount::default();
        let late = spark(&counts, now, start);
        assert_eq!(late.unseen, 120 * WIDTH / MINUTES);
        assert!(late.text.contains("since 02:00:00, the agent's start"), "{}", late.text);
    }
}
