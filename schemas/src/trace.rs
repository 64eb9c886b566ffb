//! Which trace a request belongs to: W3C Trace Context, `traceparent`. Whoever gets one that it cannot read goes on as if
//! there were none, as that specification asks.

use std::borrow::Cow;

/// Bytes of a `traceparent` of version 00; later versions may append to it.
const LENGTH: usize = 55;

/// The part of a `traceparent` that everybody can read: `00-<32 hex>-<16 hex>-<2 hex>`, in lower case. What a later version
/// says is put into the words of 00, which has one flag. `None` when it is none, or one of zeros, which stands for no trace.
pub fn traceparent(text: &str) -> Option<Cow<'_, str>> {
    let known = text.get(..LENGTH)?;
    let mut parts = known.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_well_formed = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let says_nothing = version == "ff" || is_zero(trace) || is_zero(span);
    let rest = &text[LENGTH..];
    let may_go_on = rest.is_empty() || (version != "00" && rest.starts_with('-'));
    if !is_well_formed || says_nothing || !may_go_on || parts.next().is_some() {
        return None;
    }
    if version == "00" {
        return Some(known.into());
    }
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
    Some(format!("00-{trace}-{span}-0{sampled}").into())
}

/// The id of the trace: what log lines show.
pub fn trace_id(traceparent: &str) -> &str {
    traceparent.get(3..35).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        assert_eq!(traceparent(GOOD).as_deref(), Some(GOOD));
        assert_eq!(trace_id(GOOD), "0af7651916cd43dd8448eb211c80319c");
        let later = GOOD.replace("00-0af", "01-0af");
        let more = format!("{later}-what-may-come");
        assert_eq!(traceparent(&more).as_deref(), Some(GOOD), "what is known of a later version");
        assert_eq!(
            traceparent(&later.replace("-01", "-ae")).as_deref(),
            Some(&*GOOD.replace("-01", "-00")),
            "its flags"
        );
        let none = [
            "",
            "00",
            &GOOD[1..],
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            &format!("{later}more"),
            &GOOD.replace("00-0af", "ff-0af"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("b7ad6b7169203331", "b7ad6b716920333g"),
            &GOOD.replace("-01", "-é"),
        ];
        for text in none {
            assert_eq!(traceparent(text), None, "{text}");
        }
    }
}
