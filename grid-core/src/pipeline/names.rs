//! What names may look like. A slip here would let a name leave its folder or its environment variable.

/// Longest name of a stage or input: it becomes part of object keys.
const MAX_STAGE_NAME: usize = 64;

/// Longest name of a pipeline or pool.
const MAX_PLAIN_NAME: usize = 128;

/// Longest name of a tenant.
const MAX_TENANT_NAME: usize = 64;

/// Longest name, URL or ARN of a queue.
const MAX_QUEUE: usize = 512;

/// `[A-Za-z_][A-Za-z0-9_]*`: parameters, dimensions, environment variables.
pub(crate) fn is_identifier(name: &str) -> bool {
    begins_with_letter(name) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `[A-Za-z_][A-Za-z0-9_-]*`, at most 64: stages and inputs.
pub(crate) fn is_stage_name(name: &str) -> bool {
    name.len() <= MAX_STAGE_NAME
        && begins_with_letter(name)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// `[A-Za-z0-9_][A-Za-z0-9._-]*`, at most 128: pipelines and pools.
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.len() <= MAX_PLAIN_NAME
        && !name.is_empty()
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// `[A-Za-z0-9_-][A-Za-z0-9._-]*`, at most 64: tenants.
pub(crate) fn is_tenant_name(name: &str) -> bool {
    name.len() <= MAX_TENANT_NAME
        && !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Visible ASCII, at most 512: the name, URL or ARN of a queue.
pub(crate) fn is_queue(name: &str) -> bool {
    name.len() <= MAX_QUEUE && !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

fn begins_with_letter(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
}
