//! Maps by SID or telephone number, without hashing them at length.
//!
//! A SID's digits are random already, and our own numbers are few and come from the configuration:
//! nobody outside chooses what is put into these maps. Every call is looked up several times.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub type ByDigits<K, T> = HashMap<K, T, BuildHasherDefault<Digits>>;

/// The same in the order in which they were put in, close together in memory: for what is mostly looked up in about
/// that order, and would else be waited for each time.
pub type ByDigitsInOrder<K, T> = indexmap::IndexMap<K, T, BuildHasherDefault<Digits>>;

#[derive(Default)]
pub struct Digits(u64);

impl Hasher for Digits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    fn write_u64(&mut self, digits: u64) {
        self.0 = (self.0 ^ digits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }

    fn write_u128(&mut self, digits: u128) {
        // Both halves, for simulators count upwards.
        self.write_u64((digits as u64) ^ ((digits >> 64) as u64));
    }
}
