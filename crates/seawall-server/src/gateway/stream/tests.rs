//! Streams as the two protocols send them, cut into pieces at every place.

use super::*;

fn outcome(protocol: Protocol, stream: &str, cut: usize) -> bool {
    let mut watch = Watch::new(protocol);
    watch.see(&stream.as_bytes()[..cut]);
    watch.see(&stream.as_bytes()[cut..]);
    watch.outcome().is_success()
}

#[test]
fn ends_and_errors_are_seen_wherever_the_stream_is_cut() {
    let table = [
        (Protocol::Openai, "data: {\"a\":1}\n\ndata: [DONE]\n\n", true),
        (Protocol::Openai, "data: {\"a\":1}\r\n\r\ndata: [DONE]\r\n\r\n", true),
        (Protocol::Openai, "data: {\"finish_reason\": \"stop\"}\n\n", true),
        (Protocol::Openai, "data: {\"finish_reason\": null}\n\n", false),
        (Protocol::Openai, "data: {\"a\":1}\n\n", false),
        (Protocol::Openai, "data: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n", false),
        (Protocol::Openai, ": data: [DONE]\n\n", false),
        (Protocol::Anthropic, "event: message_stop\ndata: {}\n\n", true),
        (Protocol::Anthropic, "event: error\ndata: {}\n\nevent: message_stop\n\n", false),
        (Protocol::Anthropic, "event: ping\ndata: {}\n\n", false),
        (Protocol::Http, "anything", true),
    ];
    for (protocol, stream, expected) in table {
        for cut in 0..=stream.len() {
            assert_eq!(outcome(protocol, stream, cut), expected, "{stream:?} cut at {cut}");
        }
    }
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let mut watch = Watch::new(Protocol::Openai);
    for _ in 0..1000 {
        watch.see(&[b'x'; 4096]);
    }
    assert!(watch.line.len() <= MAX_LINE);
    watch.see(b"\ndata: [DONE]\n");
    assert!(watch.outcome().is_success());
}
