//! What a job cost by a list of prices: slot time, and what was asked of services.

use serde::{Deserialize, Serialize};

/// Requests to services elsewhere, as the grid knew them right before it wrote the receipt: those of the manager that
/// leads, and of the workers as they told with their results. None where everything ran on one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestsReceipt {
    /// How many, repeats included.
    pub total: u64,
    /// Dollars by the list of prices: a decimal, to the last digit.
    pub usd: String,
    /// The region whose prices these are.
    pub region: String,
    /// As of when.
    pub as_of: String,
    /// Operations that the list has no price for: they are not in `usd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<String>,
    /// By service and operation.
    pub operations: Vec<OperationReceipt>,
}

/// The time that items took, all slots together and failed attempts included, where an hour of a slot has a price. What
/// machines cost beyond that - while they started, or had nothing to do - is no job's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlotTimeReceipt {
    /// Seconds.
    pub secs: f64,
    /// Dollars an hour: a decimal.
    pub usd_per_hour: String,
    /// Dollars: a decimal, to the last digit.
    pub usd: String,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationReceipt {
    /// Such as `S3 PutObject`.
    pub operation: String,
    /// How many, repeats included.
    pub requests: u64,
    /// What they are billed as: large ones count more than once.
    pub units: u64,
}
