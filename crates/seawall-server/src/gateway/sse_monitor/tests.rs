//! Streams as the protocols send them, cut into pieces at every place.

use super::*;
use crate::gateway::sse::MAX_EVENT;
use std::fmt::Write as _;

const CHAT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// The outcome of a stream, and the bytes that its client got.
fn run(api: Api, pieces: &[&[u8]], clean: bool) -> (Outcome, Vec<u8>) {
    let mut watch = SseMonitor::new(api);
    let mut got = Vec::new();
    for piece in pieces {
        got.extend_from_slice(&watch.feed(Bytes::copy_from_slice(piece)));
    }
    let StreamEnd { outcome, last } =
        if clean { watch.end() } else { watch.break_off(StreamFault::Broken, "gone") };
    if let FinalBytes::Bytes(bytes) = last {
        got.extend_from_slice(&bytes);
    }
    (outcome, got)
}

/// Checks that the outcome is the same wherever the stream is cut, also byte by byte.
fn everywhere(api: Api, stream: &str, clean: bool, check: impl Fn(Outcome, &str)) {
    let bytes = stream.as_bytes();
    for cut in 0..=bytes.len() {
        let (outcome, got) = run(api, &[&bytes[..cut], &bytes[cut..]], clean);
        check(outcome, std::str::from_utf8(&got).unwrap());
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (outcome, got) = run(api, &single, clean);
    check(outcome, std::str::from_utf8(&got).unwrap());
}

fn succeeds(api: Api, stream: &str) {
    everywhere(api, stream, true, |outcome, got| {
        assert!(outcome.is_success(), "{stream:?}");
        assert_eq!(got, stream);
    });
}

/// Checks that a stream reports its own failure, and that nothing is added to it.
fn fails(api: Api, stream: &str) {
    for clean in [true, false] {
        everywhere(api, stream, clean, |outcome, got| {
            assert!(!outcome.is_success(), "{stream:?}");
            assert_eq!(got, stream);
        });
    }
}

/// Checks that a stream without its end passes its whole events, then an error event.
fn is_cut_short(api: Api, whole: &str, half: &str) {
    let (error, end) = match api {
        Api::Chat => ("data: {\"error\":{", "}\n\n"),
        Api::GenerateContent => ("{\"error\":{\"code\":502,", "}\n"),
        Api::Responses | Api::Assistants | Api::Messages => ("event: error\ndata: {", "}\n\n"),
    };
    for clean in [true, false] {
        let stream = format!("{whole}{half}");
        everywhere(api, &stream, clean, |outcome, got| {
            assert!(!outcome.is_success(), "{stream:?}");
            let added = got.strip_prefix(whole).unwrap_or_else(|| panic!("{stream:?}: {got:?}"));
            assert!(added.starts_with(error) && added.ends_with(end), "{stream:?}: {added:?}");
        });
    }
}

#[test]
fn streams_of_the_chat_api() {
    let api = Api::Chat;
    for good in [
        &format!("{CHAT}data: [DONE]\n\n"),
        &format!("{CHAT}data:[DONE]\n\n"),
        &format!("\u{feff}{CHAT}: ping\n\n{STOP}"),
        &format!("{CHAT}{STOP}data: {{\"choices\":[],\"usage\":{{\"total_tokens\":3}}}}\n\n"),
        &format!("{CHAT}data: [DONE]"),
        format!("{CHAT}{STOP}").trim_end(),
        &format!("{CHAT}data: [DONE]\n\ndata: {{\"error\":{{\"message\":\"late\"}}}}\n\n"),
        &format!("{CHAT}{STOP}").replace('\n', "\r\n"),
        &format!("{CHAT}{STOP}").replace('\n', "\r"),
        "id: 1\nretry: 10\ndata: {\"choices\":[\ndata: {\"text\":\"a\",\"finish_reason\":\"length\"}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"index\":1,\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"\\u0063hoices\":[{\"finish_reason\":\"tool_calls\"}],\"error\":null}\n\n",
        "data: {\"choices\":[{\"index\":9999,\"finish_reason\":\"stop\"},{\"finish_reason\":\"stop\"}]}\n\n",
    ] {
        succeeds(api, good);
    }
    for bad in [
        "data: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n",
        "data: {\"id\":\"1\",\"choices\":[],\"error\":{\"message\":\"x\"}}\n\n",
        "data: {\"id\":\"1\" , \"error\" : \"overloaded\"}\n\n",
        "data: {\"error\":{},\"error\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\ndata: [DONE]\n\n",
        "data: {\"choices\":[{\"finish_reason\":\"stop\",\"error\":{\"code\":502}}]}\n\n",
        "data: {\"object\":\"error\",\"type\":\"InternalServerError\",\"code\":500}\n\n",
        "event: error\ndata: it is over\n\n",
        "event:error\ndata:{}\n\n",
        "data: {\"type\":\"error\",\"message\":\"x\"}\n\n",
    ] {
        fails(api, bad);
        fails(api, &format!("{CHAT}{bad}"));
        fails(api, &format!("{CHAT}{STOP}{bad}"));
        fails(api, &bad.replace('\n', "\r"));
    }
    is_cut_short(api, CHAT, "");
    is_cut_short(api, CHAT, "data: {\"choices\":[{\"del");
    is_cut_short(api, CHAT, "event: x\n");
    let second = CHAT.replace("\"index\":0", "\"index\":1");
    is_cut_short(api, &format!("{CHAT}{second}{STOP}"), "");
    is_cut_short(api, "data: {\"choices\":[],\"usage\":null}\n\n", "");
    is_cut_short(api, "", "");
    is_cut_short(api, "", "data: {\"choices\":[");
    is_cut_short(api, ": ping\n\n", "");
}

#[test]
fn streams_of_the_responses_api() {
    let api = Api::Responses;
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"a\"}\n\n";
    let unnamed = &delta[delta.find("data:").unwrap()..];
    for last in ["completed", "incomplete", "cancelled", "done"] {
        succeeds(
            api,
            &format!(
                "{delta}event: response.{last}\ndata: {{\"response\":{{\"error\":null}}}}\n\n"
            ),
        );
        succeeds(
            api,
            &format!("{unnamed}data: {{\"response\":{{}},\"type\":\"response.{last}\"}}\n\n"),
        );
    }
    for failed in [
        "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"server_error\"}}}\n\n",
        "data: {\"type\":\"response.failed\"}\n\n",
        "data: {\"type\":\"response.done\",\"response\":{\"status\":\"failed\"}}\n\n",
        "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n\n",
        "event: error\ndata: {\"code\":\"server_error\",\"message\":\"x\"}\n\n",
    ] {
        fails(api, &format!("{delta}{failed}"));
    }
    is_cut_short(api, delta, "");
    is_cut_short(api, delta, "event: response.completed\n");
    is_cut_short(api, "event: response.created\ndata: {\"type\":\"response.created\"}\n\n", "");
    let last = delta.replace(":4,", &format!(":{},", u64::MAX));
    is_cut_short(api, &last, "");
    everywhere(api, delta, false, |_, got| assert!(got.contains("\"sequence_number\":5"), "{got}"));
}

#[test]
fn streams_of_the_assistants_api() {
    let api = Api::Assistants;
    let begin = "event: thread.run.created\ndata: {\"id\":\"run\",\"last_error\":null}\n\n";
    succeeds(
        api,
        &format!("{begin}event: thread.run.completed\ndata: {{}}\n\nevent: done\ndata: [DONE]\n\n"),
    );
    succeeds(
        api,
        &format!("{begin}event: thread.run.completed\ndata: {{}}\n\nevent: done\ndata: x\n\n"),
    );
    succeeds(api, &format!("{begin}event: thread.run.requires_action\ndata: {{}}\n\n"));
    fails(
        api,
        &format!(
            "{begin}event: thread.run.failed\ndata: {{\"last_error\":{{\"code\":\"server_error\"}}}}\n\nevent: done\ndata: [DONE]\n\n"
        ),
    );
    fails(api, &format!("{begin}event: error\ndata: {{\"message\":\"x\"}}\n\n"));
    is_cut_short(api, begin, "event: thread.message.delta\ndata: {\"de");
}

#[test]
fn streams_of_the_messages_api() {
    let api = Api::Messages;
    let begin = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"error\":1}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
    succeeds(api, &format!("{begin}event: message_stop\ndata: {{}}\n\n"));
    succeeds(api, &format!("{begin}event:message_stop\n\n"));
    succeeds(api, &format!("{begin}data: {{\"type\": \"message_stop\"}}\n\n"));
    fails(
        api,
        &format!(
            "{begin}event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"overloaded_error\"}}}}\n\n"
        ),
    );
    fails(api, "event: error\ndata: {}\n\nevent: message_stop\ndata: {}\n\n");
    is_cut_short(api, begin, "");
    is_cut_short(api, begin, "event: content_block_delta\nda");
    is_cut_short(
        api,
        &format!(
            "{begin}event: message_delta\ndata: {{\"delta\":{{\"stop_reason\":\"end_turn\"}}}}\n\n"
        ),
        "",
    );
    is_cut_short(api, "", "");
}

#[test]
fn streams_of_unknown_events_end_with_their_body() {
    for stream in [
        "data: {\"type\":\"speech.audio.delta\",\"audio\":\"x\"}\n\ndata: {\"type\":\"speech.audio.done\"}\n\n",
        "event: transcript.text.delta\ndata: {\"delta\":\"x\"}\n\n",
        "event: image_generation.partial_image\ndata: {\"b64_json\":\"x\"}\n\n",
        "data: {\"candidates\":[{\"content\":{},\"finishReason\":\"STOP\"}]}\r\n\r\n",
        "data: {\"event\":\"response.chunk\",\"type\":\"response.chunk\"}\n\n",
        "data: plain words\n\n",
        "data: plain words",
        "event: done\ndata: {\"error\": null}\n\n",
        "data: {\"error\": false, \"token\": \"x\"}\n\ndata: {\"unfinished\": tru",
        "data: 3\n\ndata: [1, 2]\n\ndata: {\"type\": 7, \"choices\": \"none\"}\n\n",
    ] {
        succeeds(Api::Chat, stream);
        succeeds(Api::Messages, stream);
    }
    fails(Api::Chat, "data: {\"candidates\":[]}\n\ndata: {\"error\":{\"code\":503}}\n\n");
    let broken = run(Api::Chat, &[b"data: {\"candidates\":[]}\n\ndata: {\"cand"], false);
    assert!(!broken.0.is_success());
    assert!(broken.1.ends_with(b"}}\n\n"));
}

#[test]
fn streams_of_googles_api() {
    let api = Api::GenerateContent;
    let part = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\"}],\"role\": \"model\"},\"index\": 0}],\"modelVersion\": \"g\"}\r\n\r\n";
    let stop = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"\"}]},\"finishReason\": \"STOP\",\"index\": 0}],\"usageMetadata\": {\"totalTokenCount\": 3}}\r\n\r\n";
    let error = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
    let second = part.replace("\"index\": 0", "\"index\": 1");
    for good in [
        &format!("{part}{stop}"),
        &format!("{part}data: {{\"candidates\":[{{\"finishReason\":\"MAX_TOKENS\"}}]}}\n\n"),
        &format!("{part}{second}{stop}{}", stop.replace("\"index\": 0", "\"index\": 1")),
        &format!("{stop}{stop}data: {{\"usageMetadata\":{{}}}}\n\n"),
        format!("{part}{stop}").trim_end(),
        "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{}}\n\n",
    ] {
        succeeds(api, good);
    }
    // Google's servers report errors as bare JSON between the events.
    for bad in [&format!("data: {}\n\n", error.replace('\n', "")), &format!("{error}\n")] {
        fails(api, bad);
        fails(api, &format!("{part}{bad}"));
        fails(api, &format!("{part}{stop}{bad}"));
    }
    everywhere(api, &format!("{part}{error}"), true, |outcome, got| {
        assert!(!outcome.is_success());
        assert_eq!(got, format!("{part}{error}"));
    });
    is_cut_short(api, part, "");
    is_cut_short(api, part, "data: {\"candidates\": [{\"cont");
    is_cut_short(api, part, "{\n  \"error\": {\n");
    is_cut_short(
        api,
        &part.replace("\"index\": 0", "\"finishReason\":\"FINISH_REASON_UNSPECIFIED\""),
        "",
    );
    is_cut_short(api, &format!("{part}{second}{stop}"), "");
    is_cut_short(api, "data: {\"candidates\":[{\"index\":0}],\"promptFeedback\":{}}\n\n", "");
    is_cut_short(api, "", "");
    for (pieces, has_content) in
        [(part, true), (": hi\n\n", false), (&*stop.replace("STOP", ""), false)]
    {
        let mut monitor = SseMonitor::new(api);
        monitor.feed(Bytes::copy_from_slice(pieces.as_bytes()));
        assert_eq!(monitor.has_content(), has_content, "{pieces}");
    }
}

#[test]
fn nothing_counts_behind_the_end_and_no_error_event_follows_it() {
    for (api, end) in [
        (Api::Chat, "data: [DONE]\n\n"),
        (Api::Responses, "data: {\"type\":\"response.completed\"}\n\n"),
        (Api::Messages, "event: message_stop\ndata: {}\n\n"),
    ] {
        let stream = format!("{CHAT}{end}data: {{\"error\":{{}}}}\n\n: half a li");
        everywhere(api, &stream, false, |outcome, got| {
            assert!(outcome.is_success());
            assert_eq!(got, stream);
        });
    }
    // Every choice is finished: the answer is there, though `[DONE]` is not.
    let got = run(Api::Chat, &[CHAT.as_bytes(), STOP.as_bytes(), b"data: {\"usa"], false);
    assert!(got.0.is_success());
    assert_eq!(got.1, format!("{CHAT}{STOP}").as_bytes());
}

#[test]
fn a_failure_says_whose_fault_it_is() {
    let class = |api, data: &str| {
        let stream = format!("event: error\ndata: {data}\n\n");
        match run(api, &[stream.as_bytes()], true).0 {
            Outcome::Failure(failure) => failure.class,
            other => panic!("{other:?}"),
        }
    };
    for (data, expected) in [
        ("{}", Class::Transient),
        ("no json", Class::Transient),
        ("{\"error\":\"boom\"}", Class::Transient),
        ("{\"error\":{\"type\":\"server_error\",\"code\":null}}", Class::Transient),
        ("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", Class::Transient),
        ("{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}", Class::RateLimited),
        ("{\"error\":{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", Class::RateLimited),
        ("{\"error\":{\"code\":429}}", Class::RateLimited),
        ("{\"code\":\"rate_limit_exceeded\"}", Class::RateLimited),
        ("{\"response\":{\"error\":{\"code\":\"invalid_prompt\"}}}", Class::Permanent),
        ("{\"error\":{\"type\":\"invalid_request_error\"}}", Class::Permanent),
        ("{\"error\":{\"code\":400}}", Class::Permanent),
        ("{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}", Class::RateLimited),
        ("{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}", Class::Transient),
        ("{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}", Class::Permanent),
        ("{\"error\":{\"code\":502,\"type\":\"invalid_request_error\"}}", Class::Transient),
    ] {
        assert_eq!(class(Api::Chat, data), expected, "{data}");
    }
}

#[test]
fn long_events_take_bounded_memory_and_pass_on() {
    let mut watch = SseMonitor::new(Api::Chat);
    let mut passed = watch.feed(CHAT.into()).len();
    passed += watch.feed("data: {\"choices\":[{\"delta\":{\"content\":\"".into()).len();
    for _ in 0..1000 {
        passed += watch.feed(Bytes::from_static(&[b'x'; 4096])).len();
    }
    assert!(passed > 1000 * 4096 - MAX_EVENT);
    // Only a broken connection keeps half an event from being taken for a whole.
    assert!(matches!(watch.break_off(StreamFault::Broken, "gone").last, FinalBytes::Cut));
    // Its end may have said that it is the last.
    watch.feed("\"},\"finish_reason\":\"stop\"}]}\r\n\r".into());
    assert!(watch.end().outcome.is_success());

    let mut watch = SseMonitor::new(Api::Responses);
    for _ in 0..3 {
        let mut image = "event: response.image_generation_call.partial_image\ndata: {\"type\":\"response.image_generation_call.partial_image\",\"b64\":\"".to_owned();
        image.extend(std::iter::repeat_n('x', 2 * MAX_EVENT));
        write!(image, "\"}}\n\n{CHAT}data: {{\"type\":\"response.output_text.delta\"}}\n\n")
            .unwrap();
        let mut got = Vec::new();
        for piece in image.as_bytes().chunks(10_000) {
            got.extend_from_slice(&watch.feed(Bytes::copy_from_slice(piece)));
        }
        assert_eq!(got, image.as_bytes());
    }
}

#[test]
fn long_events_are_read_where_something_in_them_matters() {
    let filler = "x".repeat(100_000);
    succeeds(
        Api::Responses,
        &format!("event: response.completed\ndata: {{\"response\":\"{}\"}}\n\n", &filler[..5000]),
    );
    for (stream, good) in [
        (
            format!(
                "data: {{\"pad\":\"{filler}\",\"choices\":[{{\"finish_reason\":\"stop\"}}]}}\n\n"
            ),
            true,
        ),
        (
            format!(
                "event: response.output_item.done\ndata: {{\"pad\":\"{filler}\",\"error\":1}}\n\n"
            ),
            false,
        ),
        (format!("data: {{\"pad\":\"{filler}\",\"type\":\"response.completed\"}}\n\n"), true),
    ] {
        let (outcome, got) = run(Api::Chat, &[stream.as_bytes()], true);
        assert_eq!((outcome.is_success(), got == stream.as_bytes()), (good, true));
    }
}

#[test]
fn only_what_a_reader_would_see_is_content() {
    for (stream, content) in [
        (": ping\n\n", false),
        ("event: ping\ndata: {}\n\n", false),
        ("data:\n\n", false),
        ("data: {\"type\":\"response.created\",\"response\":{}}\n\n", false),
        ("data: {\"type\":\"response.in_progress\"}\n\n", false),
        ("event: response.output_item.added\ndata: {}\n\n", false),
        ("data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n", true),
        ("event: message_start\ndata: {}\n\n", false),
        (
            "event: content_block_start\ndata: {\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            false,
        ),
        ("event: content_block_start\ndata: {\"content_block\":{\"type\":\"tool_use\"}}\n\n", true),
        ("event: content_block_delta\ndata: {}\n\n", true),
        ("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n", false),
        (
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}}]}\n\n",
            false,
        ),
        ("data: {\"choices\":[],\"prompt_filter_results\":[{}]}\n\n", false),
        ("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n", true),
        ("data: {\"choices\":[{\"delta\":{\"tool_calls\":[{}]}}]}\n\n", true),
        ("data: {\"choices\":[{\"text\":\"a\"}]}\n\n", true),
        ("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", true),
        ("data: [DONE]\n\n", true),
        ("data: {\"candidates\":[]}\n\n", true),
        ("data: word\n\n", true),
    ] {
        for cut in 0..stream.len() {
            let mut watch = SseMonitor::new(Api::Chat);
            watch.feed(stream[..cut].to_owned().into());
            assert!(!watch.has_content(), "{stream:?} at {cut}");
            watch.feed(stream[cut..].to_owned().into());
            assert_eq!(watch.has_content(), content, "{stream:?}");
        }
    }
}

#[test]
fn comments_wait_for_nothing() {
    for line in [": keep-alive\n", ":\r\n", "\n", ": a\r"] {
        let mut watch = SseMonitor::new(Api::Chat);
        assert_eq!(watch.feed(line.into()), line);
        assert_eq!(watch.feed(CHAT.into()), CHAT);
    }
}
