//! How a restore is divided, so that a handler that still fails meets few callers.
//!
//! Twilio has no conditional update, so each number of a stage is read, compared with what the rollback left,
//! written and read back ([`super::saga`], `agent::execute`). Between the read and the write lies a gap of one request;
//! whoever changes the number in it is overwritten, and the audit log shows both.

/// How many numbers each stage of a staged restore has: a canary, a share, the rest.
///
/// One number is its own canary; of two, the second waits for the first.
pub fn stages(numbers: usize) -> Vec<usize> {
    if numbers <= 1 {
        return vec![numbers; numbers];
    }
    let share = (numbers - 1).div_ceil(4);
    let rest = numbers - 1 - share;
    [1, share, rest].into_iter().filter(|n| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_a_canary_a_share_and_the_rest() {
        assert_eq!(stages(0), Vec::<usize>::new());
        assert_eq!(stages(1), [1]);
        assert_eq!(stages(2), [1, 1]);
        assert_eq!(stages(3), [1, 1, 1]);
        assert_eq!(stages(4), [1, 1, 2]);
        assert_eq!(stages(5), [1, 1, 3], "a quarter of what is left after the canary");
        assert_eq!(stages(6), [1, 2, 3], "rounded up");
        assert_eq!(stages(10), [1, 3, 6]);
        for n in 0..200 {
            assert_eq!(stages(n).iter().sum::<usize>(), n);
        }
    }
}
