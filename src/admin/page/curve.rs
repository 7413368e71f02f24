//! Evidence against its threshold over time, drawn here. Whoever cannot see it is told the same in words.

use std::fmt::Write as _;

use askama::Template;

use super::words;
use crate::agent::publish::curves::CurvePoint;
use crate::core::model::time::Time;
use crate::core::model::verdict::Score;

/// The picture's inside, in its own units.
const LEFT: u32 = 34;
const RIGHT: u32 = 396;
const TOP: u32 = 10;
const BASE: u32 = 140;

/// How the evidence has grown.
#[derive(Template)]
#[template(path = "curve.html", config = "src/admin/page/askama.toml")]
pub struct Curve {
    left: u32,
    /// Paths.
    evidence: String,
    area: String,
    line: String,
    /// Where the threshold was passed.
    crossed: Option<u32>,
    threshold: String,
    threshold_y: u32,
    from: String,
    until: String,
    text: String,
}

/// What was known in `points` from `from` to `until`, when it was `score`. Nothing where there are fewer than two
/// points: that is no course.
pub fn curve(points: &[CurvePoint], from: Time, until: Time, score: Score, now: Time) -> Option<Curve> {
    let known = points.iter().filter(|p| p.at <= until);
    // What was so when it begins is the last that was before.
    let first = points.iter().rposition(|p| p.at <= from).unwrap_or(0);
    let mut shown: Vec<CurvePoint> = known.skip(first).copied().collect();
    if shown.last().is_none_or(|last| last.score != score) {
        shown.push(CurvePoint { at: until, score });
    }
    let from = shown.first()?.at.max(from);
    if shown.len() < 2 || until <= from {
        return None;
    }
    let most = shown.iter().map(|p| p.score.statistic.max(p.score.threshold)).fold(1.0, f64::max) * 1.1;
    let span = until.since(from).as_secs_f64();
    let x = |at: Time| LEFT + (at.since(from).as_secs_f64() / span * f64::from(RIGHT - LEFT)) as u32;
    // A share of what is finite; what is not is at the edge, and less than nothing is nothing.
    let y = |value: f64| BASE - ((value / most).clamp(0.0, 1.0) * f64::from(BASE - TOP)) as u32;
    let mut paths = [String::new(), String::new()];
    for (path, of) in paths.iter_mut().zip([|s: Score| s.statistic, |s: Score| s.threshold]) {
        for p in &shown {
            let (px, py) = (x(p.at), y(of(p.score)));
            let _ = if path.is_empty() { write!(path, "M{px} {py}") } else { write!(path, "H{px}V{py}") };
        }
        let _ = write!(path, "H{RIGHT}");
    }
    let [evidence, line] = paths;
    let crossed = shown.iter().find(|p| p.score.is_enough()).map(|p| p.at);
    let peak = shown.iter().map(|p| p.score.statistic).fold(0.0, f64::max);
    let text = match crossed {
        Some(at) => format!(
            "Evidence reached {peak:.1}; it passed its threshold of {:.1} at {}.",
            score.threshold,
            words::moment(at, now)
        ),
        None => format!(
            "Evidence is {:.1} and was {peak:.1} at most; {:.1} would be enough.",
            score.statistic.max(0.0),
            score.threshold
        ),
    };
    Some(Curve {
        left: LEFT,
        area: format!("{evidence}V{BASE}H{LEFT}z"),
        evidence,
        line,
        crossed: crossed.map(x),
        threshold: format!("{:.1}", score.threshold),
        threshold_y: y(score.threshold),
        from: words::moment(from, now),
        until: words::moment(until, now),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, statistic: f64) -> CurvePoint {
        CurvePoint { at: Time::from_secs(second), score: Score { statistic, threshold: 10.0 } }
    }

    #[test]
    fn a_course_says_when_the_threshold_was_passed() {
        let points = [at(0, 0.0), at(60, 4.0), at(90, 11.0), at(200, 0.0)];
        let (from, until) = (Time::from_secs(30), Time::from_secs(90));
        let drawn = curve(&points, from, until, points[2].score, until).unwrap();
        assert_eq!(drawn.text, "Evidence reached 11.0; it passed its threshold of 10.0 at 00:01:30.");
        assert_eq!((drawn.from.as_str(), drawn.crossed), ("00:00:30", Some(RIGHT)));
        assert!(drawn.evidence.starts_with("M34 140H215V"), "{}", drawn.evidence);
        assert!(!drawn.evidence.contains('-') && !drawn.evidence.contains("NaN"));
    }

    #[test]
    fn one_point_is_no_course_and_what_is_not_finite_stays_within_the_picture() {
        let only = [at(0, 12.0)];
        assert!(curve(&only, Time::EPOCH, Time::from_secs(60), only[0].score, Time::from_secs(60)).is_none());
        let wild = [at(0, -3.0), at(10, f64::INFINITY)];
        let drawn = curve(&wild, Time::EPOCH, Time::from_secs(20), wild[1].score, Time::from_secs(20)).unwrap();
        assert!(drawn.evidence.starts_with("M34 140"), "{}", drawn.evidence);
    }
}
