//! What is known of a group's fallback: what each look at it adds to what was known before.
//!
//! A fallback is asked for a call to each number of its group, for a template may serve one and fail another. One bad
//! answer costs its number alone. A look that has no answer adds nothing: what was broken stays so, what was good stays
//! so until it has not answered three times in a row, and what was never looked at is unchecked, to which numbers are
//! swapped and which the rollback's proof judges. That holds for the same address only.

use std::collections::BTreeMap;

use crate::model::counted::some_of;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::FallbackState;

/// What a look at a fallback showed for one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FallbackLook {
    Told(FallbackState, String),
    /// It was asked, and did not answer.
    Unanswered(String),
    /// It could not be asked.
    Unasked(String),
}

/// What is known of a group's fallback on a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FallbackFound {
    /// Of which address.
    pub url: String,
    /// Of all numbers that are not in `broken_for`.
    pub state: FallbackState,
    /// Numbers whose calls it does not serve, where it serves others.
    pub broken_for: Vec<NumberId>,
    /// Why.
    pub detail: String,
}

impl FallbackFound {
    /// What is known of it for one number.
    pub fn of(&self, number: NumberId) -> FallbackState {
        if self.broken_for.contains(&number) { FallbackState::Broken } else { self.state }
    }

    /// True if some number would not be served.
    pub fn is_broken(&self) -> bool {
        self.state == FallbackState::Broken || !self.broken_for.is_empty()
    }

    /// What is known after looks at `url`. `name` says how people read a number.
    pub fn after(
        before: Option<&FallbackFound>,
        url: &str,
        looks: &[(NumberId, FallbackLook)],
        name: impl Fn(NumberId) -> String,
    ) -> FallbackFound {
        let before = before.filter(|known| known.url == url);
        let known = |n: NumberId| before.map_or(FallbackState::Unchecked, |known| known.of(n));
        let kept = |state: FallbackState, why: &str| match (state, before) {
            (FallbackState::Broken, Some(before)) => before.detail.clone(),
            (FallbackState::Good, _) => format!("it answered before, and not now: {why}"),
            (FallbackState::Unchecked | FallbackState::Broken, _) => why.to_owned(),
        };
        let mut by_state: BTreeMap<&'static str, (FallbackState, Vec<NumberId>, String)> = BTreeMap::new();
        for (number, look) in looks {
            let (state, detail) = match look {
                FallbackLook::Told(state, detail) => (*state, detail.clone()),
                FallbackLook::Unanswered(why) => (known(*number), kept(known(*number), why)),
                // Not even that it is as good as it was is known any more.
                FallbackLook::Unasked(why) => match known(*number) {
                    FallbackState::Broken => (FallbackState::Broken, kept(FallbackState::Broken, why)),
                    FallbackState::Good | FallbackState::Unchecked => (FallbackState::Unchecked, why.clone()),
                },
            };
            by_state.entry(state.label()).or_insert_with(|| (state, Vec::new(), detail)).1.push(*number);
        }
        let mut take = |state: FallbackState| by_state.remove(state.label()).map(|(_, numbers, why)| (numbers, why));
        let (broken, unchecked, good) =
            (take(FallbackState::Broken), take(FallbackState::Unchecked), take(FallbackState::Good));
        let url = url.to_owned();
        let (state, detail) = match (&broken, unchecked, good) {
            (Some((_, why)), None, None) => {
                return FallbackFound {
                    url,
                    state: FallbackState::Broken,
                    broken_for: Vec::new(),
                    detail: why.clone(),
                };
            }
            (_, Some((_, why)), _) => (FallbackState::Unchecked, why),
            (_, None, Some((_, why))) => (FallbackState::Good, why),
            (None, None, None) => (FallbackState::Unchecked, "no number was asked for".to_owned()),
        };
        let Some((numbers, why)) = broken else { return FallbackFound { url, state, broken_for: Vec::new(), detail } };
        // What was kept says for whom already.
        let detail = match (before, &numbers[..]) {
            (Some(before), _) if before.detail == why && before.broken_for == numbers => why,
            (_, []) => why,
            (_, numbers) => format!("for {}: {why}", some_of(numbers, 1, |n| name(*n))),
        };
        FallbackFound { url, state, broken_for: numbers, detail }
    }
}

/// What is known of all of them.
#[derive(Debug, Clone, Default)]
pub struct Fallbacks(BTreeMap<(GroupName, Channel), FallbackFound>);

impl Fallbacks {
    pub fn set(&mut self, group: &GroupName, channel: Channel, found: FallbackFound) {
        self.0.insert((group.clone(), channel), found);
    }

    pub fn get(&self, group: &GroupName, channel: Channel) -> Option<&FallbackFound> {
        self.0.get(&(group.clone(), channel))
    }
}

#[cfg(test)]
mod tests {
    use FallbackState::{Broken, Good, Unchecked};

    use super::*;
    use crate::model::id::testing::ours;

    fn numbers() -> [NumberId; 3] {
        ["+15005550100", "+15005550101", "+15005550102"].map(ours)
    }

    fn told(state: FallbackState) -> FallbackLook {
        FallbackLook::Told(state, state.label().to_owned())
    }

    fn unanswered() -> FallbackLook {
        FallbackLook::Unanswered("timed out".to_owned())
    }

    fn after(before: Option<&FallbackFound>, looks: [FallbackLook; 3]) -> FallbackFound {
        let looks: Vec<_> = numbers().into_iter().zip(looks).collect();
        FallbackFound::after(before, "url", &looks, |n| n.e164.to_string())
    }

    #[test]
    fn one_bad_answer_costs_its_number_alone() {
        let found = after(None, [told(Good), told(Broken), told(Good)]);
        assert_eq!(numbers().map(|n| found.of(n)), [Good, Broken, Good]);
        assert_eq!((found.detail.as_str(), found.is_broken()), ("for +15005550101: broken", true));
        let found = after(None, [told(Broken), told(Broken), told(Unchecked)]);
        assert_eq!((found.state, found.detail.as_str()), (Unchecked, "for +15005550100, +15005550101: broken"));
        let found = after(None, [(); 3].map(|()| told(Broken)));
        assert_eq!((found.state, found.broken_for.len(), found.detail.as_str()), (Broken, 0, "broken"));
        assert!(!after(None, [(); 3].map(|()| told(Good))).is_broken());
    }

    #[test]
    fn no_answer_leaves_what_was_known() {
        let before = after(None, [told(Good), told(Broken), told(Good)]);
        let found = after(Some(&before), [(); 3].map(|()| unanswered()));
        assert_eq!(numbers().map(|n| found.of(n)), [Good, Broken, Good]);
        assert_eq!(found.detail, before.detail);
        let found = after(Some(&before), [(); 3].map(|()| FallbackLook::Unasked("no token".to_owned())));
        assert_eq!(numbers().map(|n| found.of(n)), [Unchecked, Broken, Unchecked], "nor is it good for ever");
        assert_eq!(after(None, [(); 3].map(|()| unanswered())).state, Unchecked);
        let elsewhere = FallbackFound { url: "another".to_owned(), ..before };
        let found = after(Some(&elsewhere), [(); 3].map(|()| unanswered()));
        assert_eq!((found.state, found.is_broken()), (Unchecked, false), "of another address nothing was known");
    }
}
