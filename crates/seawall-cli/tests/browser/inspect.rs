//! Measurements of a page: contrast, names, and pictures of it.

use crate::Browser;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Texts whose contrast with what is behind them is below WCAG AA, with the ratio.
const CONTRAST: &str = r"(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        pen.clearRect(0, 0, 1, 1);
        pen.fillStyle = color;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], under) => [r, g, b].map((part, n) => part * a + under[n] * (1 - a));
    const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            const color = rgba(getComputedStyle(at).backgroundColor);
            layers.push(color);
            if (color[3] === 1) break;
        }
        return layers.reduceRight((under, layer) => over(layer, under), [255, 255, 255]);
    };
    const light = (color) => {
        const [r, g, b] = color.map((part) => part / 255)
            .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    const look = (node, style, text) => {
        const behind = ground(node);
        const [a, b] = [light(over(rgba(style.color), behind)), light(behind)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className}: ${text.slice(0, 40)}`);
    };
    for (const node of document.body.querySelectorAll('*')) {
        if (node.closest('svg, .unseen, .skip') || node.matches(':disabled') || !node.checkVisibility()) continue;
        const text = [...node.childNodes].filter((one) => one.nodeType === 3).map((one) => one.data).join('').trim();
        if (text) look(node, getComputedStyle(node), text);
        const empty = node.placeholder && !node.value;
        if (empty) look(node, getComputedStyle(node, '::placeholder'), node.placeholder);
        if (node.value && node.matches('input, select, textarea')) look(node, getComputedStyle(node), node.value);
    }
    return found;
})()";

pub(crate) async fn hard_to_read(browser: &Browser) -> Value {
    browser.value(CONTRAST).await
}

/// Roles of elements that users act on, or that pictures have.
const NAMED: [&str; 9] =
    ["button", "textbox", "searchbox", "combobox", "radio", "link", "slider", "image", "region"];

/// The elements that have such a role, and no name for a screen reader.
pub(crate) async fn without_name(browser: &Browser) -> Vec<String> {
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().unwrap().iter();
    let shown: Vec<&Value> = nodes.filter(|node| node["ignored"] == false).collect();
    assert!(shown.len() > 20, "{tree}");
    let nameless = shown.into_iter().filter(|node| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        NAMED.contains(&role) && name.trim().is_empty()
    });
    nameless.map(ToString::to_string).collect()
}

impl Browser {
    /// A picture of the whole page, not only of the window.
    pub(crate) async fn shot(&self, file: &Path) {
        let taken =
            self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        fs::write(file, decoded(taken["data"].as_str().unwrap())).unwrap();
    }
}

/// Base64, as the browser sends it.
fn decoded(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = LETTERS.iter().position(|one| *one == letter).unwrap();
        held = (held << 6 | value as u32) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}
