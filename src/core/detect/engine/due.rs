//! Which numbers or groups are to be looked at, each once, however often something asks for it: every outcome may.

use crate::model::id::Channel;

/// Channels of numbers or groups, by their positions in the roster.
#[derive(Debug)]
pub(super) struct Due {
    is_due: Vec<[bool; 2]>,
    list: Vec<(u32, Channel)>,
}

impl Due {
    /// Of so many numbers or groups, none of which is due.
    pub(super) fn new(count: usize) -> Due {
        Due { is_due: vec![[false; 2]; count], list: Vec::new() }
    }

    pub(super) fn has(&self, of: u32, channel: Channel) -> bool {
        self.is_due[of as usize][channel.index()]
    }

    pub(super) fn insert(&mut self, of: u32, channel: Channel) {
        if !std::mem::replace(&mut self.is_due[of as usize][channel.index()], true) {
            self.list.push((of, channel));
        }
    }

    /// Takes all of them out, in the roster's order.
    pub(super) fn take(&mut self) -> Vec<(u32, Channel)> {
        let mut list = std::mem::take(&mut self.list);
        list.sort_unstable();
        for (of, channel) in &list {
            self.is_due[*of as usize][channel.index()] = false;
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_and_in_order_and_can_be_due_again() {
        let mut due = Due::new(3);
        for (of, channel) in [(2, Channel::Voice), (0, Channel::Messaging), (2, Channel::Voice), (0, Channel::Voice)] {
            due.insert(of, channel);
            assert!(due.has(of, channel));
        }
        assert_eq!(due.take(), [(0, Channel::Voice), (0, Channel::Messaging), (2, Channel::Voice)]);
        assert!(!due.has(2, Channel::Voice) && due.take().is_empty());
        due.insert(2, Channel::Voice);
        assert_eq!(due.take(), [(2, Channel::Voice)]);
    }
}
