//! Reading what comes back: status, headers, a body of bounded length.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Response,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Deserialize;

use crate::failure::Cause;

/// How much of a refusal is read, in bytes.
const LONGEST_REFUSAL: usize = 4 << 10;

/// How much of a text from outside is shown, in characters.
const LONGEST_EXCERPT: usize = 200;

/// A text from outside, fit for one line of a log: bounded, and without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == LONGEST_EXCERPT {
            shown.push('…');
            break;
        }
        shown.push(if is_plain(character) { character } else { ' ' });
    }
    shown
}

/// Neither a control character nor one that turns the direction of the text around it.
fn is_plain(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns && !matches!(character, '\u{2028}' | '\u{2029}')
}

/// Reads a body, and gives up on one that is longer than `most` bytes.
pub(crate) async fn body(response: &mut Response, most: usize) -> Result<Vec<u8>, Cause> {
    let announced = response.content_length().unwrap_or(0);
    if announced > most as u64 {
        return Err(Cause::TooLong(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if bytes.len() + chunk.len() > most {
            return Err(Cause::TooLong(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Why there is no answer, or no whole one.
pub(crate) fn no_answer(error: reqwest::Error) -> Cause {
    if error.is_timeout() && !error.is_connect() {
        return Cause::NoAnswer("none came within `timeout`".into());
    }
    let what = if error.is_connect() {
        "cannot connect to the host of `base_url`"
    } else {
        "the connection broke"
    };
    Cause::NoAnswer(format!("{what}: {}", root_cause(error)))
}

/// The innermost of a chain of errors: the one that says what happened. Never the URL.
pub(crate) fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut root: &dyn std::error::Error = &error;
    while let Some(source) = root.source() {
        root = source;
    }
    excerpt(&root.to_string())
}

/// The explanation in a refusal, which is JSON `{code, error}`, plain text, or nothing. A web page is no
/// explanation. Reads no more than an operator is shown.
///
/// # Errors
/// The connection broke before the end.
pub(crate) async fn said(response: &mut Response) -> Result<String, Cause> {
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.trim_start().starts_with("text/html")) {
        return Ok(String::new());
    }
    let mut bytes = vec![];
    while bytes.len() < LONGEST_REFUSAL {
        let Some(chunk) = response.chunk().await.map_err(no_answer)? else {
            break;
        };
        bytes.extend_from_slice(&chunk[..chunk.len().min(LONGEST_REFUSAL - bytes.len())]);
    }
    Ok(explanation(&bytes))
}

fn explanation(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Coded {
        code: String,
        error: String,
    }
    match serde_json::from_slice(body) {
        Ok(Coded { code, error }) => format!("{code}: {error}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// How long `retry-after` says to wait: a number of seconds, or an HTTP date.
pub(crate) fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    wait(text.trim(), now)
}

fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_plain_line() {
        assert_eq!(excerpt(" a\r\nb\u{1b}[31m\u{202e}c\n"), "a  b [31m c");
        let long = excerpt(&"é".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST_EXCERPT + 1);
    }

    #[test]
    fn both_forms_of_an_explanation_are_read() {
        assert_eq!(
            explanation(br#"{"code":"rate_limited","error":"slow down"}"#),
            "rate_limited: slow down"
        );
        assert_eq!(
            explanation(br#"{"message":"none of ours"}"#),
            r#"{"message":"none of ours"}"#
        );
        assert_eq!(explanation(b"no batch \xff"), "no batch \u{fffd}");
        assert_eq!(explanation(b""), "");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-22T10:58:10Z".parse().unwrap();
        let read = |text| wait(text, now);
        assert_eq!(read("60"), Some(Duration::from_secs(60)));
        assert_eq!(read("Sun, 22 Nov 2026 10:59:10 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(read("Sun, 22 Nov 2026 10:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("-1"), None);
        assert_eq!(read("soon"), None);
    }
}
