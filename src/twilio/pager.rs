//! A list, page by page, to its end or to what keeps it from being read to there.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::host::{Product, next_path};
use super::wire::{self, BadRow, Listed, Page, WireRow};
use super::{Client, Error, ErrorKind};
use crate::core::model::bounds;
use crate::core::model::time::Time;

/// A list that is being paged through, newest entries first.
pub struct Pager<'a, L> {
    client: &'a Client,
    endpoint: &'static str,
    product: Product,
    /// Path and query of the next page.
    next: Option<String>,
    /// Those that were read: a list that comes back to one of them does not end.
    read: HashSet<u64>,
    /// Of a log: how far back it was read, and how many pages have led no further since.
    back_to: Option<Time>,
    stuck: usize,
    /// What its rows have so far that are kept.
    bytes: usize,
    /// Path of the list, the same for all its pages.
    list: String,
    kind: std::marker::PhantomData<L>,
}

impl<'a, L> Pager<'a, L> {
    pub(super) fn new(client: &'a Client, endpoint: &'static str, product: Product, path: String) -> Self {
        let list = list_of(&path).to_owned();
        Pager {
            client,
            endpoint,
            product,
            next: Some(path),
            read: HashSet::new(),
            back_to: None,
            stuck: 0,
            bytes: 0,
            list,
            kind: std::marker::PhantomData,
        }
    }
}

impl<L: Listed> Pager<'_, L> {
    /// The next page; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Page<L::Item>>, Error> {
        let Some(path) = self.next.take() else {
            return Ok(None);
        };
        let client = self.client;
        let page = client
            .transport
            .read(client.precedence, self.endpoint, self.product, &path, |body| {
                wire::page::<L>(body, client.reader()).map_err(|e| e.to_string())
            })
            .await?;
        self.read.insert(digest(&path));
        let ours = page.rows.iter().filter_map(|row| row.as_ref().ok());
        let bytes = |row: &WireRow<L::Item>| if let WireRow::Ours(item) = row { L::bytes(item) } else { 0 };
        self.bytes += ours.map(bytes).sum::<usize>();
        // Where a list cannot be followed it has not ended: what would have come is not known.
        let lost = |problem: &str| not_to_be_followed(self.endpoint, problem.to_owned());
        if page.newest.is_some_and(|newest| self.back_to.is_none_or(|back| newest < back)) {
            (self.back_to, self.stuck) = (page.newest, 0);
        } else {
            self.stuck += usize::from(L::IS_LOG);
        }
        self.next = match page.next.as_deref() {
            _ if self.bytes > bounds::WALK_BYTES => return Err(lost("the list has more than can be kept of it")),
            None => None,
            Some(_) if self.stuck >= bounds::STUCK_PAGES => return Err(lost("its pages lead no further back")),
            Some(uri) => match next_path(uri) {
                Some(next) if next == path => return Err(lost("a page names itself as the next one")),
                Some(next) if self.read.contains(&digest(&next)) => {
                    return Err(lost("a page names one as the next that was read before"));
                }
                Some(_) if self.read.len() >= bounds::WALK_PAGES => return Err(lost("the list does not end")),
                Some(next) if list_of(&next) != self.list => {
                    return Err(lost("the next page is said to be one of another list"));
                }
                Some(next) => Some(next),
                None => return Err(lost("the address of the next page cannot be read")),
            },
        };
        Ok(Some(page))
    }

    /// Path and query of the page that comes next; `None` after the last.
    pub fn place(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Everything to the end of the list, none of whose rows may be bad.
    pub(super) async fn whole(self) -> Result<Vec<L::Item>, Error> {
        let endpoint = self.endpoint;
        let (items, bad) = self.all().await?;
        match bad.first() {
            None => Ok(items),
            Some(row) => Err(not_to_be_followed(endpoint, format!("a row cannot be understood: {row}"))),
        }
    }

    /// Everything to the end of the list, and some of the rows that could not be read, if there are any.
    pub async fn all(mut self) -> Result<(Vec<L::Item>, Vec<BadRow>), Error> {
        let mut items = Vec::new();
        let mut bad = Vec::new();
        while let Some(page) = self.next().await? {
            for row in page.rows {
                match row {
                    Ok(WireRow::Ours(item)) => items.push(item),
                    Ok(WireRow::NotOurs(_)) => {}
                    Err(row) if bad.len() < bounds::BAD_ROWS => bad.push(row),
                    Err(_) => {}
                }
            }
        }
        Ok((items, bad))
    }
}

/// A list that was answered and cannot be read to its end.
pub const fn not_to_be_followed(endpoint: &'static str, message: String) -> Error {
    Error {
        kind: ErrorKind::NotTwilio,
        endpoint,
        status: None,
        code: None,
        message,
        request_id: None,
        retry_after: None,
    }
}

/// What is remembered of a page's address.
fn digest(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// The path of a list, without what is written differently.
fn list_of(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.strip_suffix(".json").unwrap_or(path)
}
