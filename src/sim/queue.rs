//! What is still to come, in the order of its instants; at the same instant, in the order of asking.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::core::model::time::Time;

pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Due<T>>>,
    asked: u64,
}

struct Due<T> {
    at: Time,
    asked: u64,
    what: T,
}

impl<T> Queue<T> {
    pub fn new() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), asked: 0 }
    }

    pub fn push(&mut self, at: Time, what: T) {
        self.asked += 1;
        self.heap.push(Reverse(Due { at, asked: self.asked, what }));
    }

    /// The next thing, if it is due by `now`.
    pub fn pop_by(&mut self, now: Time) -> Option<(Time, T)> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| (due.at, due.what))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Due<T>) -> Ordering {
        (self.at, self.asked).cmp(&(other.at, other.asked))
    }
}
impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Due<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Due<T>) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<T> Eq for Due<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_first_and_in_the_order_of_asking() {
        let mut q = Queue::new();
        for (at, what) in [(2, 'c'), (1, 'a'), (1, 'b'), (3, 'd')] {
            q.push(Time::from_secs(at), what);
        }
        let out: String = std::iter::from_fn(|| q.pop_by(Time::from_secs(2))).map(|(_, c)| c).collect();
        assert_eq!(out, "abc");
    }
}
