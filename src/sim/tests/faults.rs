//! The API's own faults, seen through the router; those of the connection are in `wire`.

use super::*;
use crate::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};

fn under(kind: ApiFaultKind, main: impl AsyncFnOnce(Door)) {
    play(one_number(""), async |door| {
        door.at(min(20)).await;
        door.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(EndpointClass::Calls)).lasts(min(10))).unwrap();
        main(door.clone()).await;
        // Other requests never noticed, and afterwards it is over.
        assert_eq!(door.get("Messages.json").await.status, 200);
        door.at(min(31)).await;
        assert_eq!(door.calls().await.len(), count(&door.calls().await, "status", "completed"));
    });
}

#[test]
fn refusals_have_their_status_and_body() {
    for (kind, status, code) in [
        (ApiFaultKind::TooMany, 429, 20429),
        (ApiFaultKind::ServerError, 500, 20500),
        (ApiFaultKind::Unauthorized, 401, 20003),
    ] {
        under(kind, async |door| assert_eq!(door.get("Calls.json").await.error(), (status, code)));
    }
    under(ApiFaultKind::BadGateway, async |door| {
        let reply = door.get("Calls.json").await;
        assert_eq!((reply.status, reply.headers["content-type"].to_str().unwrap()), (502, "text/html"));
        assert!(reply.body.starts_with(b"<html>"));
    });
    under(ApiFaultKind::Unavailable, async |door| {
        let reply = door.get("Calls.json").await;
        assert_eq!((reply.status, reply.body.len()), (503, 0));
    });
}

#[test]
fn a_share_of_requests_is_a_share() {
    play(one_number(""), async |door| {
        door.sim.fault(ApiFault::new(ApiFaultKind::ServerError, ApiFaultScope::Reads).share(0.3)).unwrap();
        for _ in 0..200 {
            door.get("Calls.json").await;
        }
        let failed = door.sim.stats().of("GET calls", "500");
        assert!((35..85).contains(&failed), "{failed}");
    });
}

#[test]
fn bodies_may_stop_or_surprise() {
    under(ApiFaultKind::Truncated, async |door| {
        let reply = door.get("Calls.json").await;
        assert_eq!(reply.status, 200);
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
    });
    under(ApiFaultKind::BadRow, async |door| {
        let rows = door.get("Calls.json").await.json()["calls"].clone();
        let rows = rows.as_array().unwrap();
        assert_eq!((count(rows, "date_created", "yesterday"), count(rows, "sid", Value::Null)), (1, 1));
    });
    under(ApiFaultKind::Unknown, async |door| {
        let rows = door.get("Calls.json").await.json()["calls"].clone();
        let rows = rows.as_array().unwrap();
        let strange: Vec<_> = rows.iter().filter(|r| r.get("brand_new_field").is_some()).collect();
        assert_eq!((strange.len(), &strange[0]["status"]), (1, &"quantum".into()));
    });
}

#[test]
fn a_stalled_list_shows_nothing_new_and_then_all_of_it() {
    play(one_number(""), async |door| {
        door.at(min(20)).await;
        let before = door.calls().await.len();
        door.sim
            .fault(ApiFault::new(ApiFaultKind::Stall, ApiFaultScope::Class(EndpointClass::Calls)).lasts(min(10)))
            .unwrap();
        door.at(min(29)).await;
        assert_eq!(door.calls().await.len(), before);
        door.at(min(31)).await;
        assert!(door.calls().await.len() > before + 10);
    });
}

#[test]
fn a_skewed_clock_shows_in_the_header_and_in_the_rows() {
    under(ApiFaultKind::Skew, async |door| {
        let skewed = door.get("Calls.json?PageSize=1").await;
        assert!(skewed.headers["date"].to_str().unwrap().starts_with("Fri, 20 Nov 2026 15:20:"));
        let row = &skewed.json()["calls"][0];
        assert!(row["start_time"].as_str().unwrap().starts_with("Fri, 20 Nov 2026 15:1"), "{row}");
        let path = format!("Calls/{}.json", row["sid"].as_str().unwrap());
        assert!(door.get(&path).await.json()["start_time"].as_str().unwrap().starts_with("Fri, 20 Nov 2026 14:1"));
    });
}
