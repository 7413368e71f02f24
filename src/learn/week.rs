//! A number's week as a plot for a terminal: a row for each day, a character for each half-hour.

use crate::core::profile::{NumberProfile, SLOTS};

/// Half-hours of a day.
const OF_A_DAY: usize = SLOTS / 7;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Which characters a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotMarks {
    Blocks,
    /// For `TERM=dumb`.
    Ascii,
}

impl PlotMarks {
    /// From next to nothing to the most.
    const fn ramp(self) -> &'static [char] {
        match self {
            PlotMarks::Blocks => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            PlotMarks::Ascii => &['.', ':', '-', '=', '+', '*', '#', '@'],
        }
    }
}

/// A half-hour with less than this share of the busiest is empty.
const EMPTY: f64 = 0.02;

/// Seven rows of calls due, with the hours above and each day's calls beside them; 64 columns.
pub fn plot(number: &NumberProfile, marks: PlotMarks) -> Vec<String> {
    let rates = number.week.rates();
    let most = rates.iter().copied().fold(0.0, f64::max);
    let hours: String = (0..24).step_by(3).map(|hour| format!("{hour:02}    ")).collect();
    let mut lines = vec![format!("     {hours}   calls")];
    for (name, day) in DAYS.iter().zip(rates.chunks(OF_A_DAY)) {
        let bars: String = day.iter().map(|rate| mark(*rate, most, marks)).collect();
        lines.push(format!("{name}  {bars}  {:>6}", calls(day.iter().sum())));
    }
    if most > 0.0 {
        let (ramp, busiest) = (marks.ramp(), calls(most));
        lines.push(format!("     {} is {busiest} calls in half an hour", ramp[ramp.len() - 1]));
    }
    lines
}

fn mark(rate: f64, most: f64, marks: PlotMarks) -> char {
    if most <= 0.0 || rate < EMPTY * most {
        return ' ';
    }
    let ramp = marks.ramp();
    ramp[((rate / most * ramp.len() as f64) as usize).min(ramp.len() - 1)]
}

/// Calls for people: two digits are known at the most.
pub fn calls(n: f64) -> String {
    match n {
        n if n < 0.005 => "0".to_owned(),
        n if n < 0.995 => format!("{n:.2}"),
        n if n < 9.95 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::core::profile::{DaySpread, NumberStanding, Week};

    #[test]
    fn a_week_is_seven_rows_of_forty_eight() {
        let number = NumberProfile {
            timezone: TimeZone::UTC,
            calls: 100,
            span: None,
            level: 1.0,
            rests_on: 50.0,
            newness: 0.0,
            spread: DaySpread(0.01),
            week: Week::from_fn(
                |i| if i / 48 < 5 && (18..34).contains(&(i % 48)) { (i % 48) as f64 / 8.0 } else { 0.0 },
            ),
            carriers: Vec::new(),
            standing: NumberStanding::Usual,
        };
        let lines = plot(&number, PlotMarks::Ascii);
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0], "     00    03    06    09    12    15    18    21       calls");
        assert_eq!(lines[1], format!("Mon  {}{}{}      51", " ".repeat(18), "+++****####@@@@@", " ".repeat(14)));
        assert_eq!(lines[6], format!("Sat  {}       0", " ".repeat(48)));
        assert_eq!(lines[8], "     @ is 4.1 calls in half an hour");
        let blocks = plot(&number, PlotMarks::Blocks);
        assert!(blocks.iter().all(|line| line.chars().count() <= 80) && blocks[1].contains('█'), "{blocks:?}");
    }
}
