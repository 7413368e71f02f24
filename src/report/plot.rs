//! Plots as SVG: bars of served and failed calls over time, and letters where something was done.
//!
//! Colour is not all that tells them apart: what failed stands on top, is darker and is hatched, also in print.

use std::fmt::Write as _;

use super::document::Plot;
use super::words::{clock, escaped};
use crate::core::model::time::Time;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 22.0;

/// Marks on the time axis, about.
const TICKS: u64 = 6;

/// A letter for each mark.
pub fn letter(nth: usize) -> char {
    char::from(b'A' + u8::try_from(nth % 26).unwrap_or_default())
}

/// The plot as an element of a page.
pub fn svg(plot: &Plot) -> String {
    let columns = plot.served.len().max(plot.failed.len()).max(1);
    let most = (0..columns).map(|i| at(&plot.served, i) + at(&plot.failed, i)).max().unwrap_or(0).max(1);
    let wide = (WIDTH - LEFT) / columns as f64;
    let high = HEIGHT - TOP - BOTTOM;
    let (served, failed): (u32, u32) = (plot.served.iter().sum(), plot.failed.iter().sum());
    let name = format!("{}: {served} {unit} served, {failed} failed", plot.title, unit = plot.unit);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escaped(&name)
    );
    let base = HEIGHT - BOTTOM;
    for (y, label) in [(base, "0".to_owned()), (TOP, most.to_string())] {
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{:.0}\" y=\"{:.0}\" \
             text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for i in 0..columns {
        let x = LEFT + i as f64 * wide;
        let scale = |n: u32| f64::from(n) / f64::from(most) * high;
        let (ok, bad) = (scale(at(&plot.served, i)), scale(at(&plot.failed, i)));
        let width = (wide - 0.6).max(0.4);
        for (class, y, h) in [("ok", base - ok, ok), ("bad", base - ok - bad, bad)] {
            if h > 0.0 {
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{h:.1}\"/>"
                );
            }
        }
    }
    let seconds = columns as u64 * plot.step;
    let place = |at: Time| LEFT + at.since(plot.from).as_secs_f64() / seconds as f64 * (WIDTH - LEFT);
    let every = tick_every(seconds);
    let mut tick = plot.from.as_millis().div_euclid(1000).unsigned_abs().div_ceil(every) * every;
    while tick < plot.from.as_millis().div_euclid(1000).unsigned_abs() + seconds {
        let at = Time::from_secs(i64::try_from(tick).unwrap_or_default());
        let x = place(at);
        if x < WIDTH - 30.0 {
            let _ = write!(
                out,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{base}\" y2=\"{:.0}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.0}\">{}</text>",
                base + 4.0,
                base + 17.0,
                &clock(at)[..5]
            );
        }
        tick += every;
    }
    let mut right = 0.0;
    for (nth, mark) in plot.marks.iter().enumerate() {
        let x = place(mark.at).min(WIDTH - 4.0);
        // Letters that would cover each other stand side by side.
        let text = f64::max(x, right);
        right = text + 10.0;
        let _ = write!(
            out,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"14\" y2=\"{base}\"/>\
             <text class=\"mark\" x=\"{text:.1}\" y=\"11\" text-anchor=\"middle\">{}</text>",
            letter(nth)
        );
    }
    out + "</svg>"
}

fn at(series: &[u32], i: usize) -> u32 {
    series.get(i).copied().unwrap_or_default()
}

/// A round span between two marks on the axis, in seconds.
fn tick_every(seconds: u64) -> u64 {
    const ROUND: [u64; 9] = [60, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200];
    ROUND.into_iter().find(|r| seconds / r <= TICKS).unwrap_or(86_400)
}
