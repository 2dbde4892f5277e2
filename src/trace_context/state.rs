//! The form of a `tracestate`.

use std::collections::BTreeSet;

use super::TraceContextError;

/// Returns a `tracestate` without its empty members and the spaces around others. `None` if nothing is left.
pub(super) fn read(text: &str) -> Result<Option<String>, TraceContextError> {
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
    let mut keys = BTreeSet::new();
    let is_fine = members.iter().all(|member| {
        member.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value) && keys.insert(key))
    });
    if !is_fine || members.len() > MOST_MEMBERS {
        return Err(TraceContextError::State);
    }
    Ok((!members.is_empty()).then(|| members.join(",")))
}

fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        None => is_part(key, LONGEST_KEY),
        Some((tenant, system)) => {
            let starts_with_letter = system.starts_with(|first: char| first.is_ascii_lowercase());
            is_part(tenant, LONGEST_TENANT) && is_part(system, LONGEST_SYSTEM) && starts_with_letter
        }
    }
}

fn is_part(part: &str, longest: usize) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_any = |byte: u8| is_first(&byte) || matches!(byte, b'_' | b'-' | b'*' | b'/');
    part.len() <= longest && part.as_bytes().first().is_some_and(is_first) && part.bytes().all(is_any)
}

fn is_value(value: &str) -> bool {
    let is_printable = |byte| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= LONGEST_VALUE && value.bytes().all(is_printable)
}

const MOST_MEMBERS: usize = 32;
const LONGEST_KEY: usize = 256;
const LONGEST_TENANT: usize = 241;
const LONGEST_SYSTEM: usize = 14;
const LONGEST_VALUE: usize = 256;
