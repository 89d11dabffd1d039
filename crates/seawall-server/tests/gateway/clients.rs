//! The clients that people use, as their makers publish them: what they make of the gateway's streams and errors.

use crate::{
    openings::{EVENTS, Then, answer},
    support::{Gateway, Upstream, respond},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::process::Command;

const CHAT: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
const CHAT_END: &str = "data: [DONE]\n\n";
const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"hi\",\"item_id\":\"a\",\"output_index\":0,\"content_index\":0}\n\n";
const DELTA_END: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\",\"model\":\"m\",\"output\":[]}}\n\n";
const BLOCK: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\",\"stop_reason\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const BLOCK_END: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const CANDIDATE: &str = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"hi\"}],\"role\": \"model\"},\"index\": 0}]}\r\n\r\n";
const CANDIDATE_END: &str = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" you\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}]}\r\n\r\n";
/// The beginning of an event of each API.
const HALF: &str = "data: {\"type\":\"conte";

/// A stream as its path and its model ask for it.
fn stream(path: &str, model: &str) -> (Vec<&'static str>, Then) {
    let (begin, end) = match path {
        "/v1/chat/completions" => (CHAT, CHAT_END),
        "/v1/responses" => (DELTA, DELTA_END),
        _ if path.ends_with(":streamGenerateContent") => (CANDIDATE, CANDIDATE_END),
        _ => (BLOCK, BLOCK_END),
    };
    match model {
        "whole" => (vec![begin, end], Then::End),
        "early" => (vec![begin], Then::End),
        _ => (vec![begin, HALF], Then::Death),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_raise_their_own_error_where_a_stream_is_not_whole() {
    let upstream = Upstream::start(|_, request| async move {
        let path = request.uri().path().to_owned();
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        let asked: Value = serde_json::from_slice(&asked).unwrap();
        // Google's clients name it in the path.
        let in_path = path.rsplit('/').next().unwrap().split(':').next();
        match asked["model"].as_str().or(in_path).unwrap() {
            "refused" => respond(529, ""),
            model => {
                let (pieces, then) = stream(&path, model);
                answer(EVENTS, pieces.leak(), then)
            }
        }
    })
    .await;
    let endpoint = upstream.endpoint();
    let gateway = Gateway::start(&format!(
        "upstreams:\n  gpt: {{ endpoints: ['{endpoint}'], protocol: openai, policies: [] }}\n  \
         claude: {{ endpoints: ['{endpoint}'], protocol: anthropic, policies: [] }}\n  \
         gemini: {{ endpoints: ['{endpoint}'], protocol: gemini, policies: [] }}\n\
         routes: [{{ path: /v1/messages, upstream: claude }}, {{ path: '/v1beta/*', upstream: gemini }}, {{ path: '/*', upstream: gpt }}]\n",
    ))
    .await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/clients.py");
    let mut python = Command::new("python3");
    python.args([script, &format!("http://{}", gateway.address)]);
    let missing = "python3 or its packages are missing: `cargo xtask test` installs them, or: pip install openai anthropic google-genai";
    let run = python.output().await.expect(missing);
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{missing}\n{told}\n{}", String::from_utf8_lossy(&run.stderr));
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        Value::from(told),
        json!([
            ["chat", "whole", ["hi"]],
            ["chat", "early", "APIError"],
            ["chat", "half", "APIError"],
            ["chat", "refused", "InternalServerError"],
            ["responses", "whole", ["response.output_text.delta", "response.completed"]],
            ["responses", "early", ["response.output_text.delta", "error"]],
            ["responses", "half", ["response.output_text.delta", "error"]],
            ["responses", "refused", "InternalServerError"],
            ["messages", "whole", ["hi"]],
            ["messages", "early", "APIStatusError"],
            ["messages", "half", "APIStatusError"],
            ["messages", "refused", "OverloadedError"],
            ["generate_content", "whole", ["hi", " you"]],
            ["generate_content", "early", "ServerError"],
            ["generate_content", "half", "ServerError"],
            ["generate_content", "refused", "ServerError"],
        ])
    );
}
