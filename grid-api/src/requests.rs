//! What was asked of services for a job, and what that costs by a list of prices.

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
