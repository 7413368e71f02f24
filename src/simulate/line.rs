//! What one number is like: how many call it and when, how often they honestly fail, how they are
//! answered.
//!
//! The ranges are what small and large businesses' lines honestly do: 0.5 to 5 % of callers fail,
//! 2 to 9 % meet a busy or an unanswered phone, on some lines up to 30 %, and people talk for one to
//! two minutes. Real numbers outside these ranges are outside what is measured here.

use crate::core::model::id::{Channel, E164};
use crate::core::model::time::Time;
use crate::sim::chance::Chance;

/// When people call: the share of a line's busiest hour, by local time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Day {
    /// Busiest around half past one, a little at night.
    Round,
    /// Opens at eight, thins out at lunch, closes in the afternoon at this hour.
    Office { closes: f64 },
    /// Busiest at seven in the evening.
    Evening,
}

impl Day {
    /// 0..=1, at this instant taken as local time.
    pub fn share(self, at: Time) -> f64 {
        let hour = at.as_secs_f64().rem_euclid(86_400.0) / 3600.0;
        let bell = |from: f64, width: f64| (-((hour - from) / width).powi(2)).exp();
        match self {
            Day::Round => 0.12 + 0.88 * bell(13.5, 4.2),
            // Its night lies in the morning: the bell need not wrap.
            Day::Evening => 0.10 + 0.90 * bell(19.0, 3.0).max(bell(-5.0, 3.0)),
            Day::Office { closes } if hour < 8.0 || hour >= closes + 0.5 => 0.04,
            Day::Office { .. } if hour < 9.0 => 0.04 + 0.9 * (hour - 8.0),
            Day::Office { .. } if (12.0..13.0).contains(&hour) => 0.62,
            Day::Office { closes } if hour >= closes => 0.94 - 1.8 * (hour - closes),
            Day::Office { .. } => 1.0,
        }
    }

    /// The mean over a day: what turns callers a day into callers in the busiest hour.
    fn mean(self) -> f64 {
        (0..96).map(|quarter| self.share(Time::from_secs(quarter * 900 + 450))).sum::<f64>() / 96.0
    }
}

/// One number and its callers.
#[derive(Clone, Debug)]
pub struct TrafficLine {
    pub number: E164,
    /// Calls, and texts, in the busiest hour.
    pub peak: [f64; 2],
    pub day: Day,
    /// Share of calls that honestly fail.
    pub fails: f64,
    pub busy: f64,
    pub no_answer: f64,
    pub hangs_up: f64,
    /// Calls are dialled on; child legs tell what became of them.
    pub forwards: bool,
    /// When a fault comes it is the forward that breaks, not the webhook.
    pub breaks_at_forward: bool,
    /// Median seconds.
    pub talk: f64,
}

impl TrafficLine {
    /// A line like others, with `peak` calls in its busiest hour.
    pub fn draw(number: E164, peak: f64, chance: &mut Chance) -> TrafficLine {
        let soft = if chance.hits(0.15) { chance.between(0.20, 0.30) } else { chance.between(0.02, 0.09) };
        let busy = chance.between(0.2, 0.6);
        let forwards = chance.hits(0.65);
        let day = match chance.unit() {
            x if x < 0.60 => Day::Round,
            x if x < 0.85 => Day::Office { closes: chance.between(16.5, 18.5) },
            _ => Day::Evening,
        };
        TrafficLine {
            number,
            peak: [peak, peak * chance.between(0.2, 0.6)],
            day,
            // Uniform in the logarithm: most numbers are good ones.
            fails: (chance.between(0.005f64.ln(), 0.05f64.ln())).exp(),
            busy: soft * busy,
            no_answer: soft * (1.0 - busy),
            hangs_up: chance.between(0.01, 0.04),
            forwards,
            breaks_at_forward: forwards && chance.hits(0.5),
            talk: chance.between(60.0, 140.0),
        }
    }

    /// People who call more than once: as many as there are calls in two busy hours.
    pub fn regulars(&self) -> f64 {
        (2.0 * self.peak[0].max(self.peak[1])).floor().max(3.0)
    }

    /// The same line with this many callers a day on `channel`, at the usual hours.
    pub fn at_level(mut self, channel: Channel, callers_a_day: f64) -> TrafficLine {
        self.day = Day::Round;
        self.peak = [0.0; 2];
        self.peak[channel.index()] = callers_a_day / (24.0 * self.day.mean());
        self
    }
}

/// Calls in the busiest hour of each of `numbers` numbers of one group, in no order.
///
/// A few numbers have most of the traffic, as everywhere: the calls fall off with the rank, the
/// steeper the smaller the account, down to about one an hour. The busiest number of a group of ten
/// and more has 300 to 600 an hour.
pub fn peaks(numbers: usize, chance: &mut Chance) -> Vec<f64> {
    let top = chance.between(30.0, 60.0) * numbers.min(10) as f64;
    let steep = match numbers {
        0..=30 => chance.between(1.8, 2.8),
        31..=450 => chance.between(1.1, 1.5),
        _ => chance.between(0.9, 1.2),
    };
    let mut peaks: Vec<f64> =
        (1..=numbers).map(|rank| (top / (rank as f64).powf(steep)).max(chance.between(0.7, 1.3))).collect();
    for i in (1..peaks.len()).rev() {
        peaks.swap(i, chance.below(i as u64 + 1) as usize);
    }
    peaks
}

/// How the account's log and its callers behave on one day: drawn anew for each.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Median seconds from a call's end until it is in the log, which takes 1 to 60.
    pub visible: f64,
    /// A caller who failed dials again.
    pub redials: f64,
    /// And fails again when it was for an honest cause, which is the caller's own.
    pub fails_again: f64,
    /// Share of calls by people who call more than once.
    pub regular: f64,
}

impl Manners {
    pub fn draw(chance: &mut Chance) -> Manners {
        Manners {
            visible: chance.between(4.0, 9.0),
            redials: chance.between(0.45, 0.65),
            fails_again: chance.between(0.6, 0.9),
            regular: chance.between(0.25, 0.45),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::chance::{Purpose, stream};

    #[test]
    fn every_day_has_a_peak_of_one_and_no_negative_hour() {
        for day in [Day::Round, Day::Evening, Day::Office { closes: 17.0 }] {
            let shares: Vec<f64> = (0..1440).map(|m| day.share(Time::from_secs(m * 60))).collect();
            let most = shares.iter().copied().fold(0.0, f64::max);
            assert!((0.98..=1.0).contains(&most), "{day:?}: {most}");
            assert!(shares.iter().all(|s| (0.03..=1.0).contains(s)), "{day:?}");
            assert!((0.25..0.6).contains(&day.mean()), "{day:?}: {}", day.mean());
        }
    }

    #[test]
    fn a_group_has_one_busy_number_and_many_quiet_ones() {
        let mut peaks = peaks(100, &mut stream(1, Purpose::Quiet, 0, 0));
        peaks.sort_by(f64::total_cmp);
        assert!((300.0..600.0).contains(&peaks[99]), "{}", peaks[99]);
        assert!(peaks[50] < 20.0, "{}", peaks[50]);
        assert!(peaks[0] >= 0.7);
    }
}
