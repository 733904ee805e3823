//! What requests and slot time cost by a list of prices. In whole millionths of a millionth of a dollar: sums do not drift.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::spending::Spending;

/// Prices of requests and of slot time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList {
    /// Where they hold.
    pub region: String,
    /// As of when.
    pub as_of: String,
    /// Of one unit, by operation, or by `SERVICE *` for all the others of a service.
    prices: BTreeMap<String, Usd>,
    /// Of an hour of a slot; none where the machines cost nothing.
    slot_hour: Option<Usd>,
}

/// Dollars, in millionths of a millionth. Written as decimals, in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub u128);

/// What something costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What is known of it.
    pub usd: Usd,
    /// Operations that the list has no price for.
    pub unknown: Vec<String>,
}

/// A list of prices as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFile {
    region: String,
    as_of: String,
    /// Decimals as text.
    usd_per_million: BTreeMap<String, String>,
    /// A decimal as text.
    #[serde(default)]
    usd_per_slot_hour: Option<String>,
}

/// A list of prices that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the list of prices cannot be read: {0}")]
pub struct PriceListError(String);

/// Dollars for a million. S3 Standard, SQS standard queues, DynamoDB on demand (a unit is a KiB written, twice that in a
/// transaction, or 4 KiB read consistently); nothing free is taken off.
const US_EAST_1: [(&str, &str); 14] = [
    ("S3 PutObject", "5"),
    ("S3 CopyObject", "5"),
    ("S3 ListObjectsV2", "5"),
    ("S3 CreateMultipartUpload", "5"),
    ("S3 UploadPart", "5"),
    ("S3 CompleteMultipartUpload", "5"),
    ("S3 DeleteObject", "0"),
    ("S3 DeleteObjects", "0"),
    ("S3 AbortMultipartUpload", "0"),
    ("S3 *", "0.4"),
    ("SQS *", "0.4"),
    ("DynamoDB GetItem", "0.125"),
    ("DynamoDB Query", "0.125"),
    ("DynamoDB *", "0.625"),
];

/// A vCPU of a c5 machine on demand, which a slot has: <https://aws.amazon.com/ec2/pricing/on-demand> has a c5.large at 0.085.
const US_EAST_1_SLOT_HOUR: Usd = Usd(42_500_000_000);

const DOLLAR: u128 = 1_000_000_000_000;

const HOUR_US: u128 = 3_600_000_000;

impl PriceList {
    /// The list prices of us-east-1 by <https://aws.amazon.com/s3/pricing>, <https://aws.amazon.com/sqs/pricing> and
    /// <https://aws.amazon.com/dynamodb/pricing/on-demand>, as of their last change: on 2024-11-01 DynamoDB's were halved.
    pub fn us_east_1() -> Self {
        let prices = US_EAST_1.map(|(operation, usd)| (operation.to_owned(), Usd::each_of_a_million(usd)));
        let prices = prices.into_iter().filter_map(|(operation, usd)| Some((operation, usd?))).collect();
        let (region, as_of) = ("us-east-1".to_owned(), "2024-11-01".to_owned());
        Self { region, as_of, prices, slot_hour: Some(US_EAST_1_SLOT_HOUR) }
    }

    /// The same with another price of an hour of a slot.
    #[must_use]
    pub fn with_slot_hour(self, slot_hour: Option<Usd>) -> Self {
        Self { slot_hour, ..self }
    }

    /// Reads a list of somebody's own: `{"region": "eu-central-1", "as_of": "2026-01-01", "usd_per_slot_hour": "0.0485",
    /// "usd_per_million": {"S3 PutObject": "5.4", "SQS *": "0.40"}}`. An hour of a slot costs what it does in us-east-1 where
    /// the list does not say.
    pub fn read(json: &str) -> Result<Self, PriceListError> {
        let file: ListFile = serde_json::from_str(json).map_err(|error| PriceListError(error.to_string()))?;
        let mut prices = BTreeMap::new();
        for (operation, text) in file.usd_per_million {
            let usd = Usd::each_of_a_million(&text).ok_or_else(|| {
                PriceListError(format!(
                    "`{text}` for {operation} is no price: write dollars for a million, such as \"0.40\""
                ))
            })?;
            prices.insert(operation, usd);
        }
        let slot_hour = match file.usd_per_slot_hour {
            Some(text) => text.parse().map_err(PriceListError)?,
            None => US_EAST_1_SLOT_HOUR,
        };
        Ok(Self { region: file.region, as_of: file.as_of, prices, slot_hour: Some(slot_hour) })
    }

    /// What an hour of a slot costs.
    pub fn slot_hour(&self) -> Option<Usd> {
        self.slot_hour
    }

    /// What so many microseconds of slot time cost, rounded down.
    pub fn slot_time(&self, busy_us: u64) -> Option<Usd> {
        Some(Usd(self.slot_hour?.0 * u128::from(busy_us) / HOUR_US))
    }

    /// What one unit costs.
    pub fn of(&self, operation: &str) -> Option<Usd> {
        let service = operation.split(' ').next().unwrap_or_default();
        self.prices.get(operation).or_else(|| self.prices.get(&format!("{service} *"))).copied()
    }

    /// What so much costs.
    pub fn cost(&self, spending: &Spending) -> Cost {
        let mut cost = Cost::default();
        for (operation, asked) in spending.iter() {
            match self.of(operation) {
                Some(each) => cost.usd.0 += each.0 * u128::from(asked.units()),
                None => cost.unknown.push(operation.to_owned()),
            }
        }
        cost
    }
}

impl Usd {
    /// As a fraction, for estimates.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// What each costs where a million cost so many dollars: a decimal with at most six places.
    fn each_of_a_million(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 12 || places.len() > 6 || !is_number(whole) || !is_number(places) {
            return None;
        }
        format!("{whole}{places:0<6}").parse().ok().map(Self)
    }
}

impl std::str::FromStr for Usd {
    type Err = String;

    /// Reads dollars: a decimal with at most six places, such as `0.0425`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usd = Self::each_of_a_million(text).map(|each| Self(each.0 * 1_000_000));
        usd.ok_or_else(|| format!("`{text}` is no price: write dollars with at most six places, such as 0.0425"))
    }
}

impl std::ops::Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:012}", self.0 / DOLLAR, self.0 % DOLLAR);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spending::Asked;

    #[test]
    fn every_price_of_our_own_list_is_one() {
        let list = PriceList::us_east_1();
        assert_eq!(list.prices.len(), US_EAST_1.len());
        let each = |operation| list.of(operation).map(|usd| usd.to_string());
        assert_eq!(each("S3 PutObject").as_deref(), Some("0.000005"));
        assert_eq!(each("S3 HeadObject").as_deref(), Some("0.0000004"));
        assert_eq!(each("SQS ReceiveMessage").as_deref(), Some("0.0000004"));
        assert_eq!(each("DynamoDB PutItem").as_deref(), Some("0.000000625"));
        assert_eq!(each("DynamoDB Query").as_deref(), Some("0.000000125"));
        assert_eq!((each("S3 DeleteObject").as_deref(), each("EC2 RunInstances")), (Some("0"), None));
    }

    #[test]
    fn what_is_spent_is_added_up_to_the_last_digit() {
        let mut spending = Spending::default();
        spending.ask("S3 PutObject", Asked { requests: 1_000_001, extra_units: 0 });
        spending.ask("DynamoDB PutItem", Asked { requests: 3, extra_units: 2 });
        spending.ask("EC2 RunInstances", Asked { requests: 1, extra_units: 0 });
        let cost = PriceList::us_east_1().cost(&spending);
        assert_eq!((cost.usd.to_string().as_str(), cost.unknown), ("5.000008125", vec!["EC2 RunInstances".to_owned()]));
    }

    #[test]
    fn slot_time_costs_by_the_hour_and_nothing_where_it_has_no_price() {
        let list = PriceList::us_east_1();
        let hours = |hours: u64| hours * 3_600_000_000;
        let cost = |list: &PriceList, busy_us| list.slot_time(busy_us).map(|usd| usd.to_string());
        assert_eq!(cost(&list, hours(100)).as_deref(), Some("4.25"));
        assert_eq!(cost(&list, 1).as_deref(), Some("0.000000000011"));
        assert_eq!(cost(&list.with_slot_hour(None), hours(100)), None);
        let own = |usd: &str| format!(r#"{{"region": "x", "as_of": "y", "usd_per_million": {{}}{usd}}}"#);
        let read = |usd: &str| PriceList::read(&own(usd)).map(|list| list.slot_hour().unwrap().dollars());
        assert_eq!(read(r#", "usd_per_slot_hour": "0.5""#).unwrap(), 0.5);
        assert_eq!(read("").unwrap(), 0.0425);
        assert!(read(r#", "usd_per_slot_hour": "-1""#).unwrap_err().to_string().contains("`-1` is no price"));
    }

    #[test]
    fn a_list_of_somebodys_own_takes_its_place() {
        let text = r#"{"region": "x", "as_of": "y", "usd_per_million": {"SQS *": "0.40", "S3 PutObject": "12"}}"#;
        let list = PriceList::read(text).unwrap();
        assert_eq!(
            (list.of("SQS DeleteMessageBatch"), list.of("S3 PutObject")),
            (Some(Usd(400_000)), Some(Usd(12_000_000)))
        );
        assert_eq!(list.of("S3 GetObject"), None);
        for wrong in ["-1", "", "1e3", "0.0000001", "1,5", ".5"] {
            let text = text.replace("0.40", wrong);
            let error = PriceList::read(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}` for SQS *")), "{error}");
        }
        assert!(PriceList::read("{}").is_err());
    }
}
