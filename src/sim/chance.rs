//! Chance, in streams that do not touch each other.
//!
//! Every random value comes from a generator keyed by the seed, by what it is for and by whom it
//! concerns. One number's arrivals are therefore the same whatever happens to another's, and a call's
//! own luck is the same whatever the call is routed to: with and without help, the same people call at
//! the same instants and talk as long. Only who dials again depends on what they met.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

use crate::core::model::id::E164;

/// What a stream of chance is for. The values are part of the key; never renumber them.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// When people dial a number.
    Calls = 1,
    /// When people text a number.
    Messages = 2,
    /// What one call meets.
    Call = 3,
    /// What one message meets.
    Message = 4,
    /// Who a number's regular callers are.
    Regular = 5,
    /// One caller's storm.
    Storm = 6,
    /// The account's own background noise.
    Noise = 7,
    /// What one request meets.
    Request = 8,
    /// A quiet day of `ringback simulate`.
    Quiet = 9,
    /// A day with a fault of it.
    Trial = 10,
    /// What a call or message meets that a request has made.
    Placed = 11,
    /// What a call sounds like.
    Sound = 12,
    /// What becomes of the texts of a campaign.
    Campaign = 13,
}

/// A generator of its own for (`purpose`, `whom`, `which`).
pub fn stream(seed: u64, purpose: Purpose, whom: u64, which: u64) -> Chance {
    let mut key = [0; 32];
    for (cell, part) in key.chunks_exact_mut(8).zip([seed, purpose as u64, whom, which]) {
        cell.copy_from_slice(&part.to_le_bytes());
    }
    Chance(ChaCha8Rng::from_seed(key))
}

#[derive(Clone)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True for `share` of all draws.
    pub fn hits(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0.random_range(0..n.max(1))
    }

    pub fn digits(&mut self) -> u128 {
        self.0.random()
    }

    /// Exponential with mean 1: the gap between arrivals.
    pub fn gap(&mut self) -> f64 {
        Exp1.sample(&mut self.0)
    }

    /// Log-normal around `median`.
    pub fn around(&mut self, median: f64, sigma: f64) -> f64 {
        let z: f64 = StandardNormal.sample(&mut self.0);
        median * (sigma * z).exp()
    }
}

/// A SID's digits, fixed by what they name.
pub fn sid(kind: &str, name: &str) -> u128 {
    use siphasher::sip128::{Hasher128, SipHasher24};
    use std::hash::Hasher;
    let mut hasher = SipHasher24::new();
    hasher.write(kind.as_bytes());
    hasher.write_u8(0);
    hasher.write(name.as_bytes());
    hasher.finish128().as_u128()
}

/// The SID of a group's port request.
pub fn port_request(group: &str) -> String {
    format!("KW{:032x}", sid("KW", group))
}

/// The SID of a number in its port request.
pub fn port_number(number: E164) -> String {
    format!("PU{:032x}", sid("PU", &number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_apart_and_repeat() {
        let draw = |purpose, whom, which| stream(7, purpose, whom, which).digits();
        assert_eq!(draw(Purpose::Call, 1, 2), draw(Purpose::Call, 1, 2));
        let all = [
            draw(Purpose::Call, 1, 2),
            draw(Purpose::Call, 2, 1),
            draw(Purpose::Message, 1, 2),
            draw(Purpose::Call, 1, 3),
            stream(8, Purpose::Call, 1, 2).digits(),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
