//! What requests and answers say of their use, in all APIs, cut anywhere, and said by whoever means no good.

use super::*;

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap()
}

fn of(input: u64, cached_input: u64, cache_write: u64, output: u64) -> Usage {
    Usage { input, cached_input, cache_write, output }
}

#[test]
fn each_api_reports_in_its_own_words() {
    for (text, usage) in [
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#, of(10, 0, 0, 5)),
        (
            r#"{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"completion_tokens":5}"#,
            of(2, 8, 0, 5),
        ),
        (
            r#"{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}"#,
            of(30, 6, 0, 87),
        ),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":200,"output_tokens":7}"#,
            of(3, 200, 100, 7),
        ),
        (
            r#"{"promptTokenCount":20,"cachedContentTokenCount":15,"candidatesTokenCount":4,"thoughtsTokenCount":6,"totalTokenCount":30}"#,
            of(5, 15, 0, 10),
        ),
        (r#"{"prompt_tokens":8,"total_tokens":8}"#, of(8, 0, 0, 0)),
    ] {
        assert_eq!(Usage::read(&raw(text)), usage, "{text}");
    }
}

#[test]
fn absurd_numbers_are_left_out() {
    for text in [
        "null",
        "[]",
        "7",
        "{}",
        r#"{"prompt_tokens":-5,"completion_tokens":-1}"#,
        r#"{"prompt_tokens":"12","completion_tokens":null}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":1e300}"#,
        r#"{"prompt_tokens":100000001,"completion_tokens":99999999999999999999999999999999}"#,
        r#"{"prompt_tokens":{"a":1},"completion_tokens":[1]}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":9}}"#,
    ] {
        assert_eq!(Usage::read(&raw(text)), Usage::default(), "{text}");
    }
    // What can be true of it counts, and a part is never more than the whole.
    assert_eq!(
        Usage::read(&raw(r#"{"prompt_tokens":12.9,"completion_tokens":-3}"#)),
        of(12, 0, 0, 0)
    );
    let more = r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":50}}"#;
    assert_eq!(Usage::read(&raw(more)), of(0, 5, 0, 0));
}

#[test]
fn reports_of_one_stream_grow_and_may_come_twice() {
    let mut usage = Usage::default();
    for report in [of(3, 200, 100, 1), of(0, 0, 0, 40), of(0, 0, 0, 40), of(3, 200, 100, 12)] {
        usage.merge(report);
    }
    assert_eq!(usage, of(3, 200, 100, 40));
}

const CHAT: &str = r#"{"id":"x","usage_":{"prompt_tokens":1},"choices":[{"message":{"content":"a \"usage\": {\"prompt_tokens\":7} \\","usage":{"prompt_tokens":9}}}],
 "usage" : {"prompt_tokens":10,"completion_tokens":5,"a":[1,{"b":"}"}]},"z":"usage"}"#;

fn scanned(pieces: &[&[u8]]) -> Usage {
    let mut scan = UsageScan::default();
    pieces.iter().for_each(|piece| scan.feed(piece));
    scan.seen().reported
}

#[test]
fn a_document_is_read_however_it_is_cut() {
    let google = r#"[{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":4}},
        {"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":9}}]"#;
    for (text, usage) in [(CHAT, of(10, 0, 0, 5)), (google, of(4, 0, 0, 9))] {
        let bytes = text.as_bytes();
        for cut in 0..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(scanned(&[one, two]), usage, "cut at {cut}: {text}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(scanned(&single), usage);
    }
}

#[test]
fn documents_that_are_none_say_nothing_and_cost_nothing() {
    let long = format!(r#"{{"usage":{{"a":"{}","prompt_tokens":7}}}}"#, "x".repeat(1 << 20));
    let deep = "[".repeat(1 << 20);
    let names = format!(r#"{{"{}":1,"usage":{{"prompt_tokens":7}}}}"#, "usage".repeat(1 << 16));
    for (text, input) in [
        ("", 0),
        ("}}}]]]", 0),
        (r#"}"usage":{"prompt_tokens":7}"#, 0),
        (r#"{"usage":{"prompt_tokens":7"#, 0),
        (r#"{"usage":{"prompt_tokens":7}"#, 0),
        (r#""usage":{"prompt_tokens":7}}"#, 0),
        (r#"{"us\u0061ge":{"prompt_tokens":7}}"#, 0),
        (&long, 0),
        (&deep, 0),
        (&names, 7),
    ] {
        assert_eq!(scanned(&[text.as_bytes()]).input, input, "{:.60}", text);
    }
}

#[test]
fn a_request_is_estimated_by_its_bounds_and_its_length() {
    let estimate = |path: &str, body: &str| Estimate::of(path, body.as_bytes(), 0);
    for (path, body, output, model) in [
        ("/v1/chat/completions", r#"{"model":"gpt-4o","max_tokens":50}"#, 50, Some("gpt-4o")),
        (
            "/v1/chat/completions",
            r#"{"model":"o1","max_completion_tokens":70,"n":2}"#,
            140,
            Some("o1"),
        ),
        ("/v1/responses", r#"{"model":"gpt-5","max_output_tokens":90}"#, 90, Some("gpt-5")),
        (
            "/v1beta/models/gemini-2.5-pro:generateContent",
            r#"{"contents":[{"maxOutputTokens":1}],"generationConfig":{"maxOutputTokens":30}}"#,
            30,
            Some("gemini-2.5-pro"),
        ),
        ("/v1/messages", r#"{"model":"claude","messages":[]}"#, 1_000, Some("claude")),
        ("/v1/embeddings", r#"{"model":"e","input":"x"}"#, 0, Some("e")),
        ("/v1/messages", "not JSON", 1_000, None),
        ("/v1/messages", r#"{"max_tokens":-1,"n":-7,"model":7}"#, 1_000, None),
        ("/v1/messages", r#"{"max_tokens":99999999999999,"n":1}"#, 1_000, None),
        ("/v1/messages", r#"{"max_tokens":100000000,"n":4000000000}"#, 10_000_000, None),
        ("/v1/messages", r#"{"max_tokens":5,"max_tokens":9}"#, 9, None),
    ] {
        let estimate = estimate(path, body);
        assert_eq!((estimate.output, estimate.model.as_deref()), (output, model), "{body}");
        assert_eq!(estimate.input, body.len().div_ceil(4) as u32);
    }
    assert_eq!(estimate("/v1/models", ""), Estimate::default());
    let long = Estimate::of("/v1/messages", b"{", u64::MAX);
    assert_eq!((long.input, long.total()), (10_000_000, 10_001_000));
}

#[test]
fn what_was_not_reported_is_put_together_from_what_came() {
    let estimate = Estimate { input: 100, output: 500, model: None };
    let used = |reported, parts, is_whole| Seen { reported, parts, is_whole }.used(&estimate);
    assert_eq!(used(Usage::default(), 0, true), None);
    assert_eq!(used(of(9, 0, 0, 30), 12, true), Some(of(9, 0, 0, 30)));
    // A stream without a report, and one whose client left behind its first event.
    assert_eq!(used(Usage::default(), 12, true), Some(of(100, 0, 0, 12)));
    assert_eq!(used(of(9, 0, 0, 1), 12, false), Some(of(9, 0, 0, 12)));
    assert_eq!(used(of(9, 0, 0, 40), 12, false), Some(of(9, 0, 0, 40)));
}
