//! What a page shows first: it is true, and what is first to be clicked helps.

use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope};
use serde_json::json;

use crate::agent::DAY;
use crate::support::{break_app, support, with_token};
use crate::world::play;

#[test]
fn what_is_held_or_not_seen_is_said_on_every_page_that_tells_of_it() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        agent.post("hold", json!({"group": "support", "reason": "moving desks", "author": "ann"})).await;
        break_app(w);
        w.pass(900).await;
        let overview = agent.get("/").await.1;
        let blocked =
            overview.split("Rollback blocked: support voice").nth(1).unwrap().split("</article>").next().unwrap();
        assert!(blocked.contains("act/release?group=support") && !blocked.contains("act/rollback"), "{blocked}");
        let decision = agent.get("/decisions/D1").await.1;
        let first = decision.split("Evidence").next().unwrap();
        for told in ["not done", "Nothing was written:", "ann holds group support", "moving desks", "act/release?group"]
        {
            assert!(first.contains(told), "{told}: {first}");
        }
        w.sim.fault(ApiFault::new(ApiFaultKind::Unauthorized, ApiFaultScope::Any)).unwrap();
        w.pass(300).await;
        let number = format!("/numbers/{}", support()[0].to_string().replace('+', "%2B"));
        for path in [number.as_str(), "/groups/support", "/decisions/D1", "/"] {
            let page = agent.get(path).await.1;
            assert!(page.contains("Blind: this is not known"), "{path}: {page}");
        }
        let page = agent.get(&number).await.1;
        assert!(page.contains("not known since") && page.contains("is not known.</p>"), "{page}");
        let overview = agent.get("/").await.1;
        assert!(overview.contains("Not known since") && !overview.contains("it acts by itself"), "{overview}");
        agent.stop().await;
    });
}

/// Thousands of rows may be sent at once: what a browser, or the style, knows of itself is in none of them.
#[test]
fn a_row_of_the_list_of_all_numbers_is_short() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let page = agent.get("/?all").await.1;
        let list = page.split("<h2>All numbers</h2>").nth(1).unwrap();
        let rows: Vec<&str> = list.split("<tr class=").skip(1).collect();
        assert_eq!(rows.len(), 6, "{list}");
        // The last one is followed by the rest of the page.
        assert!(rows[..5].iter().all(|row| row.len() < 320), "{rows:#?}");
        agent.stop().await;
    });
}
