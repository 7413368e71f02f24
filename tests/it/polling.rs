//! Reading the logs: nothing missed, nothing counted twice, however long the day, however late the
//! entry, and whenever the agent is restarted.

use crate::agent::DAY;
use crate::world::{Running, World, play};

async fn counted(agent: &Running) -> f64 {
    agent.sum("ringback_calls_total", &[]).await
}

fn calls(w: &World) -> f64 {
    w.sim.truth().total.calls as f64
}

#[test]
fn an_entry_that_was_forgotten_is_not_taken_for_new() {
    // Twilio's filter has the precision of a day: hours later the same page still shows the morning.
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(5 * 3600).await;
        let rows = async || agent.sum("ringback_rows_total", &[r#"source="calls""#, r#"result="new""#]).await;
        let new = rows().await;
        assert_eq!(counted(&agent).await, calls(w));
        w.pass(4 * 3600 + 1800).await;
        assert_eq!(rows().await, new, "nobody has called since");
        assert_eq!(counted(&agent).await, calls(w));
        agent.stop().await;
    });
}

#[test]
fn a_long_silence_between_two_agents_repeats_nothing() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let first = counted(&agent).await;
        agent.stop().await;
        // Longer than the ledger remembers: what was read before must still be known.
        w.pass(7 * 3600).await;
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        assert_eq!(first + counted(&agent).await, calls(w));
        agent.stop().await;
    });
}

#[test]
fn an_entry_that_comes_an_hour_late_is_counted_after_a_restart_too() {
    let day = format!("{DAY}\n[lag]\nlate = 0.05\nlate_s = [3600, 5400]\n");
    play(&day, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let first = counted(&agent).await;
        agent.stop().await;
        w.pass(60).await;
        let agent = w.start().await.unwrap();
        w.pass(5 * 3600).await;
        assert_eq!(first + counted(&agent).await, calls(w));
        agent.stop().await;
    });
}
