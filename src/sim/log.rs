//! A log as Twilio keeps it: newest first, paged by the last SID seen, each row visible from some time.
//!
//! Rows are kept in the order in which they came; an index sorts them by time and SID. A page is a
//! binary search and a walk, so it costs the same at the end of a million rows as at the beginning.

use std::collections::HashMap;

use crate::core::model::time::Time;

/// Something that stands in a log.
pub trait SimRow {
    /// When it happened, by which the log is sorted.
    fn at(&self) -> Time;
    /// The digits of its SID.
    fn digits(&self) -> u128;
}

pub struct SimLog<T> {
    rows: Vec<T>,
    /// Rows by (time, SID), oldest first.
    order: Vec<(Time, u32)>,
    by_sid: HashMap<u128, u32>,
}

/// Which rows, by time: from the first on, before the second.
#[derive(Clone, Copy, Default)]
pub struct Between {
    pub from: Option<Time>,
    pub before: Option<Time>,
}

/// Where a page begins: beside a row of the page that the client already has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    OlderThan(u128),
    NewerThan(u128),
}

/// Rows, newest first, and whether there are older ones.
pub struct Slice<'a, T> {
    pub rows: Vec<&'a T>,
    pub more: bool,
}

impl<T: SimRow> SimLog<T> {
    pub fn new() -> SimLog<T> {
        SimLog { rows: Vec::new(), order: Vec::new(), by_sid: HashMap::new() }
    }

    pub fn insert(&mut self, row: T) {
        let index = u32::try_from(self.rows.len()).expect("a log of four thousand million rows does not fit in memory");
        let key = (row.at(), row.digits());
        self.by_sid.insert(key.1, index);
        self.rows.push(row);
        // Nearly always the newest or nearly so.
        let newer = self.order.iter().rev().take_while(|(t, i)| (*t, self.rows[*i as usize].digits()) > key).count();
        self.order.insert(self.order.len() - newer, (key.0, index));
    }

    pub fn get(&self, digits: u128) -> Option<&T> {
        self.by_sid.get(&digits).map(|i| &self.rows[*i as usize])
    }

    /// A row to be changed, in anything but its time and SID.
    pub fn get_mut(&mut self, digits: u128) -> Option<&mut T> {
        self.by_sid.get(&digits).map(|i| &mut self.rows[*i as usize])
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A page of the rows that `keep` keeps. `None`: there is no row to anchor it at.
    pub fn page(
        &self,
        between: Between,
        anchor: Option<Anchor>,
        size: usize,
        keep: impl Fn(&T) -> bool,
    ) -> Option<Slice<'_, T>> {
        let first_from = |t: Time| self.order.partition_point(|(at, _)| *at < t);
        let mut low = between.from.map_or(0, first_from);
        let mut high = between.before.map_or(self.order.len(), first_from).max(low);
        let row = |(_, i): &(Time, u32)| &self.rows[*i as usize];
        match anchor {
            None => {}
            Some(Anchor::OlderThan(sid)) => high = high.min(self.position(sid)?).max(low),
            Some(Anchor::NewerThan(sid)) => {
                low = low.max(self.position(sid)? + 1).min(high);
                let mut rows: Vec<&T> = self.order[low..high].iter().map(row).filter(|r| keep(r)).take(size).collect();
                rows.reverse();
                return Some(Slice { rows, more: true });
            }
        }
        let mut rows: Vec<&T> =
            self.order[low..high].iter().rev().map(row).filter(|r| keep(r)).take(size + 1).collect();
        let more = rows.len() > size;
        rows.truncate(size);
        Some(Slice { rows, more })
    }

    fn position(&self, digits: u128) -> Option<usize> {
        let key = (self.get(digits)?.at(), digits);
        self.order.binary_search_by_key(&key, |(t, i)| (*t, self.rows[*i as usize].digits())).ok()
    }
}

/// A page of a list that is kept otherwise, newest first.
pub fn slice<'a, T>(
    rows: impl Iterator<Item = &'a T>,
    digits: impl Fn(&T) -> u128,
    anchor: Option<Anchor>,
    size: usize,
) -> Option<Slice<'a, T>> {
    let mut rows: Vec<&T> = rows.collect();
    let position = |sid| rows.iter().position(|r| digits(r) == sid);
    match anchor {
        None => {}
        Some(Anchor::OlderThan(sid)) => {
            rows.drain(..=position(sid)?);
        }
        Some(Anchor::NewerThan(sid)) => {
            let end = position(sid)?;
            return Some(Slice { rows: rows[end.saturating_sub(size)..end].to_vec(), more: true });
        }
    }
    let more = rows.len() > size;
    rows.truncate(size);
    Some(Slice { rows, more })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(i64, u128);

    impl SimRow for Plain {
        fn at(&self) -> Time {
            Time::from_secs(self.0)
        }
        fn digits(&self) -> u128 {
            self.1
        }
    }

    fn log(rows: &[(i64, u128)]) -> SimLog<Plain> {
        let mut log = SimLog::new();
        for (at, sid) in rows {
            log.insert(Plain(*at, *sid));
        }
        log
    }

    fn sids(slice: &Slice<'_, Plain>) -> Vec<u128> {
        slice.rows.iter().map(|r| r.1).collect()
    }

    #[test]
    fn order_does_not_depend_on_the_order_of_arrival() {
        let forth = log(&[(1, 10), (2, 20), (2, 21), (3, 30)]);
        let back = log(&[(3, 30), (2, 21), (1, 10), (2, 20)]);
        for l in [&forth, &back] {
            let all = l.page(Between::default(), None, 10, |_| true).unwrap();
            assert_eq!((sids(&all), all.more), (vec![30, 21, 20, 10], false));
        }
    }

    #[test]
    fn a_walk_by_anchor_sees_every_row_once_though_new_ones_come() {
        let mut l = log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
        let first = l.page(Between::default(), None, 2, |_| true).unwrap();
        assert_eq!((sids(&first), first.more), (vec![5, 4], true));
        l.insert(Plain(6, 6));
        let second = l.page(Between::default(), Some(Anchor::OlderThan(4)), 2, |_| true).unwrap();
        assert_eq!((sids(&second), second.more), (vec![3, 2], true));
        let back = l.page(Between::default(), Some(Anchor::NewerThan(3)), 2, |_| true).unwrap();
        assert_eq!(sids(&back), vec![5, 4]);
        let last = l.page(Between::default(), Some(Anchor::OlderThan(2)), 2, |_| true).unwrap();
        assert_eq!((sids(&last), last.more), (vec![1], false));
        assert!(l.page(Between::default(), Some(Anchor::OlderThan(99)), 2, |_| true).is_none());
    }

    #[test]
    fn bounds_and_filters_apply_before_the_page_is_cut() {
        let l = log(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
        let between = Between { from: Some(Time::from_secs(2)), before: Some(Time::from_secs(5)) };
        let page = l.page(between, None, 2, |r| r.1 != 3).unwrap();
        assert_eq!((sids(&page), page.more), (vec![4, 2], false));
        let none = Between { from: Some(Time::from_secs(4)), before: Some(Time::from_secs(2)) };
        assert!(l.page(none, None, 2, |_| true).unwrap().rows.is_empty());
    }
}
