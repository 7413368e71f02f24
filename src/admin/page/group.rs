//! One group: all its numbers, the worst first, and what can be done with them.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::acts::{Acts, Whom};
use super::overview::{NumberList, fallback, group_spark};
use super::sight::BlindSpots;
use super::spark::Spark;
use super::{PageProblem, Refresh, Visitor, page, part};
use crate::admin::Admin;
use crate::core::model::id::{Channel, GroupName};

#[derive(Template)]
#[template(path = "group.html", config = "src/admin/page/askama.toml")]
struct Page {
    group: GroupName,
    acts: Acts,
    sight: BlindSpots,
    lanes: Vec<Lane>,
    numbers: NumberList,
}

struct Lane {
    channel: Channel,
    spark: Spark,
    fallback: Option<(&'static str, String)>,
    url: Option<String>,
}

/// `GET /groups/{name}`.
pub async fn group(
    State(admin): State<Admin>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageProblem> {
    let unknown = || PageProblem::new(StatusCode::NOT_FOUND, "There is no such group.");
    let (ix, group) = admin.roster.groups().find(|(_, g)| g.name.as_str() == name).ok_or_else(unknown)?;
    let status = admin.status.borrow().clone();
    let seen = status.groups.iter().find(|g| g.group == group.name).ok_or_else(unknown)?;
    let lane = |channel: Channel| {
        let is_watched = seen.numbers.iter().any(|n| n.channels.iter().any(|c| c.channel == channel));
        let of = seen.channels.iter().find(|c| c.channel == channel);
        let url = group.fallback(channel).map(|url| crate::core::model::value::FieldValue::from(url).to_string());
        is_watched.then(|| Lane {
            channel,
            spark: group_spark(&status, ix, channel, &admin.recent),
            fallback: of.and_then(fallback),
            url,
        })
    };
    let body = Page {
        sight: BlindSpots::of(&status),
        acts: Acts::of(
            &status,
            &admin.roster,
            &visitor.root,
            &format!("group={}", part(group.name.as_str())),
            Whom::Group(&group.name),
        ),
        group: group.name.clone(),
        lanes: Channel::ALL.into_iter().filter_map(lane).collect(),
        numbers: NumberList::of(&status, &admin.roster, &visitor.root, |g, _| *g == group.name, usize::MAX),
    };
    let title = format!("Group {}", group.name);
    Ok(page(&admin, &visitor, &title, Refresh::Whole, &body))
}
