//! The records of the numbers that an order is about, each held against its SID and its telephone number.
//!
//! What is written goes to the SID that is found here. A list is believed where it says what is known already; what it
//! says otherwise is fetched by the SID first, and an answer that is of another number is none.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::{ReadError, RoutingReader};
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::id::{NumberId, NumberSid};
use crate::twilio::wire::{NumberRead, WireRow};
use crate::twilio::{Error, ErrorKind, endpoint, not_to_be_followed};

/// Up to so many numbers are read one by one; more are read as a list, 1,000 in a request.
const ONE_BY_ONE: usize = 10;

/// What the account's list said of the numbers that are wanted.
#[derive(Default)]
struct ListRead {
    /// What stopped it, if something did.
    stopped: Option<Error>,
    /// SIDs by which it has them, and by which nobody knows them yet.
    news: BTreeMap<NumberId, NumberSid>,
    /// What is wrong with rows that cannot be understood, by the number that they name, if they do.
    unclear: BTreeMap<Option<NumberId>, String>,
}

/// What stands between us and Twilio stands before every number.
const fn stands_before_all(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Busy | ErrorKind::Credentials)
}

impl RoutingReader {
    pub(super) async fn records(
        &self,
        wanted: &[(NumberId, Option<NumberSid>)],
    ) -> BTreeMap<NumberId, Result<NumberRead, ReadError>> {
        let mut records = BTreeMap::new();
        let mut listed = None;
        if wanted.len() > ONE_BY_ONE {
            listed = Some(self.list(wanted, &mut records).await);
        }
        if let Some(ListRead { stopped: Some(error), .. }) = &listed
            && stands_before_all(error)
        {
            for (number, _) in wanted {
                records.entry(*number).or_insert_with(|| Err(error.clone().into()));
            }
            return records;
        }
        // What the list does not show, or not so that it can be understood, is looked at for itself.
        let is_left = |records: &BTreeMap<_, _>, number: &NumberId| !records.contains_key(number);
        let known: Vec<_> = wanted.iter().filter_map(|(n, sid)| Some((*n, (*sid)?))).collect();
        self.fetch(known.into_iter().filter(|(n, _)| is_left(&records, n)).collect(), &mut records).await;
        // It may have come, or come back, with a SID that nobody knows yet.
        if listed.is_none() && wanted.iter().any(|(n, _)| is_left(&records, n)) {
            let left: Vec<_> = wanted.iter().filter(|(n, _)| is_left(&records, n)).copied().collect();
            listed = Some(self.list(&left, &mut records).await);
        }
        let ListRead { stopped, news, unclear } = listed.unwrap_or_default();
        self.fetch(news.into_iter().filter(|(n, _)| is_left(&records, n)).collect(), &mut records).await;
        for (number, _) in wanted {
            let why = || match (&stopped, unclear.get(&Some(*number)).or_else(|| unclear.get(&None))) {
                (Some(error), _) => ReadError::Twilio(error.clone()),
                (None, Some(row)) => {
                    let what = format!("a row of the list, which may be it, cannot be understood: {row}");
                    ReadError::Twilio(not_to_be_followed(endpoint::LIST_NUMBERS, what))
                }
                (None, None) => ReadError::NotInAccount,
            };
            records.entry(*number).or_insert_with(|| Err(why()));
        }
        records
    }

    /// Fetches numbers one by one. Those that Twilio does not have by this SID are left out.
    async fn fetch(
        &self,
        wanted: Vec<(NumberId, NumberSid)>,
        records: &mut BTreeMap<NumberId, Result<NumberRead, ReadError>>,
    ) {
        let mut fetches = JoinSet::new();
        for (number, sid) in wanted {
            let client = self.client.clone();
            self.clock.spawn(&mut fetches, async move { (number, client.number(sid, number.e164).await) });
        }
        while let Some(Some(joined)) = self.clock.wait(None, fetches.join_next()).await {
            match joined {
                Ok((number, Ok(read))) if self.id(&read) == number => {
                    records.insert(number, Ok(read));
                }
                Ok((_, Err(error))) if error.kind == ErrorKind::NotFound => {}
                Ok((number, Err(error))) => {
                    records.insert(number, Err(error.into()));
                }
                Ok((_, Ok(_))) | Err(_) => {}
            }
        }
    }

    /// Takes from the account's list what is wanted and known by the SID that it has there. What is not is to be looked
    /// at for itself: a list that gives our number another's SID must not have us write to the other one.
    async fn list(
        &self,
        wanted: &[(NumberId, Option<NumberSid>)],
        records: &mut BTreeMap<NumberId, Result<NumberRead, ReadError>>,
    ) -> ListRead {
        let wanted: BTreeMap<NumberId, Option<NumberSid>> = wanted.iter().copied().collect();
        let mut list = ListRead::default();
        let mut pager = self.client.numbers(LARGEST_PAGE);
        loop {
            match pager.next().await {
                Ok(Some(page)) => {
                    for row in page.rows {
                        let read = match row {
                            Ok(WireRow::Ours(read)) => read,
                            Ok(WireRow::NotOurs(_)) => continue,
                            Err(bad) => {
                                let number = bad.number.map(|number| NumberId::new(self.client.account(), number));
                                list.unclear.entry(number).or_insert_with(|| bad.to_string());
                                continue;
                            }
                        };
                        let (number, sid) = (self.id(&read), read.record.sid);
                        match wanted.get(&number) {
                            Some(known) if *known == Some(sid) => {
                                records.insert(number, Ok(read));
                            }
                            Some(_) => {
                                list.news.insert(number, sid);
                            }
                            None => {}
                        }
                    }
                }
                Ok(None) => return list,
                Err(error) => {
                    tracing::warn!(%error, "the list of numbers cannot be read");
                    return ListRead { stopped: Some(error), ..list };
                }
            }
        }
    }
}
