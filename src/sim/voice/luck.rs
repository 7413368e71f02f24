//! What of a call is chance, drawn all at once: what becomes of the call does not move the luck of the next.

use crate::sim::chance::Chance;
use crate::sim::scenario::{Lag, ScenarioTraffic};

/// Everything about a call that is chance.
pub struct Luck {
    pub sids: [u128; 2],
    pub alerts: [u128; 4],
    pub hit: f64,
    pub honest: f64,
    pub how: f64,
    pub forwards: f64,
    pub soft: f64,
    pub split: f64,
    pub setup: f64,
    pub ring: f64,
    pub talk: f64,
    pub brief: f64,
    pub slack: f64,
    pub anonymous: f64,
    pub callback: f64,
    pub early: (f64, f64),
    pub wrong: (f64, f64),
    pub lags: [f64; 2],
    pub alert_lag: f64,
    pub priced: f64,
}

impl Luck {
    pub fn draw(c: &mut Chance, lag: &Lag, traffic: &ScenarioTraffic) -> Luck {
        Luck {
            sids: [c.digits(), c.digits()],
            alerts: [c.digits(), c.digits(), c.digits(), c.digits()],
            hit: c.unit(),
            honest: c.unit(),
            how: c.unit(),
            forwards: c.unit(),
            soft: c.unit(),
            split: c.unit(),
            setup: c.between(0.3, 1.5),
            ring: c.unit(),
            talk: c.around(traffic.talk.as_secs_f64(), 0.95),
            brief: c.unit(),
            slack: c.unit(),
            anonymous: c.unit(),
            callback: c.unit(),
            early: (c.unit(), c.between(2.0, 10.0)),
            wrong: (c.unit(), c.between(4.0, 40.0)),
            lags: [listing_lag(c, lag), listing_lag(c, lag)],
            alert_lag: c.between(lag.alert_s[0], lag.alert_s[1]),
            priced: c.between(lag.price_s[0], lag.price_s[1]),
        }
    }
}

/// From the end of something to its row.
pub fn listing_lag(c: &mut Chance, lag: &Lag) -> f64 {
    let (usual, is_late, late) =
        (c.around(lag.median_s, lag.sigma), c.hits(lag.late), c.between(lag.late_s[0], lag.late_s[1]));
    if is_late { late } else { usual.clamp(lag.range_s[0], lag.range_s[1]) }
}
