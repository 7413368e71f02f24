//! How likely a healthy stream is silent, and how many calls it should have had.
//!
//! Calls of a day are Poisson around what was due, times a factor of that day which is not known: gamma, with mean 1
//! and the spread that the profile has learnt. What came until the last call narrows it down. So a count is negative
//! binomial, and the chance that nothing comes while `due` calls are is (1 + due/k)^-k, where k says how well the day
//! is known. It is never known perfectly: within a day an hour strays too, which bounds k.

/// What is known of a stream's day before the stretch that is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct DayPast {
    /// Calls that came, and calls that were due until the last of them.
    pub had: f64,
    pub due: f64,
    /// Variance of the day's factor.
    pub spread: f64,
    /// Variance of an hour's factor about the day's.
    pub floor: f64,
}

/// A stream's own day is taken to be this much livelier than usual at the most: redials and a campaign come in waves.
const LIVELIEST: f64 = 1.5;

/// A count to come: its mean, and the shape of the gamma that its mean is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CountToCome {
    pub mean: f64,
    shape: f64,
}

impl DayPast {
    /// What is to come while `due` calls are, by the profile.
    pub fn to_come(self, due: f64) -> CountToCome {
        let known = 1.0 / self.spread;
        let factor = (known + self.had) / (known + self.due);
        CountToCome { mean: due * factor.min(LIVELIEST), shape: (known + self.had).min(1.0 / self.floor) }
    }
}

impl CountToCome {
    /// The chance that it is none.
    pub fn none(self) -> f64 {
        (-self.shape * (self.mean / self.shape).ln_1p()).exp()
    }

    /// From the fewest that one stream in twenty would have had to the most that one in twenty would.
    pub fn interval(self) -> (u32, u32) {
        (self.quantile(0.05), self.quantile(0.95))
    }

    fn quantile(self, share: f64) -> u32 {
        let CountToCome { mean, shape } = self;
        if mean <= 0.0 {
            return 0;
        }
        // Beyond a few hundred its terms vanish, and a gamma of the same mean and variance is as good (Wilson and
        // Hilferty 1931).
        if mean > 400.0 {
            let z = if share < 0.5 { -1.645 } else { 1.645 };
            let known = 1.0 / (1.0 / mean + 1.0 / shape);
            return (mean * (1.0 - 1.0 / (9.0 * known) + z / (3.0 * known.sqrt())).powi(3)) as u32;
        }
        let step = mean / (shape + mean);
        let mut term = self.none();
        let (mut sum, mut count) = (term, 0);
        while sum < share && count < 4000 {
            term *= step * (shape + f64::from(count)) / f64::from(count + 1);
            sum += term;
            count += 1;
        }
        count
    }
}

/// The chance that nothing comes while `due` calls are: `chance`, if the day is like others, or in a lull, of which a
/// share of days consists and in which a tenth of the calls comes.
pub(super) fn with_lulls(chance: f64, due: f64, lulls: f64) -> f64 {
    const LEFT: f64 = 0.10;
    (1.0 - lulls) * chance + lulls * (-LEFT * due).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: DayPast = DayPast { had: 0.0, due: 0.0, spread: 0.05, floor: 0.03 };

    #[test]
    fn the_chance_of_no_call_is_that_of_a_negative_binomial() {
        let count = USUAL.to_come(10.0);
        assert!((count.none() - (1.0 + 10.0 / 20.0_f64).powf(-20.0)).abs() < 1e-12);
        // The floor bounds how well a day is known.
        let known = DayPast { had: 500.0, due: 500.0, ..USUAL }.to_come(10.0);
        assert!((known.none() - (1.0 + 10.0 * 0.03_f64).powf(-1.0 / 0.03)).abs() < 1e-12);
    }

    #[test]
    fn what_came_today_raises_what_is_to_come_to_one_and_a_half_times_at_the_most() {
        assert!((USUAL.to_come(10.0).mean - 10.0).abs() < 1e-12);
        assert!((DayPast { had: 10.0, due: 20.0, ..USUAL }.to_come(10.0).mean - 7.5).abs() < 1e-12);
        assert!((DayPast { had: 900.0, due: 20.0, ..USUAL }.to_come(10.0).mean - 15.0).abs() < 1e-12);
    }

    #[test]
    fn nine_in_ten_counts_lie_within_the_interval() {
        for mean in [0.5, 4.0, 17.0, 160.0, 390.0, 1000.0] {
            let count = USUAL.to_come(mean);
            let (least, most) = count.interval();
            let mut term = count.none();
            let (mut below, mut up_to, mut n) = (0.0, 0.0, 0);
            while n <= most {
                if n < least {
                    below += term;
                }
                up_to += term;
                term *= count.mean / (count.shape + count.mean) * (count.shape + f64::from(n)) / f64::from(n + 1);
                n += 1;
            }
            assert!(below <= 0.051 && up_to >= 0.949, "{mean}: {least} to {most}, {below} below, {up_to} up to it");
        }
    }

    #[test]
    fn a_lull_makes_a_silence_likely() {
        assert!((with_lulls(1e-6, 20.0, 0.0) - 1e-6).abs() < 1e-12);
        assert!((with_lulls(1e-6, 20.0, 0.3) - (0.7e-6 + 0.3 * (-2.0_f64).exp())).abs() < 1e-12);
    }
}
