//! Holes: half-hours that the records lack.
//!
//! An export has gaps, of the whole account or of a group. They are no quiet hours: taken for such, they would make the
//! number seem quieter than it is, and the port day's silence with it. A hole is told by how much should have been in
//! it; what ends beside it was cut, so that the half-hours next to it go as well.

use super::{SLOTS, Slot};

/// A run of empty half-hours in which so many calls were due is a hole. By chance alone so many fail to come once in
/// three million.
const DUE_IN_A_HOLE: f64 = 15.0;

/// Which half-hours are none of the records': by half-hour, of the calls in each and its place in the week.
pub fn holes(calls: &[u64], slots: &[Slot]) -> Vec<bool> {
    let mut holes = vec![false; calls.len()];
    // Holes lower the mean by which they are found: twice is enough.
    for _ in 0..2 {
        let usual = usual(calls, slots, &holes);
        let mut k = 0;
        while k < calls.len() {
            if calls[k] > 0 {
                k += 1;
                continue;
            }
            let from = k;
            let mut due = 0.0;
            while k < calls.len() && calls[k] == 0 {
                due += usual[slots[k].index()];
                k += 1;
            }
            if due > DUE_IN_A_HOLE {
                holes[from.saturating_sub(1)..calls.len().min(k + 1)].fill(true);
            }
        }
    }
    holes
}

/// Mean calls by half-hour of the week, outside holes.
fn usual(calls: &[u64], slots: &[Slot], holes: &[bool]) -> Vec<f64> {
    let (mut sums, mut seen) = (vec![0u64; SLOTS], vec![0u64; SLOTS]);
    for ((n, slot), hole) in calls.iter().zip(slots).zip(holes) {
        if !hole {
            sums[slot.index()] += n;
            seen[slot.index()] += 1;
        }
    }
    sums.into_iter().zip(seen).map(|(sum, n)| sum as f64 / n.max(1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_hole_and_a_night_is_none() {
        // Four weeks of 12 calls by day and none by night, with five hours missing on the tenth day.
        let slots: Vec<Slot> = (0..4 * SLOTS as i64).map(|k| Slot::of_local(k * 1800)).collect();
        let is_day = |k: usize| (16..40).contains(&(k % 48));
        let mut calls: Vec<u64> = (0..slots.len()).map(|k| if is_day(k) { 12 } else { 0 }).collect();
        let gap = 10 * 48 + 20..10 * 48 + 30;
        calls[gap.clone()].fill(0);
        let found: Vec<usize> = holes(&calls, &slots).iter().enumerate().filter_map(|(k, h)| h.then_some(k)).collect();
        assert_eq!(found, (gap.start - 1..=gap.end).collect::<Vec<_>>());
    }

    #[test]
    fn a_gap_in_which_little_was_due_is_none() {
        let slots: Vec<Slot> = (0..4 * SLOTS as i64).map(|k| Slot::of_local(k * 1800)).collect();
        let mut calls = vec![1; slots.len()];
        calls[100..114].fill(0);
        assert!(!holes(&calls, &slots).contains(&true));
    }
}
